// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"edged/uplink/reach"
)

// way is how the cloud is reached.
func (c Config) way() reach.Config {
	r := reach.Config{CA: c.CA, Cert: c.Cert, Key: c.Key, ALPN: c.ALPN, Proxy: c.ProxySecret}
	if c.Proxy != "" {
		r.Proxy = func() ([]byte, error) { return []byte(c.Proxy), nil }
	}
	return r
}

func (d Deps) way() reach.Deps {
	r := reach.Deps{Log: d.Log, Floor: d.Floor, Dial: d.Dial, Resolve: d.Resolve, ResolveSRV: d.ResolveSRV, Memory: d.Memory}
	if r.Dial == nil {
		r.Dial = dialTCP
	}
	return r
}

// Certificates returns those on which the link depends: ours as it is in its file, and those that the server showed last.
func (u *Uplink) Certificates() []reach.Certificate { return u.dialer.Certificates() }
