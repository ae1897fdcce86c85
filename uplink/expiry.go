// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"fmt"
	"slices"
	"time"

	"edged/uplink/reach"
)

// ExpiryCode is the code of a certificate that expires soon.
const ExpiryCode = "E309"

const (
	day         = 24 * time.Hour
	expiryEvery = 10 * time.Minute // how often certificates are looked at, besides when the server shows them
)

// expiryDays are the days before its end at which a certificate is told of.
func expiryDays() [3]int { return [3]int{7, 14, 30} }

// Expiring tells which certificates that the link depends on expire soon, and what to do, as of the last ten minutes.
func (u *Uplink) Expiring() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.expiring)
}

// Certificate is one on which the link depends: ours, the server's, or one of who signed that.
type Certificate = reach.Certificate

// Certificates returns those on which the link depends: ours as it is in its file, and those that the server showed last.
func (u *Uplink) Certificates() []Certificate { return u.dialer.Certificates() }

// stage is how many days before its end a certificate was last to be told of: 30, 14, 7, or 0 for later. One that is made
// for less than 90 days has the last third of its life for that.
func stage(c reach.Certificate, now time.Time) int {
	for _, days := range expiryDays() {
		if c.End.Sub(now) <= min(time.Duration(days)*day, c.End.Sub(c.Begin)/3) {
			return days
		}
	}
	return 0
}

func expiryText(c reach.Certificate, now time.Time) string {
	whose, do := fmt.Sprintf("the server's certificate %q", c.Name), "whoever runs the server must renew it"
	if c.Ours {
		whose, do = fmt.Sprintf("our certificate %q", c.Name), "replace the files of uplink.cert and uplink.key; they are read anew at the next connection"
	}
	when := "expired"
	if left := c.End.Sub(now); left > 0 {
		when = fmt.Sprintf("expires in %d days,", left/day)
	}
	return fmt.Sprintf("%s %s on %s; %s", whose, when, c.End.UTC().Format(time.DateOnly), do)
}

// watchCertificates tells of certificates that expire soon, each 30, 14 and 7 days ahead, until ctx ends.
func (u *Uplink) watchCertificates(ctx context.Context) {
	tick := time.NewTicker(expiryEvery)
	defer tick.Stop()
	told := map[reach.Certificate]int{}
	for {
		now := u.dialer.Now()
		var expiring []string
		for _, c := range u.dialer.Certificates() {
			s := stage(c, now)
			if s == 0 {
				continue
			}
			text := expiryText(c, now)
			expiring = append(expiring, text)
			if told[c] != 0 && told[c] <= s {
				continue
			}
			told[c] = s
			u.log.Warn(text, "code", ExpiryCode)
			if u.deps.Event != nil {
				u.deps.Event(ExpiryCode, text)
			}
		}
		u.mu.Lock()
		u.expiring = expiring
		u.mu.Unlock()
		select {
		case <-tick.C:
		case <-u.shown:
		case <-ctx.Done():
			return
		}
	}
}
