// SPDX-License-Identifier: Apache-2.0

package port

import (
	"errors"
	"os"
	"time"

	"edged/bridge/port/capture"
	"edged/bridge/port/child"
)

// restartPause is the longest between two starts of a program that ends at once.
const restartPause = time.Minute

// program is a child process as a port.
type program struct {
	*child.Child
	name string
}

// start runs a program as the port of that name, for a device.
func (s *System) start(name, command, who string) (Port, error) {
	c, err := child.Start(command, s.log.With("device", who))
	if err != nil {
		return nil, &Error{Code: Missing, Port: name, Text: "the program cannot be started: " + err.Error(), Err: err, Pause: restartPause}
	}
	return program{c, name}, nil
}

// Read reads what the program prints.
func (p program) Read(b []byte) (int, error) {
	n, err := p.Child.Read(b)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) {
		return n, err
	}
	return n, &Error{
		Code: Missing, Port: p.name, Text: err.Error(), Err: err, Pause: restartPause,
		Do: "it is started again; see what it says in edged's log",
	}
}

// replay plays the capture in a file as the port of that name.
func replay(name, file string) (Port, error) {
	p, err := capture.Open(file)
	if err == nil {
		return newSim(p), nil
	}
	e := &Error{Code: Missing, Port: name, Text: err.Error(), Err: err, Do: "name a file that edged device capture made"}
	if errors.Is(err, os.ErrPermission) {
		e.Code, e.Do = Forbidden, "let the user that edged runs as read it"
	}
	return nil, e
}
