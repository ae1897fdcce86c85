// SPDX-License-Identifier: Apache-2.0

package batch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"edged/uplink/batch"
)

type message struct{ topic, payload string }

func unpack(r io.Reader) (got []message, err error) {
	err = batch.Unpack(r, func(_ []byte, topic string, payload []byte) error {
		got = append(got, message{topic, string(payload)})
		return nil
	})
	return got, err
}

func pack(t testing.TB, all []message) []byte {
	t.Helper()
	p, err := batch.NewPacker()
	if err != nil {
		t.Fatal(err)
	}
	var lines []byte
	for _, m := range all {
		lines = batch.Append(lines, m.topic, []byte(m.payload))
	}
	return p.Pack(lines)
}

// Whatever a payload is, it comes back byte for byte, and batches in a row are read as one.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	all := []message{
		{"edged/gw/dev/air/data", `{"time":"2026-11-22T14:05:09.412Z","seq":88213,"temperature":21.4}`},
		{"a", ""},
		{"a", "null"},
		{"a", " {}"},
		{"a", "{\n}"},
		{"a", "1e400"},
		{"a", "two\nlines\r"},
		{"a b/\"ü\\", "\x00\xff\x80"},
		{"<&>", "<&>\u2028"},
		{"a", strings.Repeat("x", 300<<10)},
	}
	got, err := unpack(bytes.NewReader(slices.Concat(pack(t, all), pack(t, all[:3]))))
	if want := append(slices.Clone(all), all[:3]...); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: got %.300q, want %.300q", err, got, want)
	}
}

// What a batch is cut to at any byte, and garbage, is an error and never something else than what was put in.
func TestCutAndGarbage(t *testing.T) {
	t.Parallel()
	all := []message{{"t", `{"seq":1}`}, {"t", "two"}}
	whole := pack(t, all)
	for n := 1; n < len(whole); n++ {
		if _, err := unpack(bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("cut to %d of %d bytes: no error", n, len(whole))
		}
	}
	p, err := batch.NewPacker()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"x", "{}\n", `{"topic":"t"}`, `{"topic":"","text":"x"}`, `{"topic":"t","base64":"*"}`} {
		if _, err := unpack(bytes.NewReader(p.Pack([]byte(text)))); !errors.Is(err, batch.ErrDamaged) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The program that everybody has unpacks it.
func TestZstd(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("zstd")
	if err != nil {
		t.Fatalf("there is no zstd, which `make test` installs: %v", err)
	}
	cmd := exec.Command(path, "-dc")
	cmd.Stdin = bytes.NewReader(pack(t, []message{{"t", `{"seq":1}`}, {"t", "two"}}))
	out, err := cmd.Output()
	if want := "{\"topic\":\"t\",\"data\":{\"seq\":1}}\n{\"topic\":\"t\",\"text\":\"two\"}\n"; err != nil || string(out) != want {
		t.Errorf("%v: %q, want %q", err, out, want)
	}
}

// Readings become much smaller: this is what it is for.
func TestItPays(t *testing.T) {
	t.Parallel()
	var all []message
	plain := 0
	for i := range 100 {
		m := message{fmt.Sprintf("edged/press-hall-3/dev/air%d/data", i%4), fmt.Sprintf(`{"time":"2026-11-22T14:%02d:%02d.%03dZ","seq":%d,"temperature":%d.%d,"humidity":%d}`, i/60, i%60, i*7%1000, 88213+i, 20+i%3, i*3%10, 40+i%20)}
		all = append(all, m)
		plain += len(m.topic) + len(m.payload) + 6
	}
	packed := len(pack(t, all))
	t.Logf("%d messages of %d bytes become %d", len(all), plain, packed)
	if packed*5 > plain {
		t.Errorf("%d bytes become %d", plain, packed)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack(f, []message{{"t", `{"seq":1}`}, {"t", "\xff"}}), "t", []byte("x"))
	f.Fuzz(func(t *testing.T, b []byte, topic string, payload []byte) {
		_, _ = unpack(bytes.NewReader(b))
		if topic == "" || strings.ToValidUTF8(topic, "") != topic {
			return
		}
		got, err := unpack(bytes.NewReader(pack(t, []message{{topic, string(payload)}})))
		if err != nil || len(got) != 1 || got[0] != (message{topic, string(payload)}) {
			t.Errorf("%v: got %q, want %q %q", err, got, topic, payload)
		}
	})
}
