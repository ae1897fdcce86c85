// SPDX-License-Identifier: Apache-2.0

package authority

import "strings"

// Client is somebody under a client identifier. The zero Client is nobody and may do nothing.
type Client struct {
	who     *somebody
	ID      string   // its client identifier
	secret  *secret  // by which it has come in, nil: by none
	subject *subject // the same, of a certificate
}

// rights of the moment, nil for none.
func (c Client) rights() *rights {
	if c.who == nil {
		return nil
	}
	return c.who.rights.Load()
}

// User is the name that its sessions and messages bear: "" for the guest.
func (c Client) User() string {
	if c.who == nil {
		return ""
	}
	return c.who.name
}

// Inside tells whether it is a client in this process.
func (c Client) Inside() bool {
	r := c.rights()
	return r != nil && r.inside
}

// Queue is how much may be owed to its session; a size of 0: as the broker's limits say.
func (c Client) Queue() Queue {
	if r := c.rights(); r != nil {
		return r.queue
	}
	return Queue{}
}

// MayStay tells whether there is such a client today: its user is known, may use the client identifier, and what it has
// come in by is still the user's. Identifiers of the broker's own clients are for nobody from outside.
func (c Client) MayStay() bool {
	r := c.rights()
	return r != nil && c.ID != "" && r.mayUse(c.ID) &&
		(c.secret == nil || c.secret == r.secret) && (c.subject == nil || c.subject == r.subject)
}

// MayDoAll tells whether the client may publish and read everything but what begins with $; a quick way for the guest.
func (c Client) MayDoAll() bool {
	r := c.rights()
	return r != nil && r.anything
}

// MayPublish tells whether the client may publish to a topic, also by its will. Topics that begin with $ are the
// broker's.
func (c Client) MayPublish(topic string) bool {
	r := c.rights()
	switch {
	case r == nil || topic == "" || topic[0] == '$':
		return false
	case r.anything:
		return true
	}
	return matchesAny(r.publish, c.ID, topic)
}

// MayRead tells whether the client may get what is published to a topic: now, from a queue, or retained. A response topic
// has to be one that it may read: there it wants an answer, and nowhere else should others be made to publish.
func (c Client) MayRead(topic string) bool {
	r := c.rights()
	return r != nil && (r.anything || matchesAny(r.subscribe, c.ID, topic))
}

// MaySubscribe tells whether some topic could match both the filter, which is valid and without $share/GROUP/, and a
// right. Delivery is narrowed to the right.
func (c Client) MaySubscribe(filter string) bool {
	r := c.rights()
	if r == nil {
		return false
	}
	if r.anything {
		return true
	}
	for _, f := range r.subscribe {
		if f.overlaps(c.ID, filter) {
			return true
		}
	}
	return false
}

// MayStillPublish tells whether the user of a retained message may publish to its topic today. Under which client
// identifier it was published is not kept with it, so a right with {client_id} counts where the user could use it: the
// level of the topic that stands there has to be a client identifier that the user may have.
func (a *Authority) MayStillPublish(user, topic string) bool {
	c := a.Client(user, "")
	r := c.rights()
	if c.MayPublish(topic) {
		return true
	}
	if r == nil || topic[0] == '$' {
		return false
	}
	for _, f := range r.publish {
		if id, ok := f.clientIn(topic); ok && r.mayUse(id) && f.matches(id, topic) {
			return true
		}
	}
	return false
}

// rights are what somebody may do. They never change.
type rights struct {
	inside             bool
	anything           bool     // publish and read all, but publish nothing that begins with $
	ids                []string // client identifiers, of which the last character may be *
	reserved           []string // of these, those that are others'
	publish, subscribe []right
	queue              Queue
	secret             *secret  // nil: no password
	subject            *subject // nil: no certificate
}

// mayUse tells whether a client identifier is among those of the rights.
func (r *rights) mayUse(clientID string) bool {
	if !r.inside && strings.HasPrefix(clientID, ownPrefix) {
		return false
	}
	return among(r.ids, clientID) && !among(r.reserved, clientID)
}

// among tells whether a client identifier is one of NAME or PREFIX*.
func among(patterns []string, clientID string) bool {
	for _, p := range patterns {
		if head, open := strings.CutSuffix(p, "*"); open && strings.HasPrefix(clientID, head) || p == clientID {
			return true
		}
	}
	return false
}
