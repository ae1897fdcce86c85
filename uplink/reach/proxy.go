// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	proxyTime = 10 * time.Second
	mostHead  = 16 << 10 // of a proxy's answer
)

// proxy is an HTTP proxy that leads to the broker when it is asked by CONNECT (RFC 9110, 9.3.6).
type proxy struct {
	host  string
	port  uint16
	login *url.Userinfo // nil: none
}

// ParseProxy checks the address of a proxy, http://[USER:PASSWORD@]HOST:PORT. The error is an [*AddressError]; where the
// address is right but holds a password, which must not stand in a configuration, its Secret is set.
func ParseProxy(s string) error {
	p, err := parseProxy(s)
	if err == nil && p.login != nil {
		return &AddressError{
			Text: "a user or password must not stand in the address",
			Hint: `put the whole address into a file and write proxy = "file:/etc/edged/secrets/proxy"`, Secret: true,
		}
	}
	return err
}

func parseProxy(s string) (*proxy, error) {
	const hint = "write http://HOST:PORT"
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return nil, &AddressError{Text: fmt.Sprintf("%q is no address of a proxy", redacted(s)), Hint: hint}
	case u.Scheme != "http":
		return nil, &AddressError{Text: fmt.Sprintf("a proxy is not spoken to by %s://", u.Scheme), Hint: hint + "; what goes through it is encrypted all the same where url says so"}
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, &AddressError{Text: "the address of a proxy has no path", Hint: hint}
	}
	p := &proxy{host: u.Hostname(), port: 3128, login: u.User}
	if text := u.Port(); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return nil, &AddressError{Text: fmt.Sprintf("port %s is not 1 to 65535", text)}
		}
		p.port = uint16(n)
	}
	return p, nil
}

// proxy reads the address of the proxy.
func (d *Dialer) proxy() (*proxy, error) {
	text, err := d.cfg.Proxy()
	if err != nil {
		return nil, fmt.Errorf("read the address of the proxy: %w", err)
	}
	p, err := parseProxy(string(text))
	if err != nil {
		// What it is may be another secret, so it is not told.
		return nil, &Failure{"E308", "uplink.proxy holds or refers to what is no address of a proxy; write http://HOST:PORT, or refer to http://USER:PASSWORD@HOST:PORT", nil}
	}
	return p, nil
}

// address is the proxy without its login.
func (p *proxy) address() string { return net.JoinHostPort(p.host, strconv.Itoa(int(p.port))) }

// lead has the proxy connect on to the broker.
func (p *proxy) lead(ctx context.Context, c *Conn) error {
	ctx, cancel := context.WithTimeout(ctx, proxyTime)
	defer cancel()
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { ended <- c.Raw.SetDeadline(time.Unix(1, 0)) })
	answer, err := p.ask(c)
	if !stop() {
		err = errors.Join(fmt.Errorf("no answer in %v: %w", proxyTime, ctx.Err()), err, <-ended)
	}
	first := c.peek.bytes()
	// What the proxy said itself tells nothing about the broker.
	c.peek = &peek{Conn: c.Raw}
	c.Conn = c.peek
	switch {
	case err != nil && len(first) > 0 && string(first) != "HTTP/":
		return &Failure{"E308", fmt.Sprintf("%s does not answer like an HTTP proxy; check uplink.proxy", p.address()), err}
	case err != nil:
		return &Failure{"E308", fmt.Sprintf("the proxy %s did not answer; check uplink.proxy", p.address()), err}
	}
	return p.judge(answer, c.to)
}

// ask sends CONNECT and reads the answer. Not a byte is read beyond: what follows is the broker's.
func (p *proxy) ask(c *Conn) (*http.Response, error) {
	to := net.JoinHostPort(c.to.host, strconv.Itoa(int(c.to.port)))
	request := "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n"
	if p.login != nil {
		password, _ := p.login.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(p.login.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(c.Conn, request+"\r\n"); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(&slow{r: io.LimitReader(c.Conn, mostHead)}, 16)
	return http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
}

// slow gives one byte at a time.
type slow struct{ r io.Reader }

func (s *slow) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), 1)]) }

// judge says what the answer means; nil: the way is open.
func (p *proxy) judge(answer *http.Response, to far) error {
	name := fmt.Sprintf("the proxy %s", p.address())
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusProxyAuthRequired:
		return &Failure{"E308", fmt.Sprintf(`%s refuses our user and password, or wants some; put http://USER:PASSWORD@HOST:PORT into a file and write uplink.proxy = "file:PATH"`, name), nil}
	case code == http.StatusForbidden || code == http.StatusMethodNotAllowed:
		return &Failure{"E308", fmt.Sprintf("%s does not allow connections to %s port %d (%s); whoever runs it must, or use a port that it allows (443 as a rule)", name, to.host, to.port, answer.Status), nil}
	case code == http.StatusBadGateway || code == http.StatusServiceUnavailable || code == http.StatusGatewayTimeout:
		return &Failure{"E308", fmt.Sprintf("%s does not reach %s port %d (%s); check uplink.url", name, to.host, to.port, answer.Status), nil}
	}
	return &Failure{"E308", fmt.Sprintf("%s answers CONNECT with %s; check uplink.proxy", name, answer.Status), nil}
}
