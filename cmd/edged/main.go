// SPDX-License-Identifier: Apache-2.0

// Command edged is the IoT edge gateway: sensors in, MQTT here and in the cloud.
package main

import (
	"os"
)

// Set by the linker: the version, and the time of the sources as Unix seconds, before which no clock is believed.
var (
	version   = "dev"
	buildTime = "0"
)

func main() {
	os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
