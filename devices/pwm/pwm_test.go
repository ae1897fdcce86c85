// SPDX-License-Identifier: Apache-2.0

package pwm_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/pwm"
)

// channel is a kernel's, which refuses what that would.
type channel struct {
	devices.PretendedFiles
	values map[string]string
	log    []string
	fail   error
}

func newChannel(exported bool, values map[string]string) *channel {
	c := &channel{PretendedFiles: devices.PretendedFiles{}, values: values}
	const chip = "sys/class/pwm/pwmchip0/"
	appear := func() {
		for _, name := range []string{"period", "duty_cycle", "enable", "polarity"} {
			c.PretendedFiles[chip+"pwm1/"+name] = devices.PretendedFile{Read: func() string { return c.values[name] + "\n" }, Write: func(s string) { c.values[name] = s }}
		}
	}
	c.PretendedFiles[chip+"export"] = devices.PretendedFile{Read: func() string { return "" }, Write: func(string) { appear() }}
	if exported {
		appear()
	}
	return c
}

func (c *channel) WriteFile(name, text string) error {
	last := name[strings.LastIndex(name, "/")+1:]
	c.log = append(c.log, last+"="+text)
	if c.fail != nil {
		return c.fail
	}
	var duty, period int64
	_, _ = fmt.Sscan(c.values["duty_cycle"], &duty)
	_, _ = fmt.Sscan(c.values["period"], &period)
	var n int64
	_, _ = fmt.Sscan(text, &n)
	if last == "duty_cycle" && n > period || last == "period" && n < duty || last == "enable" && n == 1 && period == 0 || last == "polarity" && c.values["enable"] == "1" {
		return errors.New("invalid argument")
	}
	return c.PretendedFiles.WriteFile(name, text)
}

func values(period, duty, enable, polarity string) map[string]string {
	return map[string]string{"period": period, "duty_cycle": duty, "enable": enable, "polarity": polarity}
}

func TestOutputs(t *testing.T) {
	for name, c := range map[string]struct {
		c       *channel
		options devices.Options
		log     string
		want    string // reading, or code
		end     string
	}{
		"fresh": {
			newChannel(false, values("0", "0", "0", "normal")),
			devices.Options{"start": 25.0},
			"export=1 duty_cycle=0 period=1000000 duty_cycle=250000 enable=1", `{"duty":25}`, "duty_cycle=0",
		},
		"of an earlier run, slower": {
			newChannel(true, values("5000000", "4000000", "1", "normal")),
			devices.Options{"keep": true},
			"duty_cycle=0 period=1000000 duty_cycle=0 enable=1", `{"duty":0}`, "",
		},
		"inverted while it is on": {
			newChannel(true, values("1000000", "1000000", "1", "normal")),
			devices.Options{"active": "low", "start": 100.0, "stop": 50.0},
			"enable=0 polarity=inversed duty_cycle=1000000 enable=1", `{"duty":100}`, "duty_cycle=500000",
		},
		"a servo": {
			newChannel(true, values("0", "0", "0", "normal")),
			devices.Options{"frequency": 50.0, "start": 7.5},
			"duty_cycle=0 period=20000000 duty_cycle=1500000 enable=1", `{"duty":7.5}`, "duty_cycle=0",
		},
	} {
		c.options["address"] = "pwmchip0:1"
		s, err := pwm.Driver().Sensor.Open(c.options, devices.Machine{Files: c.c, Now: time.Now})
		if err != nil {
			t.Errorf("%s: %v after %v", name, err, c.c.log)
			continue
		}
		var got string
		if err := s.Read(func(x devices.Sample) { got = string(devices.AppendObject(nil, x.Readings)) }); err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, c.want)
		}
		if log := strings.Join(c.c.log, " "); log != c.log {
			t.Errorf("%s: %s, want %s", name, log, c.log)
		}
		rs, err := s.(devices.Setter).Set("duty", devices.Num(12.5))
		if got := string(devices.AppendObject(nil, rs)); err != nil || got != `{"duty":12.5}` {
			t.Errorf("%s: set to 12.5: %s, %v", name, got, err)
		}
		c.c.log = nil
		if err := s.Close(); err != nil || strings.Join(c.c.log, " ") != c.end {
			t.Errorf("%s: at the end %v, %v; want %s", name, c.c.log, err, c.end)
		}
	}
}

func TestTroubles(t *testing.T) {
	for name, c := range map[string]struct {
		change func(c *channel)
		code   string
	}{
		"forbidden":               {func(c *channel) { c.fail = fs.ErrPermission }, devices.Forbidden},
		"not there":               {func(c *channel) { clear(c.PretendedFiles) }, devices.Absent},
		"another program sets it": {func(c *channel) { c.values["period"] = "7" }, devices.Strange},
		"switched off":            {func(c *channel) { c.values["enable"] = "0" }, devices.Strange},
		"nonsense":                {func(c *channel) { c.values["duty_cycle"] = "x" }, devices.Absent},
	} {
		ch := newChannel(true, values("1000000", "0", "1", "normal"))
		if name == "forbidden" || name == "not there" {
			c.change(ch)
		}
		s, err := pwm.Driver().Sensor.Open(devices.Options{"address": "pwmchip0:1"}, devices.Machine{Files: ch, Now: time.Now})
		if err == nil {
			c.change(ch)
			err = s.Read(func(x devices.Sample) { t.Errorf("%s: reads %v", name, x.Readings) })
		}
		if trouble := new(devices.Trouble); !errors.As(err, &trouble) || trouble.Code != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	var problem string
	pwm.Driver().Validate(devices.Options{"address": "GPIO18"}, func(key, p string) { problem = key + ": " + p })
	if !strings.HasPrefix(problem, `address: "GPIO18" is not a chip and a channel`) {
		t.Errorf("of a wrong address it says %q", problem)
	}
}

// FuzzFiles lets the kernel's files say anything.
func FuzzFiles(f *testing.F) {
	f.Add("1000000", "250000", "1")
	f.Fuzz(func(t *testing.T, period, duty, enable string) {
		c := newChannel(true, values("0", "0", "0", "normal"))
		s, err := pwm.Driver().Sensor.Open(devices.Options{"address": "pwmchip0:1"}, devices.Machine{Files: c, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		c.values = values(period, duty, enable, "normal")
		err = s.Read(func(x devices.Sample) {
			if v, ok := x.Readings[0].Value.Float(); !ok || v < 0 || v > 100 {
				t.Errorf("%q %q %q: %v", period, duty, enable, v)
			}
		})
		if trouble := new(devices.Trouble); err != nil && !errors.As(err, &trouble) {
			t.Errorf("%v has no code", err)
		}
	})
}
