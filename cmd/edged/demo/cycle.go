// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"fmt"
	"time"

	"edged/uplink"
)

// cycle cuts and mends the link until ctx ends; then it is up.
func (d *demo) cycle(ctx context.Context) {
	for sleep(ctx, upFor) {
		if end, ok := ctx.Deadline(); ok && time.Until(end) < cutFor+drain {
			sleep(ctx, time.Until(end))
			return
		}
		d.link.cut()
		d.screen.say("cloud", "LINK DOWN")
		still := sleep(ctx, cutFor)
		d.mend(ctx)
		if !still {
			return
		}
	}
}

// mend lets the link through again and tells what that did.
func (d *demo) mend(ctx context.Context) {
	before := d.count.tally()
	waiting := d.backlog()
	d.count.mended()
	d.link.mend()
	began := d.came(ctx)
	end := time.Now().Add(drain)
	for time.Now().Before(end) && d.count.tally().came < before.came+int(waiting) && d.backlog() > 2 {
		sleep(context.Background(), 10*time.Millisecond)
	}
	after := d.count.tally()
	d.screen.say("cloud", fmt.Sprintf("LINK UP    %d sent in %.1f s, %d lost, %d repeated (in flight at the cut)",
		after.came-before.came, time.Since(began).Seconds(), after.lost, after.repeated-before.repeated))
}

// came waits until the uplink has its session back and returns when that was.
func (d *demo) came(ctx context.Context) time.Time {
	end := time.Now().Add(drain)
	for d.gateway.Uplink().Status().State != uplink.Up && time.Now().Before(end) {
		sleep(ctx, 10*time.Millisecond)
		if ctx.Err() != nil {
			sleep(context.Background(), 10*time.Millisecond)
		}
	}
	return time.Now()
}

// verdict stops the devices and the gateway, waits for the last reading, and tells whether the count is right.
func (d *demo) verdict() error {
	if err := d.stopLast(len(d.wires)); err != nil {
		return err
	}
	end := time.Now().Add(drain)
	for d.backlog() > 0 && time.Now().Before(end) {
		sleep(context.Background(), 20*time.Millisecond)
	}
	published := d.published()
	for d.count.tally().came < published && time.Now().Before(end) {
		sleep(context.Background(), 20*time.Millisecond)
	}
	t := d.count.tally()
	missing := max(published-t.came, 0) + t.lost
	fmt.Fprintf(d.Out, "%d readings in the pretend cloud, %d lost, %d repeated (in flight at a cut), %d repeated otherwise, %d out of order\n",
		t.came, missing, t.repeated, t.stray, t.behind)
	if missing > 0 || t.stray > 0 || t.behind > 0 {
		return ErrLost
	}
	return nil
}

// published is how many readings the bridges had published a moment ago.
func (d *demo) published() (n int) {
	for _, s := range d.gateway.Status().Devices {
		n += int(s.Published)
	}
	return n
}

// sleep waits for d; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
