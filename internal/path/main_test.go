// SPDX-License-Identifier: Apache-2.0

package path

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	// What the program is made of: results that go test kept count no more when it changes.
	_ "edged/broker"
	_ "edged/config"
	_ "edged/uplink"

	"edged/internal/built"
)

const (
	// fullVariable names the one that asks for the whole campaign: each fault as long as it is promised for.
	fullVariable = "EDGED_PATH_FULL"
	// together is how many rows run at once. They wait most of the time, so it has little to do with processors.
	together = "10"
)

// full says whether this is the whole campaign.
func full() bool { return os.Getenv(fullVariable) != "" }

// either is for how long a fault lasts, or how many there are.
func either[T any](short, long T) T {
	if full() {
		return long
	}
	return short
}

// grace is what the short form grants on top of what is promised: it runs beside other tests, on a machine that may be busy.
func grace() time.Duration { return either(3*time.Second, 0) }

// TestMain builds edged as it is shipped. Without root there are no namespaces; then nothing is run, and `make test` says so.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "NOT RUN: internal/path needs root, for network namespaces")
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", together); err != nil {
		panic(err)
	}
	os.Exit(built.Main(m.Run, stamped("edged")))
}

// stamped is edged with the time at which it was built, as it is shipped.
func stamped(name string, flags ...string) built.Program {
	stamp := fmt.Sprintf("-X main.buildTime=%d", time.Now().Unix())
	return built.Program{Name: name, Flags: append([]string{"-ldflags", stamp}, flags...), Source: built.Edged}
}

// program is the path of edged.
func program() string { return built.Path("edged") }
