// SPDX-License-Identifier: Apache-2.0

//go:build !faultinject

package bridge

import "edged/devices"

// injected returns nil: drivers run as they are.
func injected(Config) func(devices.Decoder) devices.Decoder { return nil }
