// SPDX-License-Identifier: Apache-2.0

// Package pwm drives dimmers, fans and servos by the kernel's pulse width modulation.
package pwm

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"time"

	"edged/devices"
)

type options struct {
	Address   string  `toml:"address" default:"pwmchip0:0" text:"the kernel's chip and the channel on it"`
	Frequency float64 `toml:"frequency" min:"0.1" max:"100000000" default:"1000" text:"in hertz"`
	Active    string  `toml:"active" values:"high low" default:"high" text:"the level that lasts as long as the duty says"`
	Start     float64 `toml:"start" min:"0" max:"100" default:"0" text:"the duty from the start, in percent"`
	Stop      float64 `toml:"stop" min:"0" max:"100" default:"0" text:"the duty at an orderly stop, in percent"`
	Keep      bool    `toml:"keep" default:"false" text:"an orderly stop leaves it as it is"`
}

// Driver is the driver of a PWM output.
func Driver() *devices.Driver {
	zero, hundred := 0.0, 100.0
	return &devices.Driver{
		Name: "pwm", Title: "A dimmer, fan or servo at a PWM output", Class: "light", Every: 30 * time.Second,
		Notes: "The output needs an overlay, on a Raspberry Pi `dtoverlay=pwm` (GPIO18), and edged must be let write to /sys/class/pwm: its unit " +
			"is not, see `systemctl edit edged` and ProtectKernelTunables=no.",
		Readings: []devices.Info{{Name: "duty", Unit: "%", Kind: devices.Number, Min: &zero, Max: &hundred, Text: "share of the time that the output is active"}},
		Commands: []devices.CommandInfo{{Name: "duty", Kind: devices.KindNumber, Unit: "%", Min: &zero, Max: &hundred, Answered: true, Text: "set it"}},
		Options:  devices.OptionsOf(options{}),
		Sensor:   &devices.Opening{Open: open, Check: check, Place: func(o devices.Options) string { return o.Text("address", "pwmchip0:0") }, Pretend: pretend},
	}
}

var addressForm = regexp.MustCompile(`^(pwmchip\d{1,4}):(\d{1,4})$`)

func check(o devices.Options) error {
	if address := o.Text("address", "pwmchip0:0"); !addressForm.MatchString(address) {
		return devices.Faults{{Key: "address", Problem: fmt.Sprintf("%q is not a chip and a channel, such as \"pwmchip0:0\"", address)}}
	}
	return nil
}

// output is a channel: a directory of the kernel's.
type output struct {
	m      devices.Machine
	dir    string
	period int64 // ns
	x      options
}

func open(o devices.Options, m devices.Machine) (devices.Sensor, error) {
	var x options
	if err := o.Decode(&x); err != nil {
		return nil, err
	}
	if err := check(o); err != nil {
		return nil, err
	}
	part := addressForm.FindStringSubmatch(x.Address)
	chip := "sys/class/pwm/" + part[1]
	w := &output{m: m, dir: chip + "/pwm" + part[2], period: int64(math.Round(1e9 / x.Frequency)), x: x}
	if _, err := fs.Stat(m.Files, w.dir); errors.Is(err, fs.ErrNotExist) {
		if err := m.Files.WriteFile(chip+"/export", part[2]); err != nil {
			return nil, w.refused("take", err)
		}
	}
	if err := w.start(); err != nil {
		return nil, err
	}
	return w, nil
}

// start sets the channel up. The duty may never be longer than the period, so that it is 0 while that changes; the polarity
// can be set only while it is off.
func (w *output) start() error {
	polarity := map[string]string{"high": "normal", "low": "inversed"}[w.x.Active]
	if is, err := devices.ReadText(w.m.Files, w.dir+"/polarity"); err != nil || is != polarity {
		if err := w.put("enable", 0); err != nil {
			return err
		}
		if err := w.m.Files.WriteFile(w.dir+"/polarity", polarity); err != nil && w.x.Active == "low" {
			return w.refused("invert", err)
		}
	}
	period, err := w.number("period")
	if err != nil || period != w.period {
		if err := w.put("duty_cycle", 0); err != nil && period > 0 {
			return err
		}
		if err := w.put("period", w.period); err != nil {
			return err
		}
	}
	if err := w.duty(w.x.Start); err != nil {
		return err
	}
	return w.put("enable", 1)
}

func (w *output) refused(what string, err error) error {
	t := &devices.Trouble{Code: devices.Absent, Text: "can't " + what + " the PWM output " + w.x.Address, Err: err, Do: "see ls /sys/class/pwm, and the overlay in config.txt"}
	if errors.Is(err, fs.ErrPermission) {
		t.Code, t.Do = devices.Forbidden, "let edged write to /sys/class/pwm: ProtectKernelTunables=no in its unit, and a udev rule"
	}
	return t
}

func (w *output) put(file string, n int64) error {
	if err := w.m.Files.WriteFile(w.dir+"/"+file, strconv.FormatInt(n, 10)); err != nil {
		return w.refused("set", err)
	}
	return nil
}

func (w *output) number(file string) (int64, error) {
	text, err := devices.ReadText(w.m.Files, w.dir+"/"+file)
	if err != nil {
		return 0, w.refused("read", err)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, w.refused("read", err)
	}
	return n, nil
}

func (w *output) duty(percent float64) error {
	return w.put("duty_cycle", int64(math.Round(float64(w.period)*percent/100)))
}

// Read tells what the kernel says.
func (w *output) Read(emit func(devices.Sample)) error {
	at := w.m.Now()
	rs, err := w.reading()
	if err != nil {
		return err
	}
	emit(devices.Sample{At: at, Readings: rs})
	return nil
}

func (w *output) reading() ([]devices.Reading, error) {
	on, err := w.number("enable")
	if err != nil {
		return nil, err
	}
	period, err := w.number("period")
	if err != nil {
		return nil, err
	}
	duty, err := w.number("duty_cycle")
	if err != nil {
		return nil, err
	}
	if period != w.period || on != 1 || duty < 0 || duty > period {
		return nil, &devices.Trouble{Code: devices.Strange, Text: "another program changed the PWM output " + w.x.Address, Do: "let one program have it"}
	}
	percent := math.Round(1e5*float64(duty)/float64(period)) / 1e3
	return []devices.Reading{{Name: "duty", Value: devices.Num(percent)}}, nil
}

// Set sets the duty, and reads it back.
func (w *output) Set(_ string, v devices.Value) ([]devices.Reading, error) {
	percent, _ := v.Float()
	if err := w.duty(percent); err != nil {
		return nil, err
	}
	return w.reading()
}

// Close leaves it as it shall be left.
func (w *output) Close() error {
	if w.x.Keep {
		return nil
	}
	return w.duty(w.x.Stop)
}

// pretend is a channel whose files hold what is written.
func pretend(o devices.Options, _ uint64, m devices.Machine) devices.Machine {
	part := addressForm.FindStringSubmatch(o.Text("address", "pwmchip0:0"))
	if part == nil { // Open says so
		return m
	}
	files := devices.PretendedFiles{}
	for name, text := range map[string]string{"period": "0\n", "duty_cycle": "0\n", "enable": "0\n", "polarity": "normal\n"} {
		files["sys/class/pwm/"+part[1]+"/pwm"+part[2]+"/"+name] = devices.PretendedFile{
			Read:  func() string { return text },
			Write: func(s string) { text = s + "\n" },
		}
	}
	m.Files = files
	return m
}
