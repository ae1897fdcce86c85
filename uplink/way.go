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

func (d Deps) way(shown func()) reach.Deps {
	r := reach.Deps{Shown: shown, Log: d.Log, Floor: d.Floor, Dial: d.Dial, Resolve: d.Resolve, ResolveSRV: d.ResolveSRV, Memory: d.Memory}
	if r.Dial == nil {
		r.Dial = dialTCP
	}
	return r
}
