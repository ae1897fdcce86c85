// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// With when_full = "reject" and no cloud, a publisher of MQTT 5 is told that the queue is full and one of 3.1.1 waits;
// once the cloud is there, all that was acknowledged arrives, and who waited is acknowledged. What was refused is told in
// the cloud.
func TestFullQueueRejects(t *testing.T) {
	t.Parallel()
	cloud := newMosquitto(t)
	far := subscribe(t, cloud.port, "far", "#", "-c")
	cloud.stop(t)
	e := gateway{config: "[gateway]\nid = \"gw\"\n" + uplinkTo(cloud.port) + "send = [\"plc/#\"]\n" +
		"queue = { size = \"64KiB\", when_full = \"reject\" }\n"}.start(t)
	pub := func(version string, n int) string {
		out, err := exec.Command("timeout", "3", "mosquitto_pub", "-h", "127.0.0.1", "-p", fmt.Sprint(e.port), "-q", "1", "-V", version,
			"-t", "plc/a", "-m", fmt.Sprintf("%d %s", n, strings.Repeat("x", 4000))).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "uota") {
			return err.Error()
		}
		return string(out)
	}
	taken := 0
	for ; pub("5", taken) == ""; taken++ {
		if taken > 30 {
			t.Fatal("120 kB went into a queue of 64 KiB")
		}
	}
	if said := pub("5", taken); taken < 10 || !strings.Contains(said, "uota exceeded") {
		t.Fatalf("%d were taken, then mosquitto_pub said %q", taken, said)
	}
	if said := pub("311", taken); !strings.Contains(said, "124") {
		t.Errorf("who waits was answered: %q", said)
	}
	waiting := start(t, exec.Command("mosquitto_pub", "-h", "127.0.0.1", "-p", fmt.Sprint(e.port), "-q", "1", "-V", "311",
		"-t", "plc/a", "-m", fmt.Sprint(taken, " last")))
	cloud.start(t)
	if code := waiting.wait(t, 20*time.Second); code != 0 {
		t.Errorf("who waited ends with %d", code)
	}
	eventually(t, 20*time.Second, "what was acknowledged is in the cloud", func() bool {
		return slices.ContainsFunc(far.on("plc/a"), func(m message) bool { return strings.HasSuffix(m.payload, " last") })
	})
	for n := range taken {
		seen := 0
		for _, m := range far.on("plc/a") {
			if strings.HasPrefix(m.payload, fmt.Sprint(n, " ")) {
				seen++
			}
		}
		if seen != 1 {
			t.Errorf("message %d came %d times", n, seen)
		}
	}
	eventually(t, 20*time.Second, "the refusals are told", func() bool {
		return strings.Contains(far.last("edged/gw/event"), "messages (") && strings.Contains(far.last("edged/gw/event"), "for edged-uplink were refused")
	})
}
