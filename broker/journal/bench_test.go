// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/broker/journal"
)

// BenchmarkCommit appends records of 64 bytes in groups and waits for each group: records per second, and bytes that
// the device of a file system of its own writes per record.
func BenchmarkCommit(b *testing.B) {
	for _, group := range []int{1, 10, 50, 200} {
		b.Run(fmt.Sprintf("group=%d", group), func(b *testing.B) {
			v := newVolume(b, 256)
			j, commits, stop := on(b, journal.Config{Dir: filepath.Join(v.dir, "journal")}, nil)
			body := make([]byte, 64)
			put := func() {
				for range group {
					j.Append(kind, body)
				}
				if !durable(b, j, commits, time.Minute) {
					b.Fatal("not committed")
				}
				if gen, n := j.First(); n > 2 { // so that segments are recycled, as they are in use
					j.Release(gen + uint64(n) - 2)
				}
			}
			for range 2000/group + 1 {
				put()
			}
			before := v.written()
			for b.Loop() {
				put()
			}
			records := float64(b.N * group)
			b.ReportMetric(float64(v.written()-before)/records, "device-B/record")
			b.ReportMetric(records/b.Elapsed().Seconds(), "records/s")
			if err := stop(); err != nil {
				b.Error(err)
			}
		})
	}
}

// written is how many bytes the device has written.
func (v *volume) written() int64 {
	v.tb.Helper()
	stat, err := os.ReadFile("/sys/block/" + filepath.Base(v.device) + "/stat")
	if err != nil {
		v.tb.Fatal(err)
	}
	const sectorsWritten, sector = 6, 512
	n, err := strconv.ParseInt(strings.Fields(string(stat))[sectorsWritten], 10, 64)
	if err != nil {
		v.tb.Fatal(err)
	}
	return n * sector
}

// BenchmarkAppend is what publishers pay who do not wait for their records, but are held back with 4 MiB pending.
func BenchmarkAppend(b *testing.B) {
	j, commits, _ := on(b, journal.Config{Dir: b.TempDir()}, nil)
	body := make([]byte, 64)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := j.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
		j.Append(kind, body)
		if gen, n := j.First(); n > 3 {
			j.Release(gen + 1)
		}
	}
	if !durable(b, j, commits, time.Minute) {
		b.Fatal("not committed")
	}
}

// BenchmarkRead reads records of 64 bytes back.
func BenchmarkRead(b *testing.B) {
	j, commits, _ := on(b, journal.Config{Dir: b.TempDir()}, nil)
	for range 10_000 {
		j.Append(kind, make([]byte, 64))
	}
	if !durable(b, j, commits, time.Minute) {
		b.Fatal("not committed")
	}
	r := j.Read(0)
	for b.Loop() {
		if _, ok := r.Next(); !ok {
			r.Close()
			r = j.Read(0)
		}
	}
	r.Close()
}
