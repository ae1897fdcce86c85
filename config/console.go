// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"

	"edged/console"
)

func consoleFields(c *console.Config) []field { return []field{{"listen", text(&c.Listen)}} }

// console reports a console that others can reach without what it needs for them: a certificate and somebody who may log
// in. Both are the broker's.
func (v value) console(cfg *Config) {
	if cfg.Console.Local() || v.told["console.listen"] {
		return
	}
	problem := ""
	switch listen, tls := cfg.Console.Listen, cfg.Broker.TLS; {
	case tls.Cert == "" || tls.Key == "":
		problem = fmt.Sprintf("%q speaks HTTPS: name a certificate, and its key, as [broker.tls] cert and key; or listen on \"127.0.0.1:%s\"", listen, cfg.Console.Port())
	case !cfg.someoneCanLogIn():
		problem = fmt.Sprintf("%q is open to the network, and no user of the broker has a password: edged user add NAME makes one; or listen on \"127.0.0.1:%s\" (E410)", listen, cfg.Console.Port())
	default:
		return
	}
	v.kid("console").reported("listen", problem)
}

func (cfg *Config) someoneCanLogIn() bool {
	for _, u := range cfg.Broker.Users {
		if u.Password != nil {
			return true
		}
	}
	return false
}
