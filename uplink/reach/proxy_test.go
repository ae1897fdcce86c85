// SPDX-License-Identifier: Apache-2.0

package reach_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"edged/uplink/reach"
)

// throughProxy opens a connection through a proxy that answers so and then ends, and returns what came after the answer.
func throughProxy(t *testing.T, address, answer string) (asked, rest string, err error) {
	t.Helper()
	ended := make(chan string, 1)
	d := reach.New(reach.Config{Proxy: func() ([]byte, error) { return []byte(address), nil }}, reach.Deps{
		Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				buf := make([]byte, 1024)
				n, _ := ours.Read(buf)
				io.WriteString(ours, answer)
				ours.Close()
				ended <- string(buf[:n])
			}()
			return theirs, nil
		},
	})
	c, err := d.Open(t.Context(), target(t, "mqtt://cloud.test:1883"), nil)
	if err == nil {
		b, _ := io.ReadAll(c)
		rest = string(b)
		c.Close()
	}
	return <-ended, rest, err
}

func TestAfterTheProxysAnswerAllIsTheBrokers(t *testing.T) {
	t.Parallel()
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 Connection established\r\nVia: 1.0 p\r\nX: " + strings.Repeat("y", 5000) + "\r\n\r\n", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
	} {
		asked, rest, err := throughProxy(t, "http://192.0.2.1", head+"broker's")
		want := "CONNECT cloud.test:1883 HTTP/1.1\r\nHost: cloud.test:1883\r\n\r\n"
		if err != nil || rest != "broker's" || asked != want {
			t.Errorf("%.40q: %v, asked %q, the broker said %q", head, err, asked, rest)
		}
		for i := range len(head[:17]) {
			if _, _, err := throughProxy(t, "http://192.0.2.1", head[:i]); codeOf(err) != "E308" {
				t.Errorf("cut at byte %d: %v, want E308", i, err)
			}
		}
	}
}

func TestWhatIsNoProxyIsNotTold(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-geheim"
	d := reach.New(reach.Config{Proxy: func() ([]byte, error) { return []byte(secret), nil }}, reach.Deps{})
	_, err := d.Open(t.Context(), target(t, "mqtt://cloud.test"), nil)
	if codeOf(err) != "E308" || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v, want E308 without the secret", err)
	}
}

func FuzzProxyAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\n\r\nrest")
	f.Add("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 99999999999\r\n\r\n")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n")
	f.Add("220 smtp\r\n")
	f.Fuzz(func(t *testing.T, answer string) {
		began := time.Now()
		_, rest, err := throughProxy(t, "http://u:p@192.0.2.1:8080", answer)
		if err == nil && !strings.HasSuffix(answer, rest) {
			t.Errorf("%q: the broker's %q is not its end", answer, rest)
		}
		if took := time.Since(began); took > 9*time.Second {
			t.Errorf("%q: took %v", answer, took)
		}
	})
}
