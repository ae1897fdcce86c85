// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"golang.org/x/term"

	"edged/broker/authority"
)

// password is a new one as the configuration keeps it.
type password struct {
	hash string
	made string // the password itself where it was made here; ""
}

// newPassword makes a user's new password, or asks for it twice on a terminal, or reads it from the first line of
// standard input.
func (g *globals) newPassword(ctx context.Context, name string, generate bool) (p password, err error) {
	if generate {
		p.made = rand.Text() // at least 128 bits
		p.hash = authority.HashPassword([]byte(p.made))
		return p, nil
	}
	text, err := g.readPassword(ctx, name)
	if err != nil {
		return p, err
	}
	switch {
	case len(text) == 0:
		return p, exitWith(exitUsage, errors.New("an empty password is none; --generate makes one"))
	case len(text) > math.MaxUint16:
		return p, exitWith(exitUsage, errors.New("MQTT has no room for a password of more than 65,535 bytes"))
	}
	p.hash = authority.HashPassword(text)
	return p, nil
}

func (g *globals) readPassword(ctx context.Context, name string) ([]byte, error) {
	f, ok := g.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(g.in).ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), nil
	}
	first, err := g.ask(ctx, f, fmt.Sprintf("Password for %s: ", name))
	if err != nil {
		return nil, err
	}
	second, err := g.ask(ctx, f, "Once more: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, exitWith(exitUsage, errors.New("these are two different passwords; nothing was changed"))
	}
	return first, nil
}

// ask reads a line of a terminal that shows nothing meanwhile. When ctx ends, by Ctrl-C, it shows again what is typed.
func (g *globals) ask(ctx context.Context, f *os.File, prompt string) ([]byte, error) {
	fd := int(f.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("ask for the password: %w", err)
	}
	fmt.Fprint(g.err, prompt)
	type answer struct {
		line []byte
		err  error
	}
	read := make(chan answer, 1)
	go func() { // its end is that of the line, or that of the program
		line, err := term.ReadPassword(fd)
		read <- answer{line, err}
	}()
	select {
	case a := <-read:
		fmt.Fprintln(g.err)
		if a.err != nil {
			return nil, fmt.Errorf("ask for the password: %w", a.err)
		}
		return a.line, nil
	case <-ctx.Done():
		fmt.Fprintln(g.err)
		return nil, errors.Join(errors.New("interrupted; nothing was changed"), term.Restore(fd, state))
	}
}
