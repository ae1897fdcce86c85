// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"encoding/json"
	"fmt"
)

// UnmarshalJSON reads what MarshalJSON writes: a number, a boolean or a string.
func (v *Value) UnmarshalJSON(p []byte) error {
	var x any
	if err := json.Unmarshal(p, &x); err != nil {
		return err
	}
	val, ok := ValueOf(x)
	if !ok {
		return fmt.Errorf("%s is no value of a reading", p)
	}
	*v = val
	return nil
}
