// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// rtu plays slaves of Modbus on the far end of a wire, until that is closed. Register 0 is how often the slave was asked,
// the others tell address and place, and those from 100 on can be written.
type rtu struct {
	dead, late map[byte]bool // the late ones answer after 1.2 s

	mu    sync.Mutex
	asked map[byte]uint16
	set   map[int]uint16
}

func (r *rtu) play(t *testing.T, y *tty) {
	r.asked, r.set = map[byte]uint16{}, map[int]uint16{}
	go func() {
		var got []byte
		buf := make([]byte, 256)
		for {
			n, err := y.wire.Read(buf)
			if errors.Is(err, fs.ErrClosed) || err != nil && n == 0 {
				return
			}
			got = append(got, buf[:n]...)
			for len(got) >= 8 {
				if crc(got[:6]) != binary.LittleEndian.Uint16(got[6:]) {
					got = got[1:]
					continue
				}
				r.receive(t, y, [8]byte(got))
				got = got[8:]
			}
		}
	}()
}

func (r *rtu) receive(t *testing.T, y *tty, p [8]byte) {
	address, at, n := p[0], int(binary.BigEndian.Uint16(p[2:])), int(binary.BigEndian.Uint16(p[4:]))
	if r.dead[address] {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var b []byte
	if p[1] == 6 {
		r.set[int(address)<<16|at] = uint16(n)
		b = p[:6]
	} else {
		b = []byte{address, p[1], byte(2 * n)}
		for i := at; i < at+n; i++ {
			x := uint16(address)*100 + uint16(i)
			if i == 0 {
				x = r.asked[address]
			}
			if y, ok := r.set[int(address)<<16|i]; ok {
				x = y
			}
			b = binary.BigEndian.AppendUint16(b, x)
		}
		r.asked[address]++
	}
	b = binary.LittleEndian.AppendUint16(b, crc(b))
	if r.late[address] {
		time.AfterFunc(1200*time.Millisecond, func() { _, _ = y.wire.Write(b) }) // the wire may be gone by then
		return
	}
	y.send(t, b)
}

func crc(p []byte) uint16 {
	crc := uint16(0xffff)
	for _, x := range p {
		crc ^= uint16(x)
		for range 8 {
			crc = crc>>1 ^ 0xa001*(crc&1)
		}
	}
	return crc
}

// TestABusOfTwelve: devices on one line, of which two are dead and one always answers too late. Nothing wrong is read, the
// others are read on time, and a command is confirmed.
func TestABusOfTwelve(t *testing.T) {
	t.Parallel()
	dir, y := t.TempDir(), newTTY(t)
	if err := os.MkdirAll(filepath.Join(dir, "devices"), 0o755); err != nil {
		t.Fatal(err)
	}
	const text = "driver = \"slave\"\ntitle = \"A slave\"\nprotocol = \"modbus\"\nwithin = \"300ms\"\n[[reading]]\nname = \"n\"\nat = 0\n[[reading]]\nname = \"a\"\nat = 1\n" +
		"[[reading]]\nname = \"b\"\nat = 50\n[[reading]]\nname = \"c\"\nat = 51\n[[command]]\nname = \"target\"\nkind = \"number\"\nat = 100\nmin = 0\nmax = 100\n"
	if err := os.WriteFile(filepath.Join(dir, "devices", "slave.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	line := &rtu{dead: map[byte]bool{3: true, 9: true}, late: map[byte]bool{6: true}}
	line.play(t, y)
	var config strings.Builder
	fmt.Fprintf(&config, "[gateway]\nid = \"gw\"\n[bus.hall]\nport = %q\nserial = \"19200 8N1\"\n", y.name)
	for a := range 12 {
		fmt.Fprintf(&config, "[device.s%d]\ndriver = \"slave\"\nbus = \"hall\"\naddress = %d\nevery = \"1s\"\n", a+1, a+1)
	}
	e := gateway{dir: dir, config: config.String()}.start(t)
	near := subscribe(t, e.port, "near", "edged/gw/dev/#")
	topic := func(a int, leaf string) string { return fmt.Sprintf("edged/gw/dev/s%d/%s", a, leaf) }
	eventually(t, 40*time.Second, "each live device was read five times", func() bool {
		for a := 1; a <= 12; a++ {
			if a != 3 && a != 6 && a != 9 && len(near.on(topic(a, "data"))) < 10 {
				return false
			}
		}
		return true
	})
	publish := exec.Command(e.bin, "pub", "--state", e.state(), topic(5, "set"), `{"target":42,"id":"x"}`)
	if out, err := publish.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, 10*time.Second, "the command is confirmed", func() bool {
		return near.last(topic(5, "result")) == `{"id":"x","ok":true,"readings":{"target":42}}`
	})
	for a := 1; a <= 12; a++ {
		got := near.on(topic(a, "data"))
		for _, m := range got {
			var x map[string]any
			if err := json.Unmarshal([]byte(m.payload), &x); err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]int{"a": a*100 + 1, "b": a*100 + 50, "c": a*100 + 51} {
				if v, ok := x[name].(float64); ok && int(v) != want {
					t.Errorf("device %d: %s is %v, want %d: %s", a, name, v, want, m.payload)
				}
			}
		}
		if (a == 3 || a == 6 || a == 9) != (near.last(topic(a, "status")) == "offline") || a == 6 && len(got) > 0 {
			t.Errorf("device %d is %s, with %d readings", a, near.last(topic(a, "status")), len(got))
		}
	}
	out, _ := e.run(t, "status", "--json")
	var status struct {
		Devices []struct {
			Name, Code string
			Line       struct {
				Bus        string
				Suspended  bool
				ReplyP95MS float64 `json:"reply_p95_ms"`
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatal(err)
	}
	for _, d := range status.Devices {
		dead := d.Name == "s3" || d.Name == "s9"
		if d.Line.Bus != "hall" || dead && (d.Code != "E106" || !d.Line.Suspended) || !dead && d.Name != "s6" && d.Line.ReplyP95MS <= 0 {
			t.Errorf("status of %s: %+v", d.Name, d)
		}
	}
}
