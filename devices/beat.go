// SPDX-License-Identifier: Apache-2.0

package devices

import "time"

// Beat is when a pretended device speaks by itself.
type Beat struct {
	Period time.Duration
	Next   time.Time // when Due is to be asked next; zero: not begun
}

// Due reports whether it speaks now. Periods that nobody asked for are not made up for.
func (b *Beat) Due(now time.Time) bool {
	switch {
	case b.Next.IsZero():
		b.Next = now.Add(b.Period)
		return false
	case now.Before(b.Next):
		return false
	}
	if b.Next = b.Next.Add(b.Period); !b.Next.After(now) {
		b.Next = now.Add(b.Period)
	}
	return true
}
