// SPDX-License-Identifier: Apache-2.0

package port

// RS485 is how the direction of a line with one pair of wires is switched.
type RS485 string

// The ways.
const (
	RS485Off    RS485 = "off"    // the adapter does it by itself
	RS485Auto   RS485 = "auto"   // by the kernel where its driver can, else as off
	RS485Kernel RS485 = "kernel" // by the kernel, or not at all
	RS485RTS    RS485 = "rts"    // by RTS, which we switch
)
