// SPDX-License-Identifier: Apache-2.0

package path

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// cloud is a mosquitto at the far end of a road.
type cloud struct {
	*process
	at   *host
	conf string
	port int
}

// newCloud starts mosquitto with more in its configuration.
func newCloud(t *testing.T, r *road, more string) *cloud {
	t.Helper()
	dir, err := os.MkdirTemp("", "edged-path-cloud") // not t.TempDir: mosquitto leaves root for a user that can't enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	c := &cloud{at: r.cloud, conf: filepath.Join(dir, "mosquitto.conf"), port: 1883}
	conf := fmt.Sprintf("listener %d 0.0.0.0\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nuser root\n"+
		"persistence true\npersistence_location %s/\nlog_type error\nlog_type warning\nlog_type notice\n%s", c.port, dir, more)
	if err := os.WriteFile(c.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	return c
}

func (c *cloud) start(t *testing.T) {
	t.Helper()
	c.process = c.at.start(t, exec.Command("mosquitto", "-c", c.conf), nil)
	eventually(t, 10*time.Second, "mosquitto answers", func() bool {
		nc, err := c.at.dial(fmt.Sprint("127.0.0.1:", c.port))
		return err == nil && nc.Close() == nil
	})
}

// say publishes a message in the cloud.
func (c *cloud) say(t *testing.T, topic, payload string, more ...string) {
	t.Helper()
	say(t, c.at, c.port, topic, payload, more...)
}

func say(t *testing.T, at *host, port int, topic, payload string, more ...string) {
	t.Helper()
	args := []string{"-h", "127.0.0.1", "-p", fmt.Sprint(port), "-q", "1", "-t", topic, "-m", payload}
	at.run(t, "mosquitto_pub", append(args, more...)...)
}

// impostor connects with the gateway's client id and a clean session: what the cloud had kept for the gateway is gone. It is
// false when the gateway was back so soon that the impostor lost its connection.
func (c *cloud) impostor() bool {
	_, err := c.at.try("mosquitto_pub", "-h", "127.0.0.1", "-p", fmt.Sprint(c.port), "-i", gatewayID, "-q", "1", "-t", "impostor", "-m", "x")
	return err == nil
}
