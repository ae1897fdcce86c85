// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/line"
)

func TestDecodeWithRequest(t *testing.T) {
	d := line.Driver()
	o := devices.Options{"format": "kv"}
	if _, err := devices.Decode(d, o, []byte{1}, strings.NewReader(""), nil); err == nil || !strings.Contains(err.Error(), "without the request") {
		t.Errorf("a request that nobody needs: %v", err)
	}
	heard := ""
	d.New = func(devices.Options) (devices.Decoder, error) { return hearer{&heard}, nil }
	if _, err := devices.Decode(d, nil, []byte("asked"), strings.NewReader(""), nil); err != nil || heard != "asked" {
		t.Errorf("the decoder was told %q: %v", heard, err)
	}
}

// hearer is a decoder that needs the request.
type hearer struct{ heard *string }

func (h hearer) Sent(p []byte)                              { *h.heard = string(p) }
func (hearer) Feed([]byte, time.Time, func(devices.Sample)) {}
func (hearer) End(func(devices.Sample))                     {}
func (hearer) Counts() devices.Counts                       { return devices.Counts{} }

func TestDecodeWhenReadingOrWritingFails(t *testing.T) {
	d := line.Driver()
	o := devices.Options{"format": "kv"}
	if _, err := devices.Decode(d, o, nil, strings.NewReader("a=1\n"), broken{}); err != errBroken {
		t.Errorf("writing: %v", err)
	}
	if _, err := devices.Decode(d, o, nil, broken{}, &bytes.Buffer{}); err != errBroken {
		t.Errorf("reading: %v", err)
	}
	if _, err := devices.Decode(d, nil, nil, strings.NewReader(""), nil); err == nil {
		t.Error("a format is not needed")
	}
}

type broken struct{}

var errBroken = errorText("broken")

type errorText string

func (e errorText) Error() string        { return string(e) }
func (broken) Read([]byte) (int, error)  { return 0, errBroken }
func (broken) Write([]byte) (int, error) { return 0, errBroken }
