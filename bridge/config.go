// SPDX-License-Identifier: Apache-2.0

package bridge

import "time"

// Config is one device: [device.NAME].
type Config struct {
	Name       string        // the device's id
	Driver     string        // name in the catalogue
	Port       string        // /dev/…, usb:VID:PID[:SERIAL][@PORT-PATH], tcp://HOST:PORT, sim
	Serial     string        // "115200 8N1"; "": the driver's own
	Bus        string        // in place of Port and Serial: the shared line that the device is on; its address is an option
	Every      time.Duration // poll period; 0: the driver's own
	StaleAfter time.Duration // 0: 3 × the period, at least 10 s; negative: never
	KeepAlive  time.Duration // of its MQTT session
	Publish    Publish
	Retain     bool // of data
	Tags       map[string]string
	Disabled   bool
	Readings   map[string]Reading // by the driver's name of the reading
	Options    map[string]any     // the driver's own keys, as TOML gave them
}

// Publish says which samples are published.
type Publish struct {
	OnChange  bool          // only where a reading changed
	Heartbeat time.Duration // and at least this often; 0: no heartbeat
}

// Reading is [device.NAME.reading.READING]: what is done to one reading between driver and broker. Nil pointers and
// zero values leave it alone.
type Reading struct {
	Unit, Class string
	Scale       *float64
	Offset      float64
	Points      [][2]float64 // raw, real; linear between, ascending by raw
	Precision   *int         // decimals
	Deadband    float64
	Min, Max    *float64 // out of range: dropped and counted
	Median      int      // of the last n, odd; 0 or 1: none
	Rename      string
	Skip        bool
}

// Defaults is a device that names only its driver and port.
func Defaults() Config {
	return Config{KeepAlive: 30 * time.Second, Retain: true}
}
