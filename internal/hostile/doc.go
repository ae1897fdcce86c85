// SPDX-License-Identifier: Apache-2.0

// Package hostile attacks the real binary's broker as somebody on the network would, and holds it to its promise: it does
// not die, a good client is served throughout, and memory stays within bounds. It holds tests only.
package hostile
