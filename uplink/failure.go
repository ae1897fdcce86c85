// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"errors"

	"edged/uplink/reach"
)

// failure is why there is no session, with a code and what to do.
type failure struct {
	code string // "": none is for that
	text string
	err  error // what was seen; nil: the text says all
}

func (f *failure) Error() string {
	s := f.text
	if f.code != "" {
		s += " (" + f.code + ")"
	}
	if f.err != nil {
		s += ": " + f.err.Error()
	}
	return s
}

func (f *failure) Unwrap() error { return f.err }

// told returns the code and the text of an error for the status.
func told(err error) (code, text string) {
	var f *failure
	if errors.As(err, &f) {
		return f.code, f.text
	}
	var r *reach.Failure
	if errors.As(err, &r) {
		return r.Code, r.Text
	}
	return "", err.Error()
}
