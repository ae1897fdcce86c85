// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
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
