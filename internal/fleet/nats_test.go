// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"edged/internal/built"
	"edged/mqtt"
)

// natsCluster starts three NATS servers and waits until they serve MQTT sessions.
func natsCluster(t *testing.T) *cluster {
	t.Helper()
	p := ports(t, 9)
	c := &cluster{mqtt: p[:3]}
	routes := strings.Trim(strings.ReplaceAll(fmt.Sprint(p[3:6]), " ", ","), "[]")
	for i := range 3 {
		c.nodes = append(c.nodes, start(t, exec.Command(built.Path("node"), "-name", fmt.Sprint("n", i), "-dir", t.TempDir(),
			"-mqtt", fmt.Sprint(p[i]), "-cluster", fmt.Sprint(p[3+i]), "-client", fmt.Sprint(p[6+i]), "-routes", routes)))
	}
	// The first session makes the streams, which waits until the servers have chosen a leader.
	for i := range 3 {
		eventually(t, time.Minute, fmt.Sprint("server ", i, " serves sessions"), func() bool {
			client, err := connect(t, c.mqtt[i], mqtt.Config{ClientID: fmt.Sprint("first", i), Clean: true})
			return err == nil && client.Disconnect(t.Context()) == nil
		})
	}
	return c
}

func TestNATSNodeKilled(t *testing.T) {
	t.Parallel()
	c := natsCluster(t)
	nodeKilled(t, c, either(2, 6), func(i int) {
		c.nodes[i].kill()
		pause(3 * time.Second)
		c.nodes[i] = start(t, exec.Command(c.nodes[i].cmd.Path, c.nodes[i].cmd.Args[1:]...))
		eventually(t, time.Minute, "the server is back", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			client, err := connect(t, c.mqtt[i], mqtt.Config{ClientID: "back", Clean: true})
			return err == nil && client.Disconnect(ctx) == nil
		})
	})
}

func either(short, long int) int {
	if full() {
		return long
	}
	return short
}
