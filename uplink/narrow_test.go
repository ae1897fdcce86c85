// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
	"edged/uplink"
)

// A path that swallows large packets lets every handshake pass, so the state changes between up and down. What is wrong is
// told in both, from the second such session on, until large packets pass.
func TestAPathTooNarrowIsNamed(t *testing.T) {
	for _, c := range []struct {
		name         string
		taken, waits uint64 // in each session, by the kernel
		want         string
	}{
		{"nothing large passes", 300, 2000, "E316"},
		{"a full packet passed", 1500, 2000, ""},
		{"nothing large was sent", 300, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				th := newTheatre(t)
				var pc *pipeConn
				r := start(t, config(), &localBroker{}, func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
					nc, err := th.dial(ctx, a)
					pc = &pipeConn{Conn: nc, taken: 50}
					return pc, err
				})
				says := func(state, code string) {
					t.Helper()
					synctest.Wait()
					if s := r.up.Status(); s.State != state || s.Code != code {
						t.Errorf("status %s %q %q, want %s %q", s.State, s.Code, s.Text, state, code)
					}
				}
				session := func() *actor {
					a := th.accept()
					a.want(wire.Connect)
					a.send(again)
					a.want(wire.Publish)
					synctest.Wait()
					pc.mu.Lock()
					pc.taken, pc.waits = pc.taken+c.taken, c.waits
					pc.mu.Unlock()
					return a
				}
				dies := func(a *actor) {
					for err := error(nil); err == nil; _, err = a.in.next() {
					}
				}
				a := session()
				says(uplink.Up, "")
				dies(a)
				says(uplink.Down, "")
				a = session()
				says(uplink.Up, "")
				dies(a)
				says(uplink.Down, c.want)
				a = session()
				says(uplink.Up, c.want)
				pc.mu.Lock()
				pc.taken, pc.waits = pc.taken+2000, 0
				pc.mu.Unlock()
				time.Sleep(time.Second)
				says(uplink.Up, "")
				a.close()
				r.stop()
				<-r.ended
			})
		})
	}
}
