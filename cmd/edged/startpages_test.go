// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// residentFile is how much of the files that this process maps is in its memory, in kB.
func residentFile(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^RssFile:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no RssFile in %s", status)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

func TestPagesOfTheStartAreGivenBack(t *testing.T) {
	before := residentFile(t)
	if err := dropStartPages(); err != nil {
		t.Fatal(err)
	}
	after := residentFile(t)
	t.Logf("%d kB, then %d kB", before, after)
	if after > before*3/4 {
		t.Errorf("of %d kB of files %d kB are still in memory", before, after)
	}
}

func TestWhatIsWrittenIsNotDropped(t *testing.T) {
	for line, want := range map[string]bool{
		"10000-20000 r-xp 00000000 08:01 77 /usr/bin/edged":           true,
		"10000-20000 r--p 00000000 08:01 77 /usr/bin/edged":           true,
		"10000-20000 rw-p 00000000 08:01 77 /usr/bin/edged":           false,
		"10000-20000 r-xp 00000000 08:01 77 /usr/lib/libc.so.6":       false,
		"10000-20000 r-xp 00000000 08:01 77 /opt/usr/bin/edged.saved": false,
		"20000-20000 r-xp 00000000 08:01 77 /usr/bin/edged":           false,
		"zz-20000 r-xp 00000000 08:01 77 /usr/bin/edged":              false,
		"": false,
	} {
		pages, ours := fileMapping(line, "/usr/bin/edged")
		if ours != want || ours && len(pages) != 0x10000 {
			t.Errorf("%q: %v, %d bytes", line, ours, len(pages))
		}
	}
}
