// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"testing"
	"time"

	"edged/broker/journal/journaltest"
	"edged/mqtt/wire"
)

// The goroutine that reads for many clients is not held by a disk that takes no more from one moment to the next, after it
// was asked.
func TestPollerIsNeverHeld(t *testing.T) {
	disk := journaltest.New()
	disk.SetLimit(1) // full from the start, so that the journal is crowded
	b, err := Open(Defaults(), "state", nil, Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if !b.journal.Crowded() {
		t.Fatal("a journal without room is not crowded")
	}
	c := &conn{b: b, scratch: &b.poller.scratch}
	publish := wire.AppendPublish(nil, &wire.Message{Topic: "t"}, 4, 1, 1, false, true, nil, 0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if f := c.hold(ctx, nil, publish[0], publish[2:]); f != nil {
		t.Errorf("the poller was held: %v", f)
	}
	c.scratch = &publication{}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if f := c.hold(ctx, nil, publish[0], publish[2:]); f == nil {
		t.Error("a reader of its own was not held")
	}
}
