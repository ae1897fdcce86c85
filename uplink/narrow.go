// SPDX-License-Identifier: Apache-2.0

package uplink

const (
	// narrowCode says that large packets do not pass.
	narrowCode = "E316"
	// mostNarrow is how many sessions in a row must have died in that way: one may be chance.
	mostNarrow = 2
	// full is nearly a full packet of most networks. A session in which the peer's TCP took less, although more waited,
	// had no full packet acknowledged.
	full    = 1400
	waiting = 1000
)

// outlet is what the kernel told of a session's bytes, for whoever asks why it died.
type outlet struct {
	known  bool
	before uint64 // taken by the peer's TCP when the session began
	taken  uint64 // since
	waits  uint64 // at the last look, not yet taken
}

func newOutlet(p pipe) outlet {
	n, known := p.Taken()
	return outlet{known: known, before: n}
}

func (o *outlet) look(p pipe) {
	if n, known := p.Taken(); known {
		o.taken = n - o.before
	}
	if n, known := p.Waiting(); known {
		o.waits = n
	}
}

// narrow says whether the peer's TCP may have taken small packets only: a path that drops what is larger than its MTU, and
// also the messages which would say so, lets the handshake pass and then nothing.
func (o *outlet) narrow() bool { return o.known && o.taken < full && o.waits >= waiting }

// narrowed explains the end of a session that died because large packets do not pass, if it was not the first.
func (u *Uplink) narrowed(a *attempt, o *outlet) {
	switch {
	case endOf(a, false) != Dead || !o.narrow():
		u.narrow = 0
	default:
		if u.narrow++; u.narrow >= mostNarrow {
			a.err = u.tooNarrow(a.err)
		}
	}
}

func (u *Uplink) tooNarrow(err error) error {
	return &failure{narrowCode, "small packets pass and large ones do not: something on the way drops packets beyond its MTU and does not say so;" +
		" set a lower MTU for this machine's interface (ip link set dev NAME mtu 1280), or mend the tunnel or firewall that drops ICMP", err}
}

// wide takes the suspicion back, once large packets passed.
func (s *session) wide() {
	if s.u.narrow == 0 || s.out.taken < full {
		return
	}
	s.u.narrow = 0
	s.u.state(func(st *Status) {
		if st.Code == narrowCode {
			st.Code, st.Text = "", ""
		}
	})
}
