// SPDX-License-Identifier: Apache-2.0

package uplink

import "time"

// Config is what the uplink may be told; [Defaults] gives the rest. "{gateway}" in ClientID, Username, Send and
// Receive has been replaced by the gateway's id before New sees it.
type Config struct {
	URLs      []string               // mqtt://HOST:PORT or mqtts://HOST:PORT, tried in turn
	Version   byte                   // 4 (3.1.1)
	ClientID  string                 // default: the gateway's id
	Username  string                 // "": none
	Password  func() ([]byte, error) // reads the secret anew at each use; nil: none
	CA        string                 // PEM file; "": the system's
	Cert, Key string                 // PEM files of a client certificate; "": none
	KeepAlive time.Duration          // whole seconds
	Send      []string               // local filters that go to the cloud
	Receive   []string               // cloud filters that come in
	Prefix    string                 // before every topic in the cloud, taken off on the way in
	QoS       byte                   // highest towards the cloud
	Inflight  int                    // messages on their way to the cloud
	QueueSize int64                  // bytes that may wait for the cloud; the broker drops the oldest beyond
}

// Defaults is the configuration of an [uplink] table that names only its url. Send and Receive hold "{gateway}".
func Defaults() Config {
	return Config{
		Version: 4, ClientID: "{gateway}", KeepAlive: 60 * time.Second,
		Send: []string{"edged/{gateway}/#"}, Receive: []string{"edged/{gateway}/dev/+/set"},
		QoS: 1, Inflight: 100, QueueSize: 256 << 20,
	}
}
