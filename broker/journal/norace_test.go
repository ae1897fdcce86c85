// SPDX-License-Identifier: Apache-2.0

//go:build !race

package journal_test

// everyCall is which of the calls worth a fault get one: all.
const everyCall = 1
