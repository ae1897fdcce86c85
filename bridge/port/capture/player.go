// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

const (
	maxFile = 32 << 20         // of a capture that is played, which is held in memory
	again   = time.Second      // between its end and its beginning
	patient = 60 * time.Second // how long playing waits for what was written in the recording
)

// Player plays a capture as the device's side of a wire, again and again, with the times between its pieces.
//
// Where the recording has bytes that were written to the device, playing waits for a write, a minute at most. A write of
// bytes that are in the recording goes on behind the next place where they were written; another one is ignored. So a
// device that is asked answers whenever it is asked.
type Player struct {
	pieces []Piece
	next   int       // of pieces
	due    time.Time // when it is played, or is not waited for any more; zero: not begun
}

// Open reads the capture in a file.
func Open(name string) (*Player, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pieces, err := Read(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return NewPlayer(pieces)
}

// NewPlayer returns a player of pieces, one of which at least the device sent.
func NewPlayer(pieces []Piece) (*Player, error) {
	if !slices.ContainsFunc(pieces, func(p Piece) bool { return !p.Sent }) {
		return nil, errors.New("the device sent nothing in this capture")
	}
	return &Player{pieces: pieces}, nil
}

// Read reads all pieces of a capture. Its errors name the line.
func Read(r io.Reader) ([]Piece, error) {
	var pieces []Piece
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4096), 64<<10)
	size := 0
	for n := 1; lines.Scan(); n++ {
		if size += len(lines.Bytes()) + 1; size > maxFile {
			return nil, fmt.Errorf("a capture that is larger than %d MiB cannot be played: cut it", maxFile>>20)
		}
		p, ok, err := Parse(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if ok {
			pieces = appendPiece(pieces, p)
		}
	}
	return pieces, lines.Err()
}

// appendPiece appends what the device sent in parts that fit into the buffer of whoever reads.
func appendPiece(pieces []Piece, p Piece) []Piece {
	for !p.Sent && len(p.Bytes) > maxPiece {
		pieces = append(pieces, Piece{p.At, false, p.Bytes[:maxPiece]})
		p.Bytes = p.Bytes[maxPiece:]
	}
	return append(pieces, p)
}

// Tick appends the piece that is due and says when the next one is.
func (p *Player) Tick(now time.Time, out []byte) ([]byte, time.Time) {
	if p.due.IsZero() {
		p.due = now
		p.wait(now)
	}
	if now.Before(p.due) {
		return out, p.due
	}
	if piece := p.pieces[p.next]; !piece.Sent {
		out = append(out, piece.Bytes...)
	}
	p.pass(p.due)
	return out, p.due
}

// Receive goes on behind the next place where the same bytes were written.
func (p *Player) Receive(written []byte, now time.Time, out []byte) []byte {
	for i := range p.pieces {
		at := (p.next + i) % len(p.pieces)
		if piece := p.pieces[at]; piece.Sent && bytes.Equal(piece.Bytes, written) {
			p.next = at
			p.pass(now)
			break
		}
	}
	return out
}

// pass goes to the piece after the one that was played or written at a time.
func (p *Player) pass(at time.Time) {
	before := p.pieces[p.next].At
	p.next = (p.next + 1) % len(p.pieces)
	gap := again
	if p.next > 0 {
		gap = max(p.pieces[p.next].At.Sub(before), 0)
	}
	p.due = at.Add(gap)
	p.wait(p.due)
}

// wait gives whoever is to write time to do so.
func (p *Player) wait(from time.Time) {
	if p.pieces[p.next].Sent {
		p.due = from.Add(patient)
	}
}
