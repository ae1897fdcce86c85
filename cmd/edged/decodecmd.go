// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"edged/bridge/port/capture"
	"edged/config"
	"edged/devices"
)

func newDecode(g *globals) *cobra.Command {
	var isHex bool
	var set []string
	var request string
	cmd := &cobra.Command{
		Use:   "decode DRIVER [FILE]",
		Short: "bytes of a device in, one JSON object of readings per frame out",
		Long: "Reads the bytes of a device, or what edged device capture has recorded, and prints one JSON object of readings for each " +
			"valid frame.",
		Example: `  edged decode pms5003 air.capture
  echo 'aa c0 d4 04 3a 0a a1 60 1d ab' | edged decode sds011 --hex
  edged decode line --set 'format = "kv"' log.txt`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := g.driver(args[0])
			if err != nil {
				return err
			}
			path := ""
			if len(args) == 2 {
				path = args[1]
			}
			return g.decode(d, path, isHex, set, request)
		},
	}
	cmd.Flags().BoolVar(&isHex, "hex", false, "the input is hexadecimal text")
	cmd.Flags().StringArrayVar(&set, "set", nil, "an option of the device as TOML: 'key = value' (repeatable)")
	cmd.Flags().StringVar(&request, "request", "", "hexadecimal bytes that were sent to the device before")
	return cmd
}

func (g *globals) decode(d *devices.Driver, path string, isHex bool, set []string, request string) error {
	options, err := config.ParseOptions(strings.Join(set, "\n"))
	if err != nil {
		return exitWith(exitUsage, fmt.Errorf("--set: %w", err))
	}
	var faults []string
	d.Validate(options, func(key, problem string) { faults = append(faults, strings.TrimPrefix(key+": "+problem, ": ")) })
	if len(faults) > 0 {
		return exitWith(exitUsage, fmt.Errorf("--set: %s", strings.Join(faults, "\n")))
	}
	sent, err := unhex(request)
	if err != nil {
		return exitWith(exitUsage, fmt.Errorf("--request: %w", err))
	}
	f, err := g.openInput(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 4096)
	if head, _ := in.Peek(len(capture.Mark)); string(head) == capture.Mark {
		return g.decodeCapture(d, options, in)
	}
	if isHex {
		text, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("read the input: %w", err)
		}
		b, err := unhex(string(text))
		if err != nil {
			return fmt.Errorf("read the input as hexadecimal text: %w", err)
		}
		in = bufio.NewReader(bytes.NewReader(b))
	}
	n, err := devices.Decode(d, options, sent, in, g.out)
	if err != nil {
		return err
	}
	return g.decoded(n)
}

// decodeCapture decodes what edged device capture has recorded: it tells what was sent, and when.
func (g *globals) decodeCapture(d *devices.Driver, options devices.Options, in io.Reader) error {
	p, err := devices.NewPrinter(d, options, g.out)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		piece, ok, err := capture.Parse(lines.Bytes())
		switch {
		case err != nil:
			return exitWith(exitUsage, fmt.Errorf("line %d of the capture: %w", n, err))
		case !ok:
		case !piece.Sent:
			if err := p.Feed(piece.Bytes, piece.At); err != nil {
				return err
			}
		default:
			_ = p.Sent(piece.Bytes) // an error says that this driver does not need it
		}
	}
	n, err := p.End()
	if err := errors.Join(lines.Err(), err); err != nil {
		return fmt.Errorf("decode the capture: %w", err)
	}
	return g.decoded(n)
}

// decoded says how much was no frame.
func (g *globals) decoded(n devices.Counts) error {
	fmt.Fprintf(g.err, "%d garbage bytes, %d bad frames\n", n.Garbage, n.Bad)
	if n.Frames == 0 {
		return exitWith(exitProblem, errQuiet)
	}
	return nil
}

// unhex reads hexadecimal digits with white space between bytes.
func unhex(s string) ([]byte, error) {
	return hex.DecodeString(strings.Join(strings.Fields(s), ""))
}
