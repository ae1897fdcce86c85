// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"edged/devices/catalog"
)

func newDevice(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "device",
		Short: "add, remove and record devices, and try a description of one",
		Example: `  edged device add /dev/ttyUSB0 --name office
  edged device rm office
  edged device capture office office.capture
  edged device test my-sensor.toml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeviceAdd(g), newDeviceRm(g), newDeviceCapture(g), &cobra.Command{
		Use:   "test FILE",
		Short: "check a description file and run its [[test]] blocks",
		Long: "Reads a device description and runs its known answers. What is wrong is told as file:line:column; the exit code is then 1, " +
			"or 78 where the description itself can't be used.",
		Example: `  edged device test /etc/edged/devices/my-sensor.toml`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return g.testDescription(args[0]) },
	})
	return cmd
}

// testDescription runs the known answers of a file.
func (g *globals) testDescription(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return exitWith(exitUsage, fmt.Errorf("read the description: %w", err))
	}
	d, count, err := catalog.Check(file, text)
	switch {
	case err != nil && d == nil:
		return exitWith(exitConfig, err)
	case err != nil:
		failed := strings.Count(err.Error(), "\n") + 1
		return exitWith(exitProblem, fmt.Errorf("%w\n%s: %d of %d tests failed", err, d.Name, failed, count))
	case count == 0:
		return exitWith(exitProblem, fmt.Errorf("%s: there is no [[test]] in it: add bytes that the device sends, and what they mean", file))
	}
	fmt.Fprintf(g.out, "%s: %d tests passed\n", d.Name, count)
	return nil
}
