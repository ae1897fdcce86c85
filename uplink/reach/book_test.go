// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// nameService answers as the test says.
type nameService struct {
	answer []netip.Addr
	fault  error
	silent string // the network that gets no answer
}

func (n *nameService) resolve(ctx context.Context, network, _ string) ([]netip.Addr, error) {
	if network == n.silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if n.fault != nil {
		return nil, n.fault
	}
	found := slices.DeleteFunc(slices.Clone(n.answer), func(a netip.Addr) bool { return a.Is4() != (network == "ip4") })
	for i, a := range found {
		found[i] = netip.AddrFrom16(a.As16()) // Go's resolver gives IPv4 addresses in either form
	}
	if len(found) == 0 {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	return found, nil
}

var (
	a4 = netip.MustParseAddr("192.0.2.1")
	b4 = netip.MustParseAddr("192.0.2.2")
	c6 = netip.MustParseAddr("2001:db8::1")
)

func cloudAt(a netip.Addr) endpoint { return endpoint{"cloud.test", a, 8883} }

func TestAddressBook(t *testing.T) {
	t.Parallel()
	n := &nameService{answer: []netip.Addr{c6, a4, b4}}
	d := New(Config{}, Deps{Resolve: func(ctx context.Context, network, host string) ([]netip.Addr, error) {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the name service is asked without a deadline")
		}
		return n.resolve(ctx, network, host)
	}})
	look := func(step string, want ...netip.Addr) {
		t.Helper()
		got, err := d.look(t.Context(), "cloud.test")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", step, got, err, want)
		}
	}
	look("both families in turn", c6, a4, b4)
	if err := d.book.worked(cloudAt(b4)); err != nil {
		t.Fatal(err)
	}
	look("the last good one first", b4, c6, a4)
	n.fault = errors.New("SERVFAIL")
	look("when the name service fails", b4, c6, a4)
	n.fault, n.answer = nil, []netip.Addr{c6, a4}
	look("when the name service has another opinion", b4, c6, a4)
	d.book.failed(cloudAt(b4))
	look("after the others once it failed", c6, a4, b4)
	d.book.failed(cloudAt(c6))
	d.book.failed(cloudAt(c6))
	look("what failed least first", a4, b4, c6)
	n.answer = nil
	look("what carried a session stays when the name service knows nothing", b4)
	if got, err := d.look(t.Context(), "192.0.2.9"); err != nil || len(got) != 1 {
		t.Errorf("an address as a name: %v, %v", got, err)
	}
	var f *Failure
	if _, err := d.look(t.Context(), "nowhere.test"); !errors.As(err, &f) || f.Code != "E306" || !strings.Contains(f.Text, "nowhere.test") {
		t.Errorf("a name without addresses gives %v", err)
	}
}

func TestAGrudgeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{}, Deps{Resolve: (&nameService{answer: []netip.Addr{a4, b4}}).resolve})
		first := func() netip.Addr {
			t.Helper()
			got, err := d.look(t.Context(), "cloud.test")
			if err != nil {
				t.Fatal(err)
			}
			return got[0]
		}
		first()
		d.book.failed(cloudAt(a4))
		if got := first(); got != b4 {
			t.Errorf("right after it failed %v comes first, want %v", got, b4)
		}
		time.Sleep(grudge + time.Second)
		if got := first(); got != a4 {
			t.Errorf("%v later %v comes first, want %v", grudge, got, a4)
		}
	})
}

func TestANameServiceThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nameService{answer: []netip.Addr{a4, c6}, silent: "ip6"}
		d := New(Config{}, Deps{Resolve: n.resolve})
		took := func(step string, want time.Duration, addrs ...netip.Addr) {
			t.Helper()
			began := time.Now()
			got, err := d.look(t.Context(), "cloud.test")
			if d := time.Since(began); d != want || !slices.Equal(got, addrs) {
				t.Errorf("%s: got %v, %v after %v, want %v after %v", step, got, err, d, addrs, want)
			}
		}
		took("AAAA is never answered", otherFamily, a4)
		n.silent = "ip4"
		n.answer = nil
		took("then nothing is", refreshTime, a4)
		d = New(Config{}, Deps{Resolve: func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		took("nothing is known", resolveTime)
		var f *Failure
		if _, err := d.look(t.Context(), "cloud.test"); !errors.As(err, &f) || !strings.Contains(f.Text, "did not answer") {
			t.Errorf("a dead name service gives %v", err)
		}
	})
}

func TestAddressesAreKept(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "addresses")
	open := func(n *nameService) *Dialer { return New(Config{}, Deps{Resolve: n.resolve, Memory: file}) }
	d := open(&nameService{answer: []netip.Addr{a4, c6}})
	if _, err := d.look(t.Context(), "cloud.test"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("addresses are kept before one was good")
	}
	d.book.learnServices("_mqtt._tcp.cloud.test", []service{{"x.cloud.test", 1883}})
	if err := d.book.worked(cloudAt(a4)); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	dead := &nameService{fault: errors.New("SERVFAIL")}
	d = open(dead)
	got, err := d.look(t.Context(), "cloud.test")
	if want := []netip.Addr{a4, c6}; err != nil || !slices.Equal(got, want) {
		t.Errorf("after a restart without a name service: %v, %v, want %v", got, err, want)
	}
	if got := d.book.servicesOf("_mqtt._tcp.cloud.test"); len(got) != 1 || got[0] != (service{"x.cloud.test", 1883}) {
		t.Errorf("SRV records after a restart: %v", got)
	}
	if err := d.book.worked(cloudAt(a4)); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was written again although nothing changed (%v)", err)
	}
}

func FuzzMemory(f *testing.F) {
	f.Add([]byte(`{"hosts":{"a":{"known":["192.0.2.1"],"good":["2001:db8::1"]}},"services":{"s":[{"host":"h","port":1}]}}`))
	f.Add([]byte(`{"hosts":{"a":null,"b":{"good":["",""]}},"services":{"s":[{}]}}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, kept []byte) {
		file := filepath.Join(t.TempDir(), "addresses")
		if err := os.WriteFile(file, kept, 0o600); err != nil {
			t.Fatal(err)
		}
		d := New(Config{}, Deps{Resolve: (&nameService{fault: errors.New("SERVFAIL")}).resolve, Memory: file})
		for _, name := range []string{"a", "b"} {
			got, err := d.look(t.Context(), name)
			if err == nil && (len(got) == 0 || len(got) > mostTried) || slices.ContainsFunc(got, func(a netip.Addr) bool { return !a.IsValid() }) {
				t.Errorf("%q: %v, %v", kept, got, err)
			}
		}
		for _, s := range d.book.servicesOf("s") {
			if s.Host == "" || s.Port == 0 {
				t.Errorf("%q: SRV %v", kept, s)
			}
		}
		if err := d.book.worked(endpoint{"a", a4, 1}); err != nil {
			t.Error(err)
		}
	})
}
