// SPDX-License-Identifier: Apache-2.0

// Package path runs the real program on a real network path: a gateway, a NAT that keeps track of connections, and a cloud,
// each in a network namespace of its own, with faults in between, and counts at the far end what became of each message. It
// holds tests only.
package path
