// SPDX-License-Identifier: Apache-2.0

package session

import "slices"

// ranges is a set of numbers, as stretches that ascend and do not touch. There are at most as many as messages are under
// way, however many numbers are in it.
type ranges []stretch

// stretch holds the numbers from from up to to, exclusive.
type stretch struct{ from, to uint64 }

// at is the index of the first stretch that ends behind n.
func (r ranges) at(n uint64) int {
	i, _ := slices.BinarySearchFunc(r, n, func(s stretch, n uint64) int {
		if s.to <= n {
			return -1
		}
		return 1
	})
	return i
}

func (r ranges) has(n uint64) bool {
	i := r.at(n)
	return i < len(r) && r[i].from <= n
}

// add puts in the numbers from from up to to, exclusive.
func (r *ranges) add(from, to uint64) {
	if from >= to {
		return
	}
	i := 0
	if from > 0 {
		i = r.at(from - 1) // one that ends at from grows
	}
	k := i
	for ; k < len(*r) && (*r)[k].from <= to; k++ {
		from, to = min(from, (*r)[k].from), max(to, (*r)[k].to)
	}
	*r = slices.Replace(*r, i, k, stretch{from, to})
}

// dropBelow takes out the numbers below n.
func (r *ranges) dropBelow(n uint64) {
	i := r.at(n)
	if *r = (*r)[i:]; len(*r) == 0 {
		*r = nil
		return
	}
	(*r)[0].from = max((*r)[0].from, n)
}

// below returns the numbers below n.
func (r ranges) below(n uint64) (some ranges) {
	for _, s := range r {
		if s.from < n {
			some = append(some, stretch{s.from, min(s.to, n)})
		}
	}
	return some
}

// count is how many numbers are in it.
func (r ranges) count() (n uint64) {
	for _, s := range r {
		n += s.to - s.from
	}
	return n
}
