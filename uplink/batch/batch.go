// SPDX-License-Identifier: Apache-2.0

// Package batch puts messages together for links that are paid by the byte: a line of JSON for each, compressed with zstd.
//
// A line is an object with the topic and the payload: as "data" where that is JSON on one line, as "text" where it is other
// text, else as "base64". The payload of a batch is one frame of zstd (RFC 8878), so frames in a row are unpacked as one.
package batch

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// window is how far back the compression looks. It is what a receiver needs as memory for a batch, and we for making one.
const window = 128 << 10

// maxLine is the longest line that is read: the largest message of MQTT, 256 MiB, is nothing that comes in batches.
const maxLine = 4 << 20

// Packer makes batches, one at a time. Its memory, about 1 MiB, is kept.
type Packer struct{ to *zstd.Encoder }

// NewPacker returns a Packer.
func NewPacker() (*Packer, error) {
	to, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("make a compressor: %w", err)
	}
	return &Packer{to}, nil
}

// Pack returns lines as the payload of a batch.
func (p *Packer) Pack(lines []byte) []byte { return p.to.EncodeAll(lines, nil) }

// line is a message in a batch.
type line struct {
	Topic  string          `json:"topic"`
	Data   json.RawMessage `json:"data,omitempty"`
	Text   *string         `json:"text,omitempty"`
	Base64 *string         `json:"base64,omitempty"`
}

// Append appends a message to lines.
func Append(lines []byte, topic string, payload []byte) []byte {
	lines = append(lines, `{"topic":`...)
	lines = appendString(lines, topic)
	switch {
	case json.Valid(payload) && !bytes.ContainsAny(payload, "\r\n") && bytes.Equal(bytes.TrimSpace(payload), payload):
		lines = append(append(lines, `,"data":`...), payload...)
	case utf8.Valid(payload):
		lines = appendString(append(lines, `,"text":`...), string(payload))
	default:
		lines = append(lines, `,"base64":"`...)
		lines = append(base64.StdEncoding.AppendEncode(lines, payload), '"')
	}
	return append(lines, "}\n"...)
}

func appendString(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // a string always has a form
		panic(err)
	}
	return append(b, text...)
}

// ErrDamaged is wrapped by what [Unpack] returns when the input is no batch.
var ErrDamaged = errors.New("this is no batch")

// Unpack reads batches and calls each for every message in them; line is without its end. Both slices may be used only
// during the call. What it takes of memory is bounded, whatever comes.
func Unpack(r io.Reader, each func(line []byte, topic string, payload []byte) error) error {
	from, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
	if err != nil {
		return fmt.Errorf("make a decompressor: %w", err)
	}
	defer from.Close()
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		topic, payload, err := parse(lines.Bytes())
		if err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrDamaged, n, err)
		}
		if err := each(lines.Bytes(), topic, payload); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// parse reads a line.
func parse(b []byte) (topic string, payload []byte, err error) {
	var l line
	if err := json.Unmarshal(b, &l); err != nil {
		return "", nil, err
	}
	switch {
	case l.Topic == "":
		return "", nil, errors.New("it names no topic")
	case l.Data != nil:
		return l.Topic, l.Data, nil
	case l.Text != nil:
		return l.Topic, []byte(*l.Text), nil
	case l.Base64 != nil:
		payload, err = base64.StdEncoding.DecodeString(*l.Base64)
		return l.Topic, payload, err
	}
	return "", nil, errors.New("it has no payload")
}
