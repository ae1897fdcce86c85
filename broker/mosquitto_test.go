// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"edged/broker"
	"edged/broker/authority"
)

// mosquitto's own clients, with every version and QoS: publishing by lines, receiving what was queued meanwhile.
//
// Covers 4:4.2.0-1 4:7.0.0-2 4:7.1.1-1 5:4.2.0-1 5:7.0.0-2 5:7.1.1-1.
func TestMosquittoClients(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	run := func(stdin, name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, append([]string{"-h", "127.0.0.1", "-p", port}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	const lines = 200
	for _, version := range []string{"31", "311", "5"} {
		for _, qos := range []string{"0", "1", "2"} {
			id := "sub" + version + qos
			topic := "m/" + version + "/" + qos
			session := []string{"-V", version, "-i", id, "-c", "-q", qos, "-t", topic + "/#"}
			if version == "5" {
				session = append(session, "-x", "100")
			}
			var in, want strings.Builder
			for i := range lines {
				fmt.Fprintf(&in, "%d\n", i)
				fmt.Fprintf(&want, "%s/x %d\n", topic, i)
			}
			if qos != "0" {
				run("", "mosquitto_sub", append(session, "-E")...)
				run(in.String(), "mosquitto_pub", "-V", version, "-q", qos, "-t", topic+"/x", "-l")
				if got := run("", "mosquitto_sub", append(session, "-v", "-C", fmt.Sprint(lines))...); got != want.String() {
					t.Errorf("version %s QoS %s: got %.300q", version, qos, got)
				}
			}
			run("", "mosquitto_pub", "-V", version, "-q", qos, "-r", "-t", topic+"/kept", "-m", "kept")
			if got := run("", "mosquitto_sub", "-V", version, "-q", qos, "-t", topic+"/+", "-v", "-C", "1"); got != topic+"/kept kept\n" {
				t.Errorf("version %s QoS %s: retained: %q", version, qos, got)
			}
		}
	}
}

// mosquitto's clients log in with a password of each kind, one of them from a file that mosquitto_passwd has written.
func TestMosquittoClientsLogIn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "passwd")
	if out, err := exec.CommandContext(t.Context(), "mosquitto_passwd", "-c", "-b", file, "imported", "pw").CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
	line, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, imported, _ := strings.Cut(string(line), ":")
	stored := map[string]string{"plain": "pw", "hashed": authority.HashPassword([]byte("pw")), "imported": imported}
	s := newSite(t, func(s *site) {
		s.cfg.Anonymous, s.cfg.Users = false, map[string]broker.User{}
		for name, text := range stored {
			u := user(name, []string{"t/{user}/{client_id}/#"}, []string{"t/+/+/x"})
			u.Password = func() ([]byte, error) { return []byte(text), nil }
			s.cfg.Users[name] = u
		}
	})
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) (string, int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, append([]string{"-h", "127.0.0.1", "-p", port}, args...)...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	for name := range stored {
		for _, version := range []string{"311", "5"} {
			id := name + "-" + version
			topic := "t/" + name + "/" + id + "/x"
			in := []string{"-V", version, "-u", name, "-P", "pw", "-q", "1"}
			if out, code := run("mosquitto_pub", append(in, "-i", id, "-t", topic, "-m", id, "-r")...); code != 0 {
				t.Errorf("%s: %d: %s", id, code, out)
			}
			if out, code := run("mosquitto_sub", append(in, "-i", id, "-t", topic, "-C", "1", "-W", "10")...); code != 0 || out != id+"\n" {
				t.Errorf("%s: %d: %q", id, code, out)
			}
			if out, code := run("mosquitto_pub", append(in, "-t", "t", "-m", "x")...); code != 0 { // without a ClientId
				t.Errorf("%s without a ClientId: %d: %s", name, code, out)
			}
			bad := []string{"-V", version, "-u", name, "-P", "wrong", "-i", id, "-t", topic, "-m", "x"}
			if out, code := run("mosquitto_pub", bad...); code == 0 {
				t.Errorf("%s with a wrong password: %d: %s", id, code, out)
			}
			if out, code := run("mosquitto_pub", append(in, "-i", "other", "-t", topic, "-m", "x")...); code == 0 {
				t.Errorf("%s under another's ClientId: %d: %s", name, code, out)
			}
		}
	}
	if n := s.Status().Retained; n != 6 {
		t.Errorf("%d are retained", n)
	}
}
