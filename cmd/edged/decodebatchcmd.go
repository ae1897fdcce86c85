// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	"github.com/spf13/cobra"

	"edged/uplink/batch"
)

func newDecodeBatch(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "decode-batch [FILE]",
		Short: "batches from the cloud in, one JSON object per message out",
		Long: "Reads what the uplink has published on edged/GATEWAY/batch, one batch or many in a row, and prints a line for each " +
			"message in them: its topic, and its payload as data (JSON), text or base64.",
		Example: `  mosquitto_sub -h mqtt.example.com -t edged/press-hall-3/batch -C 1 -N | edged decode-batch
  edged decode-batch batches.zst`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := ""
			if len(args) == 1 {
				path = args[0]
			}
			return g.decodeBatch(path)
		},
	}
}

func (g *globals) decodeBatch(path string) error {
	f, err := g.openInput(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = batch.Unpack(f, func(line []byte, _ string, _ []byte) error {
		_, err := g.out.Write(append(line, '\n'))
		return err
	})
	if errors.Is(err, batch.ErrDamaged) {
		return exitWith(exitProblem, err)
	}
	return err
}
