// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What goes to the cloud in batches, through kills of the gateway, comes out of edged decode-batch as it went in: nothing that
// was acknowledged is missing, and what comes for the first time is in order.
func TestBatchesThroughKillsLoseNothing(t *testing.T) {
	t.Parallel()
	cloud := newMosquitto(t)
	far := []string{"-h", "127.0.0.1", "-p", fmt.Sprint(cloud.port), "-q", "1", "-i", "far", "-c", "-t", "edged/gw/batch", "-N"}
	command(t, "mosquitto_sub", append(far, "-E")...) // it leaves a session
	path := filepath.Join(t.TempDir(), "batches")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sub := exec.Command("mosquitto_sub", far...)
	sub.Stdout = file
	start(t, sub)
	config := "[gateway]\nid = \"gw\"\n" + uplinkTo(cloud.port) + "send = [\"plant/#\"]\nbatch = { every = \"1s\", messages = 50 }\n"
	e := gateway{config: config}.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	p := &publisher{port: e.port, topic: "plant/p"}
	var traffic sync.WaitGroup
	traffic.Go(func() { p.run(ctx) })
	for range 3 {
		for range 100 {
			p.waitMore(t)
		}
		e.kill()
		e = e.again(t, config)
		p.waitMore(t)
	}
	cancel()
	traffic.Wait()
	want := p.acknowledged()
	var lines []string
	eventually(t, 30*time.Second, "all that was acknowledged is in the cloud", func() bool {
		out, _, _ := e.command(t, "", "decode-batch", path) // a batch that is being written is cut
		lines = strings.Fields(out)
		have := map[string]bool{}
		for _, l := range lines {
			have[l] = true
		}
		for _, n := range want {
			if !have[batchLine(n)] {
				return false
			}
		}
		return true
	})
	seen, repeats := map[string]bool{}, 0
	newest := -1
	for _, l := range lines {
		if seen[l] {
			repeats++
			continue
		}
		seen[l] = true
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(l, `{"topic":"plant/p","data":`), "}"))
		if err != nil || n < newest {
			t.Errorf("%s came after %d", l, newest)
		}
		newest = n
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d acknowledged, %d came, %d of them again, in %d bytes", len(want), len(lines), repeats, info.Size())
}

func batchLine(n int) string { return fmt.Sprintf(`{"topic":"plant/p","data":%d}`, n) }
