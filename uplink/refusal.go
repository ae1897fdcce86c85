// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"errors"
	"fmt"

	"edged/mqtt"
	"edged/uplink/reach"
)

// cause is what a server means when it refuses a session or ends one.
type cause byte

const (
	unknown     cause = iota
	version           // it does not speak ours
	identifier        // not with this client id
	unavailable       // not now
	elsewhere         // not here
	credentials       // not with this user and password
	authority         // not for us
	willTopic         // not with the topic of our status
	willRetain        // not with a retained will
	willQoS           // not with a will at QoS 1
	taken             // another client has our session
)

// causeOf reads the code of a CONNACK, or of the DISCONNECT of a server, in the version that is spoken (MQTT 3.1.1,
// 3.2.2.3; MQTT 5, 3.2.2.2 and 3.14.2.1).
func causeOf(code, spoken byte) cause {
	if spoken < 5 {
		return [...]cause{1: version, 2: identifier, 3: unavailable, 4: credentials, 5: authority, 255: unknown}[code]
	}
	switch code {
	case 0x84:
		return version
	case 0x85:
		return identifier
	case 0x86, 0x8c:
		return credentials
	case 0x87, 0x8a:
		return authority
	case 0x88, 0x89, 0x8b, 0x97, 0x9f:
		return unavailable
	case 0x8e:
		return taken
	case 0x90:
		return willTopic
	case 0x9a:
		return willRetain
	case 0x9b:
		return willQoS
	case 0x9c, 0x9d:
		return elsewhere
	}
	return unknown
}

// refusal explains a CONNACK that is none of acceptance; nil: err is something else. slow says that trying soon again is
// of no use: only a human can change that.
func (u *Uplink) refusal(t reach.Target, err error) (explained error, slow bool) {
	var r *mqtt.RefusedError
	if !errors.As(err, &r) {
		return nil, false
	}
	said := fmt.Sprintf(" (CONNACK %d)", r.Code)
	if r.Version == 5 {
		said = fmt.Sprintf(" (CONNACK 0x%02X)", r.Code)
	}
	if r.Reason != "" {
		said += fmt.Sprintf(", %q", r.Reason)
	}
	fail := func(code, format string, args ...any) error {
		return &failure{code, fmt.Sprintf(format, args...) + said, err}
	}
	switch causeOf(r.Code, r.Version) {
	case version:
		if r.Version == 5 {
			return fail("E310", `%s does not speak MQTT 5; set uplink.version to "3.1.1"`, t), true
		}
		return fail("E310", "%s does not speak MQTT 3.1.1; uplink.url must name a broker that does, or set uplink.version to \"5\"", t), true
	case identifier:
		return fail("E314", "%s refuses the client id %q; set uplink.client_id to one that it allows", t, u.cfg.ClientID), true
	case unavailable:
		return fail("E315", "%s says that it is unavailable; nothing to do here, it is tried again", t), false
	case elsewhere:
		return fail("E315", "%s", moved(t, r.Server)), false
	case credentials:
		return fail("E311", "%s refuses the user %q or the password; correct uplink.username or the file behind uplink.password, which is read anew at each try", t, u.cfg.Username), true
	case authority:
		return fail("E312", "%s says that we are not authorised (user %q, client id %q); allow them there", t, u.cfg.Username, u.cfg.ClientID), true
	case willTopic:
		return fail("E320", "%s refuses the topic %q, on which it is to say that we are offline; allow it there, or correct uplink.prefix", t, u.presence("").Topic), true
	case willRetain:
		u.plainWill.retain = true
		return fail("", "%s retains nothing; it is tried again without", t), false
	case willQoS:
		u.plainWill.qos = true
		return fail("", "%s takes QoS 0 only; it is tried again so", t), false
	}
	return fmt.Errorf("%s: %w", t, err), false
}

// moved is the text for a server that sends us to another one. We do not follow: where we may go stands in the
// configuration alone.
func moved(t reach.Target, other string) string {
	s := t.String() + " sends us to another server"
	if other != "" {
		s += fmt.Sprintf(", %q", other)
	}
	return s + "; put the address of that one into uplink.url, as the first or besides this one"
}

// ending explains how the server ended a session with DISCONNECT (MQTT 5); else it returns err as it is.
func (u *Uplink) ending(t reach.Target, err error) (why cause, explained error) {
	var r *mqtt.ReasonError
	if !errors.As(err, &r) || r.Packet != "DISCONNECT" {
		return unknown, err
	}
	why = causeOf(r.Code, 5)
	switch why {
	case unavailable:
		return why, &failure{"E315", fmt.Sprintf("%s ended the session: %v; nothing to do here, it is tried again", t, r), nil}
	case elsewhere:
		return why, &failure{"E315", moved(t, r.Server), r}
	case authority:
		return why, &failure{"E312", fmt.Sprintf("%s ended the session: %v (user %q, client id %q); allow them there", t, r, u.cfg.Username, u.cfg.ClientID), nil}
	}
	return why, err
}

// takenOver explains that another client has our id: the server said so, or it can hardly be otherwise.
func (u *Uplink) takenOver(said bool, err error) error {
	why := fmt.Sprintf("the server ended %d sessions right after it had accepted them: another client uses", u.brief)
	if said {
		why = "another client has taken our session over: it uses"
	}
	return &failure{"E313", fmt.Sprintf("%s our client id %q; give every gateway an id of its own ([gateway] id, or client_id in [uplink])", why, u.cfg.ClientID), err}
}
