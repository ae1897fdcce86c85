// SPDX-License-Identifier: Apache-2.0

// Package capture writes down what goes over a port, a line of text for each piece of bytes, and plays it back.
//
// A line is the time, the direction (< from the device, > to it) and the bytes: text in quotes, with the escapes of Go
// strings, anything else in hexadecimal. Lines that begin with # are comments.
//
//	2026-11-24T16:10:00.998231Z < "T=21.4,H=48\r\n"
//	2026-11-24T16:10:01.201945Z > ff 01 86 00 00 00 00 00 79
package capture

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

// Piece is bytes that went over a port in one direction.
type Piece struct {
	At    time.Time // of the first of them
	Sent  bool      // to the device; else it sent them
	Bytes []byte
}

const (
	// Mark begins the first line of a capture.
	Mark = "# edged capture 1"
	// stamp is how times are written: of one width, so that they can be cut and sorted.
	stamp = "2006-01-02T15:04:05.000000Z07:00"

	maxPiece = 256                    // bytes in one line of a capture
	textGap  = 100 * time.Millisecond // text that pauses longer is a piece of its own, a line of text or not
)

// Writer writes pieces. Text that comes in several reads is one piece up to the end of its line; other bytes are kept as
// they were read, since a pause may end a frame.
type Writer struct {
	w    io.Writer
	text Piece // not written yet
	last time.Time
	line []byte
}

// NewWriter returns a writer that has written the head; about is told in it.
func NewWriter(w io.Writer, about string) (*Writer, error) {
	head := Mark + ": time, < from the device or > to it, bytes\n"
	if about != "" {
		head += "# " + about + "\n"
	}
	if _, err := io.WriteString(w, head); err != nil {
		return nil, fmt.Errorf("write the capture: %w", err)
	}
	return &Writer{w: w}, nil
}

// Add writes a piece, or keeps it until its line of text is complete.
func (w *Writer) Add(p Piece) error {
	if err := w.Settle(p.At); err != nil {
		return err
	}
	if p.Sent || !isText(p.Bytes) {
		if err := w.Flush(); err != nil {
			return err
		}
		return w.write(p)
	}
	for len(p.Bytes) > 0 {
		n := min(len(p.Bytes), maxPiece-len(w.text.Bytes))
		if i := bytes.IndexByte(p.Bytes[:n], '\n'); i >= 0 {
			n = i + 1
		}
		if len(w.text.Bytes) == 0 {
			w.text.At = p.At
		}
		w.text.Bytes = append(w.text.Bytes, p.Bytes[:n]...)
		w.last = p.At
		p.Bytes = p.Bytes[n:]
		if len(w.text.Bytes) < maxPiece && w.text.Bytes[len(w.text.Bytes)-1] != '\n' {
			return nil
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// Settle writes text that has paused at now for so long that nothing belongs to it any more.
func (w *Writer) Settle(now time.Time) error {
	if len(w.text.Bytes) > 0 && now.Sub(w.last) > textGap {
		return w.Flush()
	}
	return nil
}

// Flush writes what is kept.
func (w *Writer) Flush() error {
	if len(w.text.Bytes) == 0 {
		return nil
	}
	p := w.text
	w.text.Bytes = w.text.Bytes[:0]
	return w.write(p)
}

func (w *Writer) write(p Piece) error {
	w.line = w.line[:0]
	for rest := p.Bytes; len(rest) > 0; {
		n := min(len(rest), maxPiece)
		w.line = Append(w.line, Piece{p.At, p.Sent, rest[:n]})
		rest = rest[n:]
	}
	if _, err := w.w.Write(w.line); err != nil {
		return fmt.Errorf("write the capture: %w", err)
	}
	return nil
}

// Append appends a piece as one line of a capture, with its line end.
func Append(to []byte, p Piece) []byte {
	to = p.At.UTC().AppendFormat(to, stamp)
	to = append(to, map[bool]string{true: " > ", false: " < "}[p.Sent]...)
	if isText(p.Bytes) {
		to = strconv.AppendQuote(to, string(p.Bytes))
	} else {
		for i, x := range p.Bytes {
			if i > 0 {
				to = append(to, ' ')
			}
			to = hex.AppendEncode(to, []byte{x})
		}
	}
	return append(to, '\n')
}

// isText reports whether bytes are whole characters that can be printed, white space among them.
func isText(p []byte) bool {
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		if r == utf8.RuneError && size < 2 || !strconv.IsPrint(r) && r != '\r' && r != '\n' && r != '\t' {
			return false
		}
		p = p[size:]
	}
	return true
}

// Parse reads one line of a capture; ok is false for a comment and an empty line.
func Parse(line []byte) (p Piece, ok bool, err error) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		return p, false, nil
	}
	at, rest, _ := bytes.Cut(line, []byte(" "))
	if p.At, err = time.Parse(time.RFC3339Nano, string(at)); err != nil {
		return p, false, fmt.Errorf("%.40q is no time such as %s", at, stamp)
	}
	direction, text, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	switch string(direction) {
	case "<":
	case ">":
		p.Sent = true
	default:
		return p, false, fmt.Errorf("%.40q is no direction: < is from the device, > to it", direction)
	}
	text = bytes.TrimSpace(text)
	if len(text) > 0 && text[0] == '"' {
		s, err := strconv.Unquote(string(text))
		if err != nil {
			return p, false, fmt.Errorf("%.40q is no text in quotes", text)
		}
		p.Bytes = []byte(s)
	} else if p.Bytes, err = hex.DecodeString(string(bytes.Join(bytes.Fields(text), nil))); err != nil {
		return p, false, fmt.Errorf("%.40q is neither bytes in hexadecimal nor text in quotes", text)
	}
	if len(p.Bytes) == 0 {
		return p, false, fmt.Errorf("there are no bytes in it")
	}
	return p, true, nil
}
