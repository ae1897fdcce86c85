// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/url"

	"edged/broker/listener"
)

// listener checks the form of an address to listen on; the broker checks whether it can serve it.
func (v value) listener(s string) {
	if _, err := listener.Parse(s); err != nil {
		v.bad(err.Error(), "")
	}
}

// open tells whether others than this machine itself can reach a listener.
func open(address string) bool {
	a, err := listener.Parse(address)
	return err == nil && !a.Local()
}

// origin checks the Origin of a page whose scripts may use the WebSocket listeners.
func (v value) origin(s string) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || s != u.Scheme+"://"+u.Host {
		v.bad(fmt.Sprintf("%q is no origin", s), `write it as a browser sends it, such as "https://panel.example.com" or "http://10.0.0.5:8080"`)
	}
}
