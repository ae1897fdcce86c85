// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"testing"
	"time"
)

// Without descriptors nobody new gets in, those who are in are served, and a second after some are free others get in.
func TestDescriptorsRunOut(t *testing.T) {
	e := start(t, "", 64)
	w := e.watch(t)
	var all []*client
	for range 150 {
		c, err := e.dial() // the kernel takes them, the broker cannot
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	pause(time.Second)
	if v := w.take(); v.trips == 0 || v.late > servedWithin || v.failed != nil {
		t.Errorf("while there are no descriptors: %+v", v)
	}
	for _, c := range all {
		c.drop()
	}
	began := time.Now()
	c, code, err := e.connect(clean(4, "after"))
	if err != nil || code != 0 {
		t.Fatalf("when there are some again: code %d, %v", code, err)
	}
	defer c.drop()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("a client got in %v after descriptors were free; within a second is promised", took)
	}
	e.alive(t)
	t.Logf("let in after %v", time.Since(began))
}
