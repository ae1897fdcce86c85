// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"testing"
	"time"

	"edged/bridge"
	"edged/config"
)

func TestDeviceValues(t *testing.T) {
	const dev = "[device.a]\ndriver = \"pms5003\"\nport = \"sim\"\n"
	runFaults(t, []faultCase{
		{"smallest", dev, nil},
		{"everything", dev + "serial = \"9600 8N1\"\nevery = \"5s\"\nstale_after = \"never\"\nkeepalive = \"1m\"\npublish = \"5m\"\nretain = false\ntags = { a = \"b\" }\ndisabled = true\n" +
			"[device.a.reading.pm25]\nunit = \"µg/m³\"\nclass = \"pm25\"\nscale = 1\noffset = -0.4\npoints = [[0, 0], [10, 11.5]]\nprecision = 0\ndeadband = 0.1\nmin = -40\nmax = 85\nmedian = 5\nrename = \"dust\"\nskip = false\n", nil},
		{"names", "[device.\"Air 1\"]\ndriver = \"pms5003\"\nport = \"sim\"\n[device.\"\"]\ndriver = \"pms5003\"\nport = \"sim\"\n[device.a23456789b123456789c123456789d123]\ndriver = \"pms5003\"\nport = \"sim\"\n", []string{
			`e.toml:1:9: device."Air 1": "Air 1" holds the character 'A'; allowed: 1 to 32 of a-z, 0-9, _ and - (E503)`,
			`e.toml:4:9: device."": is empty; allowed: 1 to 32 of a-z, 0-9, _ and - (E503)`,
			`e.toml:7:9: device.a23456789b123456789c123456789d123: "a23456789b123456789c123456789d123" has 33 characters; allowed: 1 to 32 of a-z, 0-9, _ and - (E503)`,
		}},
		{"missing", "[device.a]\n", []string{
			`e.toml:1:9: device.a.driver: is missing; such as driver = "pms5003" (E506)`,
			`e.toml:1:9: device.a.port: is missing; such as port = "/dev/ttyUSB0" (E506)`,
		}},
		{"a misspelt key is not a missing one", "[device.a]\ndrivr = \"pms5003\"\nprot = \"sim\"\n", []string{
			`e.toml:2:1: device.a.drivr: unknown key; did you mean "driver"? (E501)`,
			`e.toml:3:1: device.a.prot: unknown key; did you mean "port"? (E501)`,
		}},
		{"no table", "device.a = \"pms5003\"\n", []string{
			`e.toml:1:12: device.a: must be a table, not a string; write [device.NAME] for each device (E502)`,
		}},
		{"unknown driver", "[device.a]\ndriver = \"pms5033\"\nport = \"sim\"\nformat = \"x\"\nseriel = \"9600 8N1\"\n[device.b]\ndriver = \"pms7003\"\nport = \"sim\"\n[device.c]\ndriver = \"toaster\"\nport = \"sim\"\n", []string{
			`e.toml:2:10: device.a.driver: there is no driver "pms5033"; did you mean "pms5003"? (E503)`,
			`e.toml:5:1: device.a.seriel: unknown key; did you mean "serial"? (E501)`,
			`e.toml:7:10: device.b.driver: there is no driver "pms7003"; did you mean "pms5003"? (E503)`,
			"e.toml:10:10: device.c.driver: there is no driver \"toaster\"; `edged drivers` lists all (E503)",
		}},
		{"options", "[device.a]\ndriver = \"line\"\nport = \"/dev/ttyUSB0\"\nformat = \"template\"\npase = \"T={t}\"\nflow = 1\n", []string{
			`e.toml:5:1: device.a.pase: unknown key; did you mean "parse"? (E501)`,
			`e.toml:6:1: device.a.flow: unknown key (E501)`,
		}},
		{"option values", "[device.a]\ndriver = \"line\"\nport = \"/dev/ttyUSB0\"\nformat = 5\n[device.b]\ndriver = \"line\"\nport = \"/dev/ttyUSB1\"\nformat = \"tempalte\"\n", []string{
			`e.toml:4:10: device.a.format: must be a string, not an integer (E502)`,
			`e.toml:8:10: device.b.format: "tempalte" is not known; possible: "template", "json", "csv", "regex", "kv" (E503)`,
		}},
		{"port and serial", "[device.a]\ndriver = \"pms5003\"\nport = \"ttyUSB0\"\nserial = \"9600 8X1\"\n[device.b]\ndriver = \"pms5003\"\nport = \"tcp://a\"\n", []string{
			`e.toml:3:8: device.a.port: "ttyUSB0" is no port: write /dev/…, usb:VID:PID, tcp://HOST:PORT, exec:COMMAND, replay:FILE or sim (E503)`,
			`e.toml:4:10: device.a.serial: parity "X" in "8X1": N (none), E (even), O (odd), M (mark) or S (space) (E503)`,
			`e.toml:7:8: device.b.port: "tcp://a" is not tcp://HOST:PORT (E503)`,
		}},
		{"a key of other drivers", "[device.a]\ndriver = \"pms5003\"\nport = \"sim\"\ngpio = \"GPIO17\"\n", []string{
			`e.toml:4:1: device.a.gpio: unknown key (E501)`,
		}},
		{"ports that name nothing to open", "[device.a]\ndriver = \"pms5003\"\nport = \"exec: \"\n[device.b]\ndriver = \"pms5003\"\nport = \"replay:\"\n", []string{
			`e.toml:3:8: device.a.port: "exec: " names no program: write exec:COMMAND (E503)`,
			`e.toml:6:8: device.b.port: "replay:" names no file: write replay:FILE (E503)`,
		}},
		{"durations", dev + "every = 5\nstale_after = \"0s\"\nkeepalive = \"20h\"\npublish = \"sometimes\"\n", []string{
			`e.toml:4:9: device.a.every: must be a duration such as "30s", not an integer; did you mean "5s"? (E502)`,
			`e.toml:5:15: device.a.stale_after: "0s" is out of range; "1ms" to "36500d" (E503)`,
			`e.toml:6:13: device.a.keepalive: "20h" is out of range; "1s" to "18h12m15s" (E503)`,
			`e.toml:7:11: device.a.publish: "sometimes" is not known; "always", "on-change", or on a change and at least each "5m" (E503)`,
		}},
	})
}

func TestPortOfTwoDevices(t *testing.T) {
	const a, b = "[device.a]\ndriver = \"pms5003\"\nport = ", "[device.b]\ndriver = \"sds011\"\nport = "
	runFaults(t, []faultCase{
		{"the same", a + "\"/dev/ttyUSB0\"\n" + b + "\"/dev/ttyUSB0\"\n", []string{
			`e.toml:6:8: device.b.port: "/dev/ttyUSB0" is already the port of another device or bus, e.toml:3:8; give each its own port, or set disabled = true on one (E508)`,
		}},
		{"written in another way", a + "\"tcp://Gw:1\"\n" + b + "\"tcp://gw:1\"\n[device.c]\ndriver = \"pms5003\"\nport = \"/dev//ttyUSB0\"\n[device.d]\ndriver = \"pms5003\"\nport = \"/dev/./ttyUSB0\"\n", []string{
			`e.toml:6:8: device.b.port: "tcp://gw:1" is already the port of another device or bus, e.toml:3:8; give each its own port, or set disabled = true on one (E508)`,
			`e.toml:12:8: device.d.port: "/dev/./ttyUSB0" is already the port of another device or bus, e.toml:9:8; give each its own port, or set disabled = true on one (E508)`,
		}},
		{"one is disabled", a + "\"/dev/ttyUSB0\"\ndisabled = true\n" + b + "\"/dev/ttyUSB0\"\n", nil},
		{"simulators are many", a + "\"sim\"\n" + b + "\"sim\"\n", nil},
	})
}

func TestReadingValues(t *testing.T) {
	const dev = "[device.a]\ndriver = \"pms5003\"\nport = \"sim\"\n"
	const line = "[device.a]\ndriver = \"line\"\nport = \"/dev/ttyUSB0\"\nformat = \"json\"\n"
	runFaults(t, []faultCase{
		{"header", dev + "[device.a.reading.pm25]\noffest = 1\n", []string{
			`e.toml:5:1: device.a.reading.pm25.offest: unknown key; did you mean "offset"? (E501)`,
		}},
		{"inline", dev + "reading.pm25 = { scale = 2.5, sclae = 1 }\nreading.pm10.skip = 1\n", []string{
			`e.toml:4:31: device.a.reading.pm25.sclae: unknown key; did you mean "scale"? (E501)`,
			`e.toml:5:21: device.a.reading.pm10.skip: must be true or false, not an integer (E502)`,
		}},
		{"a reading that the driver does not have", dev + "[device.a.reading.pm26]\n[device.a.reading.humidity]\n", []string{
			`e.toml:4:19: device.a.reading.pm26: the driver has no such reading; did you mean "pm25"? (E501)`,
			`e.toml:5:19: device.a.reading.humidity: the driver has no such reading; its readings: "pm1_cf1", "pm25_cf1", "pm10_cf1", "pm1", "pm25", "pm10", "n0_3", "n0_5", "n1_0", "n2_5", "n5_0", "n10" (E501)`,
		}},
		{"any reading of data that names its own", line + "[device.a.reading.anything]\nscale = 2\n", nil},
		{"names", line + "[device.a.reading]\nT = {}\n\"a-b\" = {}\ntime = {}\nid = {}\nok_ = {}\n", []string{
			`e.toml:6:1: device.a.reading.T: "T" holds the character 'T'; allowed: a-z, 0-9 and _ (E503)`,
			`e.toml:7:1: device.a.reading.a-b: "a-b" holds the character '-'; allowed: a-z, 0-9 and _ (E503)`,
			`e.toml:8:1: device.a.reading.time: "time" is reserved and cannot name a reading; edged gives it a meaning of its own in data (E503)`,
			`e.toml:9:1: device.a.reading.id: "id" is reserved and cannot name a reading; edged gives it a meaning of its own in data (E503)`,
		}},
		{"rename", line + "[device.a.reading]\na = { rename = \"seq\" }\nb = { rename = \"B\" }\nc = { rename = \"d\" }\nd = { rename = \"e\" }\nf = { rename = \"e\" }\ng = { rename = \"g\" }\n", []string{
			`e.toml:6:16: device.a.reading.a.rename: "seq" is reserved and cannot name a reading; edged gives it a meaning of its own in data (E503)`,
			`e.toml:7:16: device.a.reading.b.rename: "B" holds the character 'B'; allowed: a-z, 0-9 and _ (E503)`,
			`e.toml:10:16: device.a.reading.f.rename: "e" is also the name of the reading "d"; give each its own name (E503)`,
		}},
		{"rename to another of the driver's", dev + "[device.a.reading]\npm25.rename = \"pm10\"\n", []string{
			`e.toml:5:15: device.a.reading.pm25.rename: "pm10" is also the name of the reading "pm10"; give each its own name (E503)`,
		}},
		{"swapped names", dev + "[device.a.reading]\npm25.rename = \"pm10\"\npm10.rename = \"pm25\"\n", nil},
		{"numbers", line + "[device.a.reading.t]\nscale = \"2\"\noffset = nan\ndeadband = -1\nprecision = 1.5\nmedian = 4\nmin = 5\nmax = 4.5\n", []string{
			`e.toml:6:9: device.a.reading.t.scale: must be a number, not a string (E502)`,
			`e.toml:7:10: device.a.reading.t.offset: must be a finite number (E503)`,
			`e.toml:8:12: device.a.reading.t.deadband: must not be negative (E503)`,
			`e.toml:9:13: device.a.reading.t.precision: must be a whole number, not a number (E502)`,
			`e.toml:10:10: device.a.reading.t.median: 4 is not odd (E503)`,
			`e.toml:11:7: device.a.reading.t.min: is above max (E503)`,
		}},
		{"points", line + "[device.a.reading]\na.points = [1, 2]\nb.points = [[1, 2]]\nc.points = [[1, 2], [1, 3]]\nd.points = [[1, 2],\n [2, \"3\"]]\ne.points = 5\n", []string{
			`e.toml:6:13: device.a.reading.a.points[0]: must be a pair of numbers, not an integer; write pairs of raw and real value, such as [[0, 4.0], [1023, 20.0]] (E502)`,
			`e.toml:7:12: device.a.reading.b.points: needs at least two points; write pairs of raw and real value, such as [[0, 4.0], [1023, 20.0]] (E503)`,
			`e.toml:8:22: device.a.reading.c.points[1][0]: the raw values do not ascend (E503)`,
			`e.toml:10:6: device.a.reading.d.points[1][1]: must be a number, not a string (E502)`,
			`e.toml:11:12: device.a.reading.e.points: must be a list of pairs of numbers, not an integer; write pairs of raw and real value, such as [[0, 4.0], [1023, 20.0]] (E502)`,
		}},
	})
}

func TestDeviceDefaultsAndValues(t *testing.T) {
	cfg, err := config.Parse("e.toml", `
[device.b]
driver = "line"
port = "/dev/ttyUSB0"
format = "json"
publish = "5m"
stale_after = "never"
[device.b.reading.t]
scale = 2
points = [[0, 1.5], [10, 2]]
precision = 0
[device.a]
driver = "pms5003"
port = "sim"
publish = "on-change"
stale_after = "1h"
`)
	if err != nil {
		t.Fatal(err)
	}
	b, a := cfg.Devices[0], cfg.Devices[1]
	if b.Name != "b" || b.Driver != "line" || b.Port != "/dev/ttyUSB0" || b.KeepAlive != 30*time.Second || !b.Retain || b.Disabled {
		t.Errorf("device b is %+v", b)
	}
	if len(b.Options) != 1 || b.Options["format"] != "json" {
		t.Errorf("options of b are %v", b.Options)
	}
	if b.Publish != (bridge.Publish{OnChange: true, Heartbeat: 5 * time.Minute}) || a.Publish != (bridge.Publish{OnChange: true}) {
		t.Errorf("publish of b is %+v, of a %+v", b.Publish, a.Publish)
	}
	if b.StaleAfter >= 0 || a.StaleAfter != time.Hour {
		t.Errorf("stale_after of b is %v, of a %v", b.StaleAfter, a.StaleAfter)
	}
	r := b.Readings["t"]
	if r.Scale == nil || *r.Scale != 2 || len(r.Points) != 2 || r.Points[0] != [2]float64{0, 1.5} || r.Precision == nil || *r.Precision != 0 || r.Min != nil {
		t.Errorf("reading t of b is %+v", r)
	}
}
