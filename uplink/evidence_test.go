// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
)

// Who was refused is let in as soon as the password is right, not after a minute or more. One that cannot be read for a
// moment, because it is being replaced, is no other.
func TestARenewedPasswordIsShownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var password atomic.Value
		password.Store("old")
		cfg := config()
		cfg.Username = "u"
		cfg.Password = func() ([]byte, error) {
			if p := password.Load().(string); p != "" {
				return []byte(p), nil
			}
			return nil, errors.New("no such file")
		}
		th := newTheatre(t)
		r := start(t, cfg, &localBroker{}, th.dial)
		refuse := func(want string) {
			t.Helper()
			a := th.accept()
			if got := string(a.want(wire.Connect)); !strings.HasSuffix(got, want) {
				t.Errorf("CONNECT %q, want the password %q", got, want)
			}
			a.send("\x20\x02\x00\x04")
			synctest.Wait()
			a.close()
		}
		refuse("old")
		for _, p := range []string{"new", "newer"} {
			time.Sleep(10 * time.Second)
			password.Store("")
			time.Sleep(10 * time.Second)
			password.Store(p)
			began := time.Now()
			refuse(p)
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("a new password was tried after %v", d)
			}
		}
		began := time.Now()
		refuse("newer")
		if d := time.Since(began); d < time.Minute {
			t.Errorf("the same password was tried again after %v", d)
		}
		r.stop()
		<-r.ended
	})
}

// It is the same for each file.
func TestRenewedFilesAreShownAtOnce(t *testing.T) {
	for _, which := range []string{"ca", "cert", "key"} {
		t.Run(which, func(t *testing.T) {
			dir := t.TempDir()
			file := func(name string) string { return filepath.Join(dir, name) }
			write := func(name, text string) {
				if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"ca", "cert", "key"} {
				write(name, "old")
			}
			synctest.Test(t, func(t *testing.T) {
				cfg := config()
				cfg.URLs, cfg.CA, cfg.Cert, cfg.Key = []string{"mqtt://192.0.2.1", "mqtts://192.0.2.1"}, file("ca"), file("cert"), file("key")
				th := newTheatre(t)
				r := start(t, cfg, &localBroker{}, th.dial)
				a := th.accept()
				a.want(wire.Connect)
				a.send("\x20\x02\x00\x05")
				synctest.Wait()
				a.close()
				time.Sleep(20 * time.Second)
				write(which, "new")
				began := time.Now()
				a = th.accept()
				if d := time.Since(began); d > 2*time.Second {
					t.Errorf("a new file was tried after %v", d)
				}
				a.close()
				r.stop()
				<-r.ended
			})
		})
	}
}
