// SPDX-License-Identifier: Apache-2.0

// Package modbus makes drivers of devices that are read and set by Modbus registers, out of descriptions: which registers
// there are and what they mean. Frames are those of RTU, also over TCP, or of Modbus TCP. Whose turn it is on a shared line
// is not its business.
package modbus

import (
	"edged/devices"
	"edged/devices/field"
)

// Description is a driver as a file tells it, with the file's keys. Registers count from 0, as in the frames.
type Description struct {
	devices.Head
	Address int                  `toml:"address"` // the address that the device has when it is new; default 1
	Table   string               `toml:"table"`   // of readings that name none: "holding" (default), "input", "coil", "discrete"
	Order   string               `toml:"order"`   // of numbers that name none: "abcd" (default), "cdab", "badc", "dcba"
	Gap     int                  `toml:"gap"`     // so many registers that nobody wants are read along, rather than asking twice
	Limit   int                  `toml:"limit"`   // the most registers that the device gives at once; default 60
	Within  string               `toml:"within"`  // how long an answer may take; default "1s"
	Read    []ReadDescription    `toml:"read"`
	Reading []ReadingDescription `toml:"reading"`
	Command []CommandDescription `toml:"command"`
}

// ReadDescription is a block that is asked for as a whole, of devices that give no others.
type ReadDescription struct {
	Table string `toml:"table"`
	At    int    `toml:"at"`
	Count int    `toml:"count"`
}

// ReadingDescription is a reading: a field of registers, or a coil.
type ReadingDescription struct {
	field.Description
	Name     string             `toml:"name"`
	At       int                `toml:"at"` // the first register
	Table    string             `toml:"table"`
	High     bool               `toml:"high"`  // of u8 and s8: the register's first byte; else its second
	Every    string             `toml:"every"` // it is read less often than the others
	Repeat   *RepeatDescription `toml:"repeat"`
	Unit     string             `toml:"unit"`
	Class    string             `toml:"class"`
	Total    bool               `toml:"total"`
	Min      *float64           `toml:"min"`
	Max      *float64           `toml:"max"`
	Text     string             `toml:"text"`
	Simulate *RangeOfSimulated  `toml:"simulate"`
}

// RepeatDescription makes a row of readings; {n} in the name is their number, from 1.
type RepeatDescription struct {
	Count int `toml:"count"`
	Step  int `toml:"step"` // registers from one to the next; default: those of one
}

// RangeOfSimulated is between what a pretended device's value wanders.
type RangeOfSimulated struct {
	Low  float64 `toml:"low"`
	High float64 `toml:"high"`
}

// CommandDescription is a command: a coil or registers that are written, or a function of the maker's own.
type CommandDescription struct {
	Name   string         `toml:"name"`
	Kind   string         `toml:"kind"`  // bool number enum trigger
	Table  string         `toml:"table"` // "holding" (default) or "coil"
	At     int            `toml:"at"`
	Type   string         `toml:"type"` // of holding: u16 (default), s16, u32, s32, f32
	Order  string         `toml:"order"`
	Scale  *float64       `toml:"scale"`  // value = what is written × scale
	Values map[string]int `toml:"values"` // of bool, enum and trigger (the value "true"): what is written
	Many   bool           `toml:"many"`   // one register is written by function 16 as well
	Send   string         `toml:"send"`   // of trigger: function and data in hexadecimal, which the device echoes
	Min    *float64       `toml:"min"`
	Max    *float64       `toml:"max"`
	Unit   string         `toml:"unit"`
	Text   string         `toml:"text"`
}

// options are the keys of a device's table.
type options struct {
	Address int    `toml:"address" min:"1" max:"254" text:"the device's address on the line"`
	Framing string `toml:"framing" values:"rtu tcp" default:"rtu" text:"rtu: as on a serial line, also through a TCP port; tcp: Modbus TCP"`
}
