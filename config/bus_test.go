// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"testing"

	"edged/config"
)

func TestBusValues(t *testing.T) {
	const hall = "[bus.hall]\nport = \"/dev/ttyUSB0\"\n"
	runFaults(t, []faultCase{
		{"fine", hall + "serial = \"9600 8E1\"\nrs485 = \"rts\"\nlisten = true\n[device.a]\ndriver = \"sdm120\"\nbus = \"hall\"\naddress = 3\n", nil},
		{"the bus stands behind its devices", "[device.a]\ndriver = \"sdm120\"\nbus = \"hall\"\naddress = 3\n" + hall, nil},
		{"no port", "[bus.hall]\nserial = \"9600 8N1\"\n", []string{
			`e.toml:1:6: bus.hall.port: is missing; such as port = "/dev/ttyUSB0" (E506)`,
		}},
		{"values", "[bus.Hall]\nport = \"ttyUSB0\"\nserial = \"9600 9N1\"\nrs485 = \"maybe\"\n", []string{
			`e.toml:1:6: bus.Hall: "Hall" holds the character 'H'; allowed: 1 to 32 of a-z, 0-9, _ and - (E503)`,
			`e.toml:2:8: bus.Hall.port: "ttyUSB0" is no port: write /dev/…, usb:VID:PID, tcp://HOST:PORT, exec:COMMAND, replay:FILE or sim (E503)`,
			`e.toml:3:10: bus.Hall.serial: "9" data bits in "9N1": 5, 6, 7 or 8 (E503)`,
			`e.toml:4:9: bus.Hall.rs485: "maybe" is not known; possible: "auto", "kernel", "rts", "off" (E503)`,
		}},
		{"no such bus", hall + "[device.a]\ndriver = \"sdm120\"\nbus = \"hal\"\naddress = 3\n", []string{
			`e.toml:5:7: device.a.bus: there is no [bus.hal]; did you mean "hall"? (E503)`,
		}},
		{"what the bus has", hall + "[device.a]\ndriver = \"sdm120\"\nbus = \"hall\"\naddress = 3\nport = \"/dev/ttyUSB1\"\nserial = \"9600 8N1\"\n", []string{
			`e.toml:7:1: device.a.port: belongs to the bus that the device is on; write it into [bus.hall] (E503)`,
			`e.toml:8:1: device.a.serial: belongs to the bus that the device is on; write it into [bus.hall] (E503)`,
		}},
		{"addresses", hall + "[device.a]\ndriver = \"sdm120\"\nbus = \"hall\"\n[device.b]\ndriver = \"sdm120\"\nbus = \"hall\"\naddress = 4\n" +
			"[device.c]\ndriver = \"sdm230\"\nbus = \"hall\"\naddress = 4\n[device.d]\ndriver = \"sdm230\"\nbus = \"hall\"\naddress = 4\ndisabled = true\n" +
			"[device.e]\ndriver = \"sdm230\"\nbus = \"hall\"\naddress = 300\n", []string{
			`e.toml:3:9: device.a.address: is missing; the device's address on the line, such as address = 3 (E506)`,
			`e.toml:13:11: device.c.address: is already the address of another device on this bus, e.toml:9:11; give each its own (E508)`,
			`e.toml:22:11: device.e.address: must be 1 to 254 (E503)`,
		}},
		{"devices that can't", hall + "[device.a]\ndriver = \"pms5003\"\nbus = \"hall\"\n[bus.other]\nport = \"/dev/ttyUSB1\"\nlisten = true\n[device.b]\ndriver = \"mbus\"\nbus = \"other\"\naddress = 3\n", []string{
			`e.toml:5:7: device.a.bus: driver pms5003 has no address to be asked by, so its device needs a port of its own (E503)`,
			`e.toml:11:7: device.b.bus: driver mbus cannot understand what another master asks its device (E503)`,
		}},
		{"one port", hall + "[bus.other]\nport = \"/dev//ttyUSB0\"\n[device.a]\ndriver = \"sdm120\"\nport = \"/dev/ttyUSB0\"\n", []string{
			`e.toml:4:8: bus.other.port: "/dev//ttyUSB0" is already the port of another device or bus, e.toml:2:8; give each its own port, or set disabled = true on one (E508)`,
			`e.toml:7:8: device.a.port: "/dev/ttyUSB0" is already the port of another device or bus, e.toml:2:8; give each its own port, or set disabled = true on one (E508)`,
		}},
		{"two rates", hall + "[device.a]\ndriver = \"sdm120\"\nbus = \"hall\"\naddress = 3\n[device.b]\ndriver = \"epever\"\nbus = \"hall\"\naddress = 4\n", []string{
			`e.toml:1:6: bus.hall.serial: is missing: a usually speaks "9600 8N1", b "115200 8N1"; set all to one rate, and write it here (E506)`,
		}},
	})
}

func TestABusSpeaksAsItsDevicesDo(t *testing.T) {
	cfg, err := config.Parse("e.toml", "[bus.hall]\nport = \"/dev/ttyUSB0\"\n[device.a]\ndriver = \"epever\"\nbus = \"hall\"\naddress = 3\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Buses[0]; got.Serial != "115200 8N1" || got.RS485 != "auto" || got.Listen {
		t.Errorf("%+v", got)
	}
	if d := cfg.Devices[0]; d.Options["address"] != int64(3) {
		t.Errorf("options %v", d.Options)
	}
}
