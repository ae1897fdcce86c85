// SPDX-License-Identifier: Apache-2.0

// Package arch holds the rules of the tree, as tests: who may import whom, and what no file of this module may do.
//
// Each rule says why it is there, and each is tried on sources that break it, so that none can pass by seeing nothing.
// The rules read sources and need no build: code for other systems and behind build tags is held to them too.
package arch
