// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// startOver is how long after READY the last work of a start is done.
const startOver = 2 * time.Second

// dropStartPages takes the pages of the program's file out of this process's memory. While it starts the kernel maps nearly
// the whole file, 64 KiB around each page that is touched, though hardly a third is needed later; what is needed comes
// back from the page cache in some ten microseconds. What is not is the first that the kernel gives to others.
func dropStartPages() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program's file: %w", err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("find the program's pages: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		pages, ours := fileMapping(lines.Text(), exe)
		if !ours {
			continue
		}
		if drop := syscall.Madvise(pages, syscall.MADV_DONTNEED); drop != nil {
			err = errors.Join(err, fmt.Errorf("drop pages of %s: %w", exe, drop))
		}
	}
	return err
}

// fileMapping gives the memory that a line of /proc/self/maps tells of, if it is a mapping of the file that can't be
// written: what was written would be lost.
func fileMapping(line, file string) (pages []byte, ours bool) {
	var from, to uintptr
	var mode string
	if !strings.HasSuffix(line, " "+file) {
		return nil, false
	}
	if n, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n != 3 || err != nil || strings.Contains(mode, "w") || to <= from {
		return nil, false
	}
	start := *(*unsafe.Pointer)(unsafe.Pointer(&from)) // an address of the kernel's, which the collector knows nothing of
	return unsafe.Slice((*byte)(start), to-from), true
}
