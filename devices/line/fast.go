// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bytes"
	"strings"

	"edged/devices"
)

// steps are a template without {}, as one goes through a line: text, number, text, …, where what follows a number can't
// be a part of it. Such a line is read without the expression, which finds the same.
type steps struct {
	texts [][]byte // one more than names
	names []string
}

// stepsOf gives the steps of a template's parts, literal and name in turn; nil: it needs the expression.
func stepsOf(sample []string) *steps {
	s := &steps{}
	for i, part := range sample {
		switch {
		case i%2 == 1 && part == "", i%2 == 0 && i > 0 && part != "" && strings.ContainsAny(part[:1], "0123456789.eE"):
			return nil
		case i%2 == 1:
			s.names = append(s.names, part)
		default:
			s.texts = append(s.texts, []byte(part))
		}
	}
	return s
}

// parse reads a line.
func (s *steps) parse(line []byte, to []devices.Reading) ([]devices.Reading, outcome) {
	begun := len(to)
	for i, text := range s.texts {
		if !bytes.HasPrefix(line, text) {
			return to[:begun], unmatched
		}
		line = line[len(text):]
		if i == len(s.names) {
			break
		}
		n := numberSize(line)
		if n == 0 {
			return to[:begun], unmatched
		}
		to = put(to, s.names[i], numberOf(line[:n]))
		line = line[n:]
	}
	if len(line) > 0 {
		return to[:begun], unmatched
	}
	return to, matched
}

// numberSize gives the bytes of the number that b begins with, as the expression number finds it; 0: it begins with none.
func numberSize(b []byte) int {
	i := 0
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	whole := digits(b[i:])
	i += whole
	if i < len(b) && b[i] == '.' {
		behind := digits(b[i+1:])
		if whole+behind == 0 {
			return 0
		}
		i += 1 + behind
	} else if whole == 0 {
		return 0
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		j := i + 1
		if j < len(b) && (b[j] == '+' || b[j] == '-') {
			j++
		}
		if n := digits(b[j:]); n > 0 {
			i = j + n
		}
	}
	return i
}

func digits(b []byte) (n int) {
	for n < len(b) && '0' <= b[n] && b[n] <= '9' {
		n++
	}
	return n
}

// numberOf gives the value of a number. One of up to 15 digits without an exponent is the quotient of two integers that a
// float64 holds, and so exact; others are left to the library.
func numberOf(b []byte) devices.Value {
	var n, scale uint64 = 0, 1
	count, point := 0, false
	for i, c := range b {
		switch {
		case c == '.':
			point = true
		case '0' <= c && c <= '9':
			n = n*10 + uint64(c-'0')
			if count++; point {
				scale *= 10
			}
		case i == 0:
		default:
			count = 99 // an exponent
		}
		if count > 15 {
			return scalar(string(b), true)
		}
	}
	x := float64(n) / float64(scale)
	if b[0] == '-' {
		x = -x
	}
	return devices.Num(x)
}
