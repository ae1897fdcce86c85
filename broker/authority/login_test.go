// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// cheap is a hash of a password that takes no time.
const cheap = pbkdf2OfSecret

func named(address, user, password string) Credentials {
	return Credentials{Address: address, ClientID: user, HasUsername: true, Username: user, HasPassword: true, Password: []byte(password)}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	users := map[string]User{
		"plain":  {Password: secretOf("right\n")},
		"hashed": {Password: secretOf(cheap + "\r\n")},
		"card":   {Cert: "CN=plc-7"},
		"two":    {Cert: "CN=plc-7,O=Plant", Password: secretOf("right"), ClientIDs: []string{"x"}},
	}
	cert := func(org string) *x509.Certificate {
		names := []pkix.AttributeTypeAndValue{attr(asn1.ObjectIdentifier{2, 5, 4, 3}, "plc-7")}
		if org != "" {
			names = append(names, attr(asn1.ObjectIdentifier{2, 5, 4, 10}, org))
		}
		return &x509.Certificate{Subject: pkix.Name{Names: names}}
	}
	with := func(c Credentials, change func(c *Credentials)) Credentials {
		change(&c)
		return c
	}
	for i, x := range []struct {
		users     bool
		anonymous bool
		c         Credentials
		user      string
		want      error
	}{
		{true, false, named("a", "plain", "right"), "plain", nil},
		{true, false, named("a", "plain", "wrong"), "", ErrCredentials},
		{true, false, named("a", "plain", "right\n"), "", ErrCredentials},
		{true, false, named("a", "plain", ""), "", ErrCredentials},
		{true, false, named("a", "hashed", "secret"), "hashed", nil},
		{true, false, named("a", "hashed", cheap), "", ErrCredentials}, // the hash is no password
		{true, false, named("a", "stranger", "right"), "", ErrCredentials},
		{true, false, named("a", "", "right"), "", ErrCredentials},
		{true, false, named("a", "$operator", "right"), "", ErrCredentials},
		{true, false, named("a", "~edged-dev-air", "right"), "", ErrCredentials},
		{true, false, named("a", "card", "right"), "", ErrCredentials},
		{true, false, Credentials{ClientID: "plain", HasUsername: true, Username: "plain"}, "", ErrCredentials},
		{true, false, with(named("a", "plain", "right"), func(c *Credentials) { c.ClientID = "other" }), "", ErrRights},
		{true, false, with(named("a", "plain", "right"), func(c *Credentials) { c.ClientID = "edged-plain" }), "", ErrRights},
		{true, false, Credentials{ClientID: "x"}, "", ErrRights},
		{true, true, Credentials{ClientID: "y"}, "", nil},
		{true, true, Credentials{ClientID: "x"}, "", ErrRights}, // it is a user's,
		{true, true, Credentials{ClientID: "edged-x"}, "", ErrRights},
		{true, true, named("a", "stranger", "right"), "", ErrCredentials},
		{false, true, named("a", "stranger", "any"), "", nil},
		{false, false, named("a", "stranger", "any"), "", ErrCredentials},

		{true, false, Credentials{ClientID: "card", Certificate: cert("")}, "card", nil},
		{true, false, Credentials{ClientID: "card", Certificate: cert("Other")}, "card", nil},
		{true, false, Credentials{ClientID: "card", Certificate: cert("Plant")}, "", ErrRights}, // two users' subjects
		{true, false, Credentials{ClientID: "x", Certificate: cert("Plant")}, "", ErrRights},
		{true, false, Credentials{ClientID: "card", Certificate: cert("Plant"), HasUsername: true, Username: "card"}, "card", nil},
		{true, false, Credentials{ClientID: "x", Certificate: cert("Plant"), HasUsername: true, Username: "two"}, "two", nil},
		{true, false, Credentials{ClientID: "x", Certificate: cert(""), HasUsername: true, Username: "two"}, "", ErrCredentials},
		{true, false, Credentials{ClientID: "plain", Certificate: cert(""), HasUsername: true, Username: "plain"}, "", ErrCredentials},
		{true, false, with(named("a", "plain", "right"), func(c *Credentials) { c.Certificate = cert("") }), "plain", nil},
		{true, false, Credentials{ClientID: "other", Certificate: cert("")}, "", ErrRights},

		{true, false, Credentials{ClientID: "x", HasUID: true, UID: 0}, "$operator", nil},
		{true, false, Credentials{ClientID: "x", HasUID: true, UID: os.Getuid()}, "$operator", nil},
		{true, false, Credentials{ClientID: "edged-x", HasUID: true, UID: 0}, "", ErrRights},
		{true, false, Credentials{ClientID: "x", HasUID: true, UID: 4242}, "", ErrRights},
		{true, true, Credentials{ClientID: "y", HasUID: true, UID: 4242}, "", nil},
		{true, false, with(named("a", "plain", "right"), func(c *Credentials) { c.HasUID = true }), "plain", nil},
		{true, false, with(named("a", "plain", "wrong"), func(c *Credentials) { c.HasUID = true }), "", ErrCredentials},
	} {
		a := New()
		if x.users {
			apply(t, a, users, x.anonymous)
		} else {
			apply(t, a, nil, x.anonymous)
		}
		got, err := a.Login(t.Context(), x.c)
		if !errors.Is(err, x.want) || got.User() != x.user || got.ID != x.c.ClientID {
			t.Errorf("%d: %+v: user %q as %q, %v; want %q, %v", i, x.c, got.User(), got.ID, err, x.user, x.want)
		}
	}
}

// A process on a Unix socket is the user of its account's name.
func TestAccountIsAUser(t *testing.T) {
	t.Parallel()
	u, err := user.Lookup("daemon")
	if err != nil {
		t.Fatalf("this machine has no account daemon: %v", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	a := with(t, map[string]User{"daemon": {Password: secretOf("p")}, "plc": {Password: secretOf("p")}}, false)
	for _, x := range []struct {
		c    Credentials
		want error
	}{
		{Credentials{ClientID: "daemon", HasUID: true, UID: uid}, nil},
		{Credentials{ClientID: "daemon", HasUID: true, UID: uid, HasUsername: true, Username: "daemon"}, nil},
		{Credentials{ClientID: "plc", HasUID: true, UID: uid}, ErrRights},
		{Credentials{ClientID: "plc", HasUID: true, UID: uid, HasUsername: true, Username: "plc"}, ErrCredentials},
	} {
		if got, err := a.Login(t.Context(), x.c); !errors.Is(err, x.want) || err == nil && got.User() != "daemon" {
			t.Errorf("%+v: %q, %v; want %v", x.c, got.User(), err, x.want)
		}
	}
}

// A client without an identifier gets one that its user may use.
func TestClientIDIsGiven(t *testing.T) {
	t.Parallel()
	a := with(t, map[string]User{
		"u": {Password: secretOf("p")}, "fixed": {Password: secretOf("p"), ClientIDs: []string{"a"}},
	}, true)
	for _, x := range []struct{ user, head string }{{"u", "u-"}, {"", "auto-"}} {
		c := named("a", x.user, "p")
		c.ClientID, c.HasUsername = "", x.user != ""
		got, err := a.Login(t.Context(), c)
		if err != nil || !strings.HasPrefix(got.ID, x.head) || len(got.ID) < 20 {
			t.Errorf("%q: %q, %v", x.user, got.ID, err)
		}
	}
	c := named("a", "fixed", "p")
	c.ClientID = ""
	if _, err := a.Login(t.Context(), c); !errors.Is(err, ErrRights) {
		t.Errorf("a user with fixed identifiers: %v", err)
	}
}

// Many clients of one user that come back at once cost one hash.
func TestStormIsCheap(t *testing.T) {
	t.Parallel()
	a := with(t, map[string]User{"u": {Password: secretOf(HashPassword([]byte("p")))}}, false)
	a.hashing <- struct{}{}
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			if _, err := a.Login(t.Context(), named("10.0.0.1", "u", "p")); err != nil {
				t.Error(err)
			}
		})
	}
	for here := 0; here < 500; runtime.Gosched() {
		a.brake.mu.Lock()
		if p := a.brake.places["10.0.0.1"]; p != nil {
			here = p.here
		}
		a.brake.mu.Unlock()
	}
	began := time.Now()
	<-a.hashing
	wg.Wait()
	if d := time.Since(began); d > 5*time.Second { // each with its own would take more than ten
		t.Errorf("500 logins took %v", d)
	}
}

// A login that waits ends with its CONNECT's time.
func TestLoginIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := with(t, map[string]User{"h": {Password: secretOf(cheap)}}, false)
		a.hashing <- struct{}{} // somebody's takes for ever
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Login(ctx, named("a", "h", "secret")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if len(a.brake.places) != 0 {
			t.Error("it still has a place")
		}
	})
}

// For a user that there is not, as much is computed as for one with a wrong password.
func TestStrangersCostAsMuch(t *testing.T) {
	t.Parallel()
	a := with(t, map[string]User{"u": {Password: secretOf(HashPassword([]byte("p")))}, "plain": {Password: secretOf("p")}, "old": {Password: secretOf(cheap)}}, false)
	for i, name := range []string{"u", "plain", "old", "stranger", "", "~x"} {
		began := time.Now()
		if _, err := a.Login(t.Context(), named("10.0.0."+strconv.Itoa(i), name, "x")); !errors.Is(err, ErrCredentials) {
			t.Errorf("%q: %v", name, err)
		}
		if d := time.Since(began); d < 5*time.Millisecond { // argon2id takes 20 ms and more
			t.Errorf("%q: refused within %v", name, d)
		}
	}
}

// Who came in by a password stays while that is what is stored, and only then.
func TestChangedPassword(t *testing.T) {
	t.Parallel()
	users := func(password, cert string) map[string]User {
		return map[string]User{"u": {Password: secretOf(password), Cert: cert}}
	}
	a := with(t, users("p", "CN=a"), false)
	by, err := a.Login(t.Context(), named("a", "u", "p"))
	if err != nil {
		t.Fatal(err)
	}
	card, err := a.Login(t.Context(), Credentials{ClientID: "u", Certificate: &x509.Certificate{
		Subject: pkix.Name{Names: []pkix.AttributeTypeAndValue{attr(asn1.ObjectIdentifier{2, 5, 4, 3}, "a")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		password, cert string
		by, card       bool
	}{{"p", "CN=a", true, true}, {"p\n", "CN=b", true, false}, {"q", "CN=b", false, false}} {
		apply(t, a, users(x.password, x.cert), false)
		if by.MayStay() != x.by || card.MayStay() != x.card {
			t.Errorf("%+v: by password %v, by certificate %v", x, by.MayStay(), card.MayStay())
		}
	}
	if !a.Client("u", "u").MayStay() {
		t.Error("the session has no owner any more")
	}
}
