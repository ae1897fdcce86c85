// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/uplink"
)

// A certificate that expires soon is told of, and one that is renewed in its file counts without a restart and without
// ending the session.
func TestCertificatesThatExpire(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	ca := newAuthority(t)
	now := time.Now()
	cloud := ca.listener(t, "cloud.test", now.Add(-200*day), now.Add(10*day), "require_certificate true")
	cert, key := ca.issue(t, "our-old", now.Add(-200*day), now.Add(5*day))
	cfg := config()
	cfg.URLs, cfg.CA, cfg.Cert, cfg.Key = []string{"mqtts://cloud.test:" + portOf(t, cloud.address)}, ca.file, cert, key
	var mu sync.Mutex
	var events []string
	count := func(word string) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range events {
			if strings.Contains(e, word) {
				n++
			}
		}
		return n
	}
	u, _ := startReal(t, cfg, ourBroker(t), func(d *uplink.Deps) {
		d.Event = func(code, text string) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, code+" "+text)
		}
	})
	eventually(t, soon, "the link is up", func() bool { return u.Status().State == uplink.Up })
	eventually(t, soon, "both certificates are told of", func() bool {
		return count(`E309 our certificate "our-old"`) == 1 && count(`E309 the server's certificate "cloud.test"`) == 1
	})
	eventually(t, soon, "both are in the status", func() bool { return len(u.Expiring()) == 2 })
	newCert, newKey := ca.issue(t, "our-new", now.Add(-time.Hour), now.Add(300*day))
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if s := u.Status(); s.State != uplink.Up || s.Reconnects != 0 {
		t.Errorf("the renewal disturbed the session: %+v", s)
	}
	cloud.stop(t)
	cloud.start(t)
	eventually(t, soon, "the link is back", func() bool { s := u.Status(); return s.State == uplink.Up && s.Reconnects > 0 })
	eventually(t, soon, "the renewal is seen", func() bool { return len(u.Expiring()) == 1 })
	if got := u.Expiring(); strings.Contains(got[0], "our") {
		t.Errorf("expiring after the renewal: %q", got)
	}
	if n := count("E309"); n != 2 {
		t.Errorf("%d events after the renewal and a reconnect, want 2 as before: %q", n, events)
	}
}
