// SPDX-License-Identifier: Apache-2.0

// Package system reads how the machine itself is: its processor's temperature and load, memory, disk, and whether it
// is throttled.
package system

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"

	"edged/devices"
)

// options are the keys of a device's table.
type options struct {
	Zone int `toml:"zone" min:"0" max:"99" default:"0" text:"which thermal zone of the kernel is the processor's"`
}

// Driver is the driver of the machine that edged runs on.
func Driver() *devices.Driver {
	return &devices.Driver{
		Name: "system", Title: "The machine that edged runs on", Class: "system", Every: 30 * time.Second,
		Notes:    "What a board does not tell is absent: `throttled`, `capped` and `under_voltage` come from a Raspberry Pi.",
		Readings: infos(), Options: devices.OptionsOf(options{}),
		Sensor: &devices.Opening{Open: open, Pretend: pretend},
	}
}

func infos() []devices.Info {
	zero, hundred := 0.0, 100.0
	share := func(name, text string) devices.Info {
		return devices.Info{Name: name, Unit: "%", Kind: devices.Number, Min: &zero, Max: &hundred, Text: text}
	}
	flag := func(name, text string) devices.Info {
		return devices.Info{Name: name, Kind: devices.Bool, Text: text, Optional: true}
	}
	temperature := devices.Info{Name: "temperature", Unit: "°C", Class: "temperature", Kind: devices.Number, Text: "of the processor", Optional: true}
	cpu := share("cpu", "share of the processor's time that was used since the last reading")
	cpu.Optional = true // not in the first
	return []devices.Info{
		temperature, cpu,
		{Name: "load", Kind: devices.Number, Text: "processes that ran or waited to, on average over a minute"},
		share("memory", "share of the memory that is used"),
		{Name: "memory_free", Unit: "MiB", Class: "data_size", Kind: devices.Number, Text: "memory that could be used"},
		share("disk", "share of the file system with edged's state that is used"),
		{Name: "disk_free", Unit: "MiB", Class: "data_size", Kind: devices.Number, Text: "free there"},
		{Name: "uptime", Unit: "s", Class: "duration", Kind: devices.Number, Text: "since the machine was started"},
		flag("throttled", "the processor is slowed down, being too hot or short of power"),
		flag("capped", "its frequency is limited"),
		flag("under_voltage", "the supply's voltage is too low"),
	}
}

// sensor reads files of the kernel.
type sensor struct {
	m    devices.Machine
	zone string

	busy, total uint64 // of the last reading, in ticks
	out         []devices.Reading
}

func open(o devices.Options, m devices.Machine) (devices.Sensor, error) {
	var x options
	if err := o.Decode(&x); err != nil {
		return nil, err
	}
	return &sensor{m: m, zone: fmt.Sprintf("sys/class/thermal/thermal_zone%d/temp", x.Zone)}, nil
}

// Close has nothing to close.
func (s *sensor) Close() error { return nil }

// Read reads all that the machine tells. What it does not have is absent; only when it tells nothing is that an error.
func (s *sensor) Read(emit func(devices.Sample)) error {
	s.out = s.out[:0]
	first := s.temperature()
	for _, err := range []error{s.processor(), s.load(), s.memory(), s.disk(), s.uptime(), s.firmware()} {
		if first == nil && !errors.Is(err, fs.ErrNotExist) {
			first = err
		}
	}
	if len(s.out) == 0 {
		return &devices.Trouble{Code: devices.Absent, Text: "the kernel tells nothing", Err: first, Do: "edged needs /proc and /sys"}
	}
	emit(devices.Sample{At: s.m.Now(), Readings: s.out})
	return nil
}

func (s *sensor) add(name string, v devices.Value) {
	s.out = append(s.out, devices.Reading{Name: name, Value: v})
}

func (s *sensor) number(name string, x float64, decimals int) {
	f := math.Pow10(decimals)
	s.add(name, devices.Num(math.Round(x*f)/f))
}

// text reads a small file of the kernel.
func (s *sensor) text(name string) (string, error) {
	b, err := fs.ReadFile(s.m.Files, name)
	return strings.TrimSpace(string(b)), err
}

// temperature is told in thousandths of a degree.
func (s *sensor) temperature() error {
	text, err := s.text(s.zone)
	if err != nil {
		return ifThere(err)
	}
	milli, err := strconv.ParseFloat(text, 64)
	if err != nil || milli < -100e3 || milli > 300e3 {
		return fmt.Errorf("%s holds %q, no temperature", s.zone, text)
	}
	s.number("temperature", milli/1000, 3)
	return nil
}

// ifThere lets pass that a file is not there.
func ifThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// processor reads /proc/stat: "cpu  user nice system idle iowait irq softirq steal …" in ticks.
func (s *sensor) processor() error {
	text, err := s.text("proc/stat")
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line)
	if len(f) < 6 || f[0] != "cpu" {
		return errors.New("proc/stat tells nothing of the processor")
	}
	var busy, total uint64
	for i, word := range f[1:min(len(f), 9)] { // guest time is in user time already
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return fmt.Errorf("proc/stat: %w", err)
		}
		total += n
		if i != 3 && i != 4 {
			busy += n
		}
	}
	if s.total > 0 && total > s.total && busy >= s.busy && busy-s.busy <= total-s.total {
		s.number("cpu", 100*float64(busy-s.busy)/float64(total-s.total), 1)
	}
	s.busy, s.total = busy, total
	return nil
}

// load reads /proc/loadavg: averages over 1, 5 and 15 minutes, and more.
func (s *sensor) load() error { return s.first("proc/loadavg", "load", 2) }

func (s *sensor) uptime() error { return s.first("proc/uptime", "uptime", 0) }

// first reads a file's first number.
func (s *sensor) first(file, name string, decimals int) error {
	text, err := s.text(file)
	if err != nil {
		return err
	}
	word, _, _ := strings.Cut(text, " ")
	x, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	s.number(name, x, decimals)
	return nil
}

// memory reads /proc/meminfo: lines "MemTotal:  16340232 kB".
func (s *sensor) memory() error {
	text, err := s.text("proc/meminfo")
	if err != nil {
		return err
	}
	kib := map[string]float64{}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		if f := strings.Fields(rest); len(f) > 0 && (name == "MemTotal" || name == "MemAvailable") {
			if kib[name], err = strconv.ParseFloat(f[0], 64); err != nil {
				return fmt.Errorf("proc/meminfo: %w", err)
			}
		}
	}
	total, free := kib["MemTotal"], kib["MemAvailable"]
	if total <= 0 || free < 0 || free > total {
		return errors.New("proc/meminfo tells no MemTotal and MemAvailable")
	}
	s.number("memory", 100*(1-free/total), 1)
	s.number("memory_free", free/1024, 0)
	return nil
}

func (s *sensor) disk() error {
	free, total, err := s.m.Usage()
	if err != nil || total == 0 {
		return err
	}
	s.number("disk", 100*(1-float64(free)/float64(total)), 1)
	s.number("disk_free", float64(free)/(1<<20), 0)
	return nil
}

// Bits of what a Raspberry Pi's firmware tells (raspberrypi.com, vcgencmd get_throttled).
const (
	underVoltage = 1 << 0
	capped       = 1 << 1
	throttled    = 1 << 2
)

// firmware asks a Raspberry Pi's.
func (s *sensor) firmware() error {
	text, err := s.text("sys/devices/platform/soc/soc:firmware/get_throttled")
	if err != nil {
		return s.alarm()
	}
	bits, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
	if err != nil {
		return fmt.Errorf("get_throttled holds %q, no number", text)
	}
	s.add("throttled", devices.Flag(bits&throttled != 0))
	s.add("capped", devices.Flag(bits&capped != 0))
	s.add("under_voltage", devices.Flag(bits&underVoltage != 0))
	return nil
}

// alarm finds the kernel's own watch over the supply's voltage, where the firmware is not asked.
func (s *sensor) alarm() error {
	names, err := fs.Glob(s.m.Files, "sys/class/hwmon/hwmon*/name")
	if err != nil {
		return err
	}
	for _, name := range names {
		if what, err := s.text(name); err != nil || what != "rpi_volt" {
			continue
		}
		on, err := s.text(strings.TrimSuffix(name, "name") + "in0_lcrit_alarm")
		if err != nil {
			return err
		}
		s.add("under_voltage", devices.Flag(on == "1"))
		return nil
	}
	return nil
}
