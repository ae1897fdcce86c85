// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// benchStart measures from exec to READY with 16 simulated sensors, on an empty state and on the one it left.
func benchStart(o options) error {
	var fresh, again []time.Duration
	for range o.runs {
		err := inDir(func(dir string) error {
			for _, list := range []*[]time.Duration{&fresh, &again} {
				g, err := startGateway(o, dir, simulated(16))
				if err != nil {
					return err
				}
				*list = append(*list, g.start)
				if err := g.stop(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	fmt.Printf("start to READY, 16 sensors       %v on an empty state, %v on its own (medians of %d; goal 500ms)\n",
		median(fresh).Round(time.Millisecond), median(again).Round(time.Millisecond), o.runs)
	return nil
}

// simulated is the configuration of n simulated sensors.
func simulated(n int) string {
	var b strings.Builder
	for i := range n {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "[device.s%d]\ndriver = \"pms5003\"\nport = \"sim\"\n", i)
		case 1:
			fmt.Fprintf(&b, "[device.s%d]\ndriver = \"sds011\"\nport = \"sim\"\n", i)
		case 2:
			fmt.Fprintf(&b, "[device.s%d]\ndriver = \"line\"\nport = \"sim\"\nformat = \"template\"\nparse = \"T={temperature},H={humidity}\"\n", i)
		}
	}
	return b.String()
}

// benchMemory measures the peak memory of simulated sensors after half a minute, with an uplink that finds no cloud.
func benchMemory(o options) error {
	for _, n := range []int{4, 16, 64} {
		err := inDir(func(dir string) error {
			port, err := freePort()
			if err != nil {
				return err
			}
			g, err := startGateway(o, dir, fmt.Sprintf("[uplink]\nurl = \"mqtt://127.0.0.1:%d\"\n", port)+simulated(n))
			if err != nil {
				return err
			}
			<-time.After(o.length)
			peak, err := g.memory("VmHWM")
			if err != nil {
				return err
			}
			anon, err := g.memory("RssAnon")
			if err != nil {
				return err
			}
			goal := ""
			if n == 16 {
				goal = ", goal 20 MiB"
			}
			fmt.Printf("memory, %2d sensors               %.1f MiB at the peak (%.1f MiB of it its own, not the program's file%s)\n",
				n, float64(peak)/1024, float64(anon)/1024, goal)
			return g.stop()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func median(all []time.Duration) time.Duration { return quantile(all, 0.5) }

func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Clone(all)
	slices.Sort(sorted)
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
