// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"edged/broker"
	"edged/broker/journal/journaltest"
	"edged/broker/listener/listenertest"
)

// everyListener runs a broker with a listener of each kind, and returns their urls and the file with the authority that
// signed its certificate.
func everyListener(t *testing.T) (urls []string, ca string) {
	t.Helper()
	dir := t.TempDir()
	authority := listenertest.NewAuthority(t)
	cert, key := authority.Issue("localhost")
	socket := filepath.Join(dir, "mqtt.sock")
	cfg := broker.Defaults()
	cfg.Listen = []string{"127.0.0.1:0", "tls://127.0.0.1:0", "ws://127.0.0.1:0/mqtt", "wss://127.0.0.1:0/mqtt", "unix://" + socket}
	cfg.TLS.Cert, cfg.TLS.Key = listenertest.Write(t, dir, "cert.pem", cert), listenertest.Write(t, dir, "key.pem", key)
	b, err := broker.Open(cfg, "state", nil, broker.Options{FS: journaltest.New()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := b.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	for i, scheme := range []string{"mqtt", "mqtts", "ws", "wss"} {
		url := scheme + "://" + b.Addrs()[i].String()
		if strings.HasPrefix(scheme, "ws") {
			url += "/mqtt"
		}
		urls = append(urls, url)
	}
	return append(urls, "unix://"+socket), listenertest.Write(t, dir, "ca.pem", authority.PEM)
}

// sub and pub reach another broker by each of its listeners.
func TestURLOfEachKind(t *testing.T) {
	urls, ca := everyListener(t)
	for _, url := range urls {
		if _, talk, exit := call(t, "", "pub", "--url", url, "--ca", ca, "--retain", "kept", url); exit != exitFine {
			t.Errorf("pub --url %s: exit %d, %s", url, exit, talk)
		}
		if out, talk, exit := call(t, "", "sub", "--url", url, "--ca", ca, "-n", "1", "kept"); exit != exitFine || out != "kept "+url+"\n" {
			t.Errorf("sub --url %s: exit %d, %q, %s", url, exit, out, talk)
		}
	}
}

func TestURLsThatLeadNowhere(t *testing.T) {
	urls, _ := everyListener(t)
	for _, c := range []struct {
		url, says string
		exit      int
	}{
		{"http://127.0.0.1", "not known", exitUsage},
		{"mqtt:", "address", exitUsage},
		{"unix:", "three slashes", exitUsage},
		{"unix://host/path", "three slashes", exitUsage},
		{"mqtt://user:hunter2@%zz", "read", exitUsage},
		{"unix:///nowhere/mqtt.sock", "/nowhere/mqtt.sock", exitUnavailable},
		{urls[1], "authority", exitUnavailable}, // its authority is not the system's
		{strings.Replace(urls[2], "/mqtt", "/elsewhere", 1), "404", exitUnavailable},
	} {
		_, talk, exit := call(t, "", "pub", "--url", c.url, "a", "b")
		if exit != c.exit || !strings.Contains(talk, c.says) || strings.Contains(talk, "hunter2") {
			t.Errorf("--url %s: exit %d, want %d with %q:\n%s", c.url, exit, c.exit, c.says, talk)
		}
	}
}
