// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// heard collects what edged writes to a wire.
type heard struct {
	mu sync.Mutex
	b  []byte
}

func (y *tty) listen(t *testing.T) *heard {
	h := &heard{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 256)
		for {
			n, err := y.wire.Read(buf)
			if err != nil {
				return
			}
			h.mu.Lock()
			h.b = append(h.b, buf[:n]...)
			h.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		closed(t, y.wire.Close())
		<-done
	})
	return h
}

func (h *heard) has(hexBytes string) bool {
	want, err := hex.DecodeString(strings.ReplaceAll(hexBytes, " ", ""))
	if err != nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Contains(h.b, want)
}

func TestCommandFromTheCloudReachesTheWireAndIsAnswered(t *testing.T) {
	t.Parallel()
	cloud := newMosquitto(t)
	far := subscribe(t, cloud.port, "far", "edged/#")
	pms, sds := newTTY(t), newTTY(t)
	publish(t, cloud.port, "edged/gw/dev/dust/set", `{"sleep":true}`, "-r") // a retained command is never carried out
	e := gateway{config: "[gateway]\nid = \"gw\"\n" + uplinkTo(cloud.port) +
		fmt.Sprintf("[device.air]\ndriver = \"pms5003\"\nport = %q\n[device.dust]\ndriver = \"sds011\"\nport = %q\n", pms.name, sds.name)}.start(t)
	opened(t, e, 2)
	pmsHeard, sdsHeard := pms.listen(t), sds.listen(t)
	eventually(t, 10*time.Second, "the gateway is online in the cloud", func() bool { return far.last("edged/gw/status") == "online" })

	publish(t, cloud.port, "edged/gw/dev/air/set", `{"mode":"passive","id":"m1"}`)
	eventually(t, 5*time.Second, "the PMS5003's bytes are on the wire", func() bool { return pmsHeard.has("42 4d e1 00 00 01 70") })
	pms.send(t, []byte{0x42, 0x4d, 0x00, 0x04, 0xe1, 0x00, 0x01, 0x74})
	eventually(t, 10*time.Second, "the result is in the cloud", func() bool {
		got := far.last("edged/gw/dev/air/result")
		return strings.Contains(got, `"id":"m1"`) && strings.Contains(got, `"ok":`)
	})
	t.Log(far.last("edged/gw/dev/air/result"))

	publish(t, cloud.port, "edged/gw/dev/dust/set", `{"working_period":0,"id":7}`)
	eventually(t, 5*time.Second, "the SDS011's bytes are on the wire", func() bool {
		return sdsHeard.has("aa b4 08 01 00 00 00 00 00 00 00 00 00 00 00 ff ff 07 ab")
	})
	sds.send(t, []byte{0xaa, 0xc5, 0x08, 0x01, 0x00, 0x00, 0xa1, 0x60, 0x0a, 0xab})
	eventually(t, 10*time.Second, "the value that was read back is in the cloud", func() bool {
		got := far.last("edged/gw/dev/dust/result")
		return strings.Contains(got, `"ok":true`) && strings.Contains(got, `"working_period":0`) && strings.Contains(got, `"id":7`)
	})

	publish(t, cloud.port, "edged/gw/dev/dust/set", `{"working_period":31}`)
	eventually(t, 10*time.Second, "a value out of range is refused", func() bool {
		return strings.Contains(far.last("edged/gw/dev/dust/result"), `"ok":false`)
	})
	publish(t, cloud.port, "edged/gw/dev/dust/set", `{"sleep":true,"expires":"2026-01-01T00:00:00Z"}`)
	eventually(t, 10*time.Second, "an expired command is refused", func() bool {
		return strings.Contains(far.last("edged/gw/dev/dust/result"), `"E407"`)
	})
	if sdsHeard.has("aa b4 06") {
		t.Error("a command that was to be refused is on the wire")
	}
}
