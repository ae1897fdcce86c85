// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"strings"
	"testing"

	"edged/config"
)

// TestDevicesOnNoPort reads tables of chips, lines and files. A fault is told by what its line begins with.
func TestDevicesOnNoPort(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"all kinds": {"[device.a]\ndriver = \"system\"\n[device.b]\ndriver = \"bme280\"\naddress = 0x77\nbus = \"i2c-3\"\nevery = \"5s\"\n[device.c]\ndriver = \"gpio-in\"\n" +
			"gpio = \"GPIO17\"\nclass = \"door\"\n[device.c.reading.state]\nrename = \"open\"\n[device.d]\ndriver = \"w1\"\n", nil},
		"pretended": {"[device.a]\ndriver = \"scd4x\"\nport = \"sim\"\n[device.b]\ndriver = \"scd4x\"\nport = \"sim\"\n", nil},
		"a port":    {"[device.a]\ndriver = \"scd4x\"\nport = \"/dev/ttyUSB0\"\n", []string{`e.toml:3:8: device.a.port: driver "scd4x" has no port "/dev/ttyUSB0"`}},
		"serial":    {"[device.a]\ndriver = \"scd4x\"\nserial = \"9600 8N1\"\n", []string{`e.toml:3:1: device.a.serial: unknown key`}},
		"no line":   {"[device.a]\ndriver = \"gpio-in\"\n", []string{`e.toml:1:9: device.a.gpio: is missing; which line`}},
		"two chips at one address": {
			"[device.a]\ndriver = \"sht4x\"\n[device.b]\ndriver = \"sht3x\"\nbus = \"/dev/i2c-1\"\naddress = 68\n",
			[]string{`e.toml:6:11: device.b.address: "i2c-1:0x44" is already the port of another device`},
		},
		"one line twice": {
			"[device.a]\ndriver = \"gpio-in\"\ngpio = \"GPIO17\"\n[device.b]\ndriver = \"pulse\"\ngpio = \"GPIO17\"\n",
			[]string{`e.toml:6:8: device.b.gpio: "GPIO17" is already the port of another device`},
		},
		"two that could be the same default": {
			"[device.a]\ndriver = \"ina219\"\n[device.b]\ndriver = \"ina219\"\n", []string{`e.toml:4:10: device.b.driver: "i2c-1:0x40" is already`},
		},
		"disabled": {"[device.a]\ndriver = \"ina219\"\n[device.b]\ndriver = \"ina219\"\ndisabled = true\n", nil},
		"impossible": {
			"[device.a]\ndriver = \"ads1115\"\nrange = 5\nchannel = \"4\"\n[device.b]\ndriver = \"gpio-in\"\ngpio = \"GPIO1\"\ndebounce = \"20\"\n",
			[]string{`e.toml:4:11: device.a.channel: "4" is not known`, `e.toml:8:12: device.b.debounce: "20" is not a duration`},
		},
		"range": {"[device.a]\ndriver = \"ads1115\"\nrange = 5\n", []string{`e.toml:3:9: device.a.range: must be 6.144`}},
		"a reading that it does not have": {
			"[device.a]\ndriver = \"sht4x\"\n[device.a.reading.pressure]\nunit = \"hPa\"\n", []string{`e.toml:3:19: device.a.reading.pressure: the driver has no such reading`},
		},
	} {
		cfg, err := config.Parse("e.toml", c.text)
		var lines []string
		if err != nil {
			lines = strings.Split(err.Error(), "\n")
		}
		if len(lines) != len(c.want) {
			t.Errorf("%s: %q, want %q", name, lines, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("%s: %s, want %s", name, lines[i], want)
			}
		}
		if name == "all kinds" && (len(cfg.Devices) != 4 || cfg.Devices[1].Options["address"] != int64(0x77) || cfg.Devices[2].Readings["state"].Rename != "open") {
			t.Errorf("%+v", cfg.Devices)
		}
	}
}
