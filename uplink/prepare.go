// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"fmt"

	"edged/mqtt"
)

// Prepare makes the session on the local broker, or brings its subscriptions up to date. It is called before anybody can
// publish there: what is published before the session exists is not owed to the cloud. [Uplink.Run] comes next.
func (u *Uplink) Prepare(ctx context.Context) error {
	nc, err := u.deps.DialLocal()
	if err != nil {
		return fmt.Errorf("dial the local broker: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, localTime)
	defer cancel()
	// Nothing is acknowledged and no delivery is kept: the broker delivers all of it again to the next connection.
	c, _, err := mqtt.Connect(ctx, nc, mqtt.NewSession(), mqtt.Config{
		ClientID: ClientID, Version: 5, SessionExpiry: forever, KeepAlive: localKeepAlive, ResponseTimeout: localTime,
		ReceiveMaximum: 1, ManualAck: true, OnMessage: func(*mqtt.Delivery) {},
	})
	if err != nil {
		return fmt.Errorf("open the session on the local broker: %w", err)
	}
	err = u.subscribeLocal(ctx, c)
	if left := c.Disconnect(ctx); err == nil && left != nil {
		return fmt.Errorf("leave the local broker: %w", left)
	}
	return err
}
