// SPDX-License-Identifier: Apache-2.0

// Command bench measures the real binary on this machine, beside `cat tty | mosquitto_pub -l` with mosquitto, and prints
// what it measured. It judges nothing.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	edged  string
	runs   int
	length time.Duration
	rate   int
	row    string
}

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.edged, "edged", "bin/edged", "the binary to measure")
	flag.IntVar(&o.runs, "runs", 3, "runs of each figure of which the median is told")
	flag.DurationVar(&o.length, "length", 12*time.Second, "of one run under load")
	flag.IntVar(&o.rate, "rate", 50, "lines a second of each sensor")
	flag.StringVar(&o.row, "row", "", "of the broker: only rows whose names hold this")
	only := flag.String("only", "", "start, latency, memory, idle, disk, broker, flat or uplink")
	flag.Parse()
	fmt.Printf("machine   %s, %d processors, %s\n", processor(), runtime.NumCPU(), runtime.Version())
	fmt.Printf("edged     %s\n\n", strings.TrimSpace(output(o.edged, "version")))
	for _, part := range []struct {
		name string
		run  func(options) error
	}{
		{"start", benchStart},
		{"latency", benchLatency},
		{"memory", benchMemory},
		{"idle", benchIdle},
		{"disk", benchDisk},
		{"broker", benchBroker},
		{"flat", benchFlat},
		{"uplink", benchUplink},
	} {
		if *only != "" && *only != part.name {
			continue
		}
		if err := part.run(o); err != nil {
			log.Fatalf("%s: %v", part.name, err)
		}
		fmt.Println()
	}
}

func output(name string, args ...string) string {
	b, err := exec.Command(name, args...).Output()
	if err != nil {
		log.Fatalf("%s: %v", name, err)
	}
	return string(b)
}

func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
