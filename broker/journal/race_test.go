// SPDX-License-Identifier: Apache-2.0

//go:build race

package journal_test

// everyCall is which of the calls worth a fault get one. The race detector makes each run ten times slower, and looks for
// what does not depend on the call.
const everyCall = 7
