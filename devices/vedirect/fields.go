// SPDX-License-Identifier: Apache-2.0

package vedirect

import "edged/devices"

// fieldOf is a field of the text and its reading.
type fieldOf struct {
	devices.Info
	label  string
	linear devices.Linear
	onOff  bool
	never  string // a value that means that there is none
}

// maker makes fields.
type maker struct{}

func (maker) number(label, name, unit, class string, scale float64, text string) *fieldOf {
	return &fieldOf{
		Info:  devices.Info{Name: name, Unit: unit, Class: class, Text: text, Optional: true},
		label: label, linear: devices.NewLinear(scale, 0), never: "---",
	}
}

func (m maker) total(label, name string, scale float64, text string) *fieldOf {
	f := m.number(label, name, "kWh", "energy", scale, text)
	f.Total = true
	return f
}

func (m maker) flag(label, name, text string) *fieldOf {
	f := m.number(label, name, "", "", 1, text)
	f.onOff = true
	return f
}

// fields are those of the VE.Direct Protocol (Victron, rev 33) that measure something.
func fields() []*fieldOf {
	var m maker
	number, flag := m.number, m.flag
	left := number("TTG", "time_to_go", "min", "duration", 1, "until the battery is empty at this current")
	left.never = "-1"
	return append([]*fieldOf{
		number("V", "voltage", "V", "voltage", 0.001, "of the battery"),
		number("VS", "starter_voltage", "V", "voltage", 0.001, "of the second battery"),
		number("VM", "midpoint_voltage", "V", "voltage", 0.001, "at the middle of the battery bank"),
		number("VPV", "panel_voltage", "V", "voltage", 0.001, "of the solar panel"),
		number("PPV", "panel_power", "W", "power", 1, "of the solar panel"),
		number("I", "current", "A", "current", 0.001, "into the battery; negative: out of it"),
		number("IL", "load_current", "A", "current", 0.001, "of the load output"),
		flag("LOAD", "load", "the load output is on"),
		number("T", "temperature", "°C", "temperature", 1, "of the battery"),
		number("P", "power", "W", "power", 1, "into the battery; negative: out of it"),
		number("CE", "consumed", "Ah", "", 0.001, "since the battery was full, negative"),
		number("SOC", "soc", "%", "battery", 0.1, "state of charge"),
		left,
		flag("Alarm", "alarm", "an alarm is on"),
		flag("Relay", "relay", "the relay is on"),
		number("AR", "alarm_reason", "", "", 1, "a bit for each reason; 0: none"),
		number("CS", "state", "", "", 1, "0 off, 2 fault, 3 bulk, 4 absorption, 5 float, 7 equalise, 9 inverting"),
		number("MPPT", "mppt", "", "", 1, "0 off, 1 limited, 2 tracking"),
		number("ERR", "error", "", "", 1, "0: none"),
		number("AC_OUT_V", "ac_voltage", "V", "voltage", 0.01, "of the inverter"),
		number("AC_OUT_I", "ac_current", "A", "current", 0.1, "of the inverter"),
	}, history()...)
}

// history are the fields that tell of the past.
func history() []*fieldOf {
	var m maker
	number, total := m.number, m.total
	return []*fieldOf{
		number("H1", "deepest_discharge", "Ah", "", 0.001, "of its life"),
		number("H2", "last_discharge", "Ah", "", 0.001, "the last one's depth"),
		number("H3", "average_discharge", "Ah", "", 0.001, "of all"),
		number("H4", "charge_cycles", "", "", 1, "times that it was charged"),
		number("H5", "full_discharges", "", "", 1, "times that it was emptied"),
		number("H6", "total_discharge", "Ah", "", 0.001, "all that was taken out"),
		number("H7", "min_voltage", "V", "voltage", 0.001, "of its life"),
		number("H8", "max_voltage", "V", "voltage", 0.001, "of its life"),
		number("H9", "since_full_charge", "s", "duration", 1, "time since it was full"),
		number("H10", "auto_syncs", "", "", 1, "times that it was found to be full"),
		number("H11", "low_voltage_alarms", "", "", 1, "how many"),
		number("H12", "high_voltage_alarms", "", "", 1, "how many"),
		total("H17", "discharged_energy", 0.01, "taken out of the battery"),
		total("H18", "charged_energy", 0.01, "put into the battery"),
		total("H19", "energy_total", 0.01, "from the panel, since the user cleared it"),
		number("H20", "energy_today", "kWh", "energy", 0.01, "from the panel"),
		number("H21", "max_power_today", "W", "power", 1, "from the panel"),
		number("H22", "energy_yesterday", "kWh", "energy", 0.01, "from the panel"),
		number("H23", "max_power_yesterday", "W", "power", 1, "from the panel"),
		number("HSDS", "day_number", "", "", 1, "of its history, 0 to 364"),
	}
}

func byLabel() map[string]*fieldOf {
	all := map[string]*fieldOf{}
	for _, f := range fields() {
		all[f.label] = f
	}
	return all
}
