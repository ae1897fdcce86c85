// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPanicInADriverTakesOneDeviceDown(t *testing.T) {
	t.Parallel()
	bad, good := newTTY(t), newTTY(t)
	e := gateway{tags: "faultinject", config: "[gateway]\nid = \"gw\"\n" + jsonDevice("bad", bad) + jsonDevice("good", good)}.start(t)
	opened(t, e, 2)
	near := subscribe(t, e.port, "near", "edged/#")
	status := func(dev string) string { return near.last("edged/gw/dev/" + dev + "/status") }
	bad.send(t, []byte("{\"n\":1}\n"))
	good.send(t, []byte("{\"n\":1}\n"))
	eventually(t, 5*time.Second, "both are online", func() bool { return status("bad") == "online" && status("good") == "online" })
	for range 3 {
		bad.send(t, []byte("edged-test-panic\n"))
		eventually(t, 5*time.Second, "the will of the device is published", func() bool { return status("bad") == "offline" })
		eventually(t, 10*time.Second, "the device comes back", func() bool {
			bad.send(t, []byte("{\"n\":2}\n"))
			return status("bad") == "online"
		})
	}
	select {
	case <-near.done:
		t.Error("mosquitto_sub lost its connection")
	case <-e.done:
		t.Error("edged died")
	default:
	}
	if all := near.on("edged/gw/dev/good/status"); len(all) > 2 {
		t.Errorf("the other device's status changed too: %v", all)
	}
	if !strings.Contains(e.err.String(), "panic") {
		t.Error(fmt.Sprint("the log doesn't tell of the panic:\n", e.err.String()))
	}
}
