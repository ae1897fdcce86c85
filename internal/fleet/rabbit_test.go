// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"edged/mqtt"
)

// rabbit is where Debian's rabbitmq-server keeps its programs, without the wrapper that changes the user.
const rabbit = "/usr/lib/rabbitmq/bin/"

// rabbitCluster starts three RabbitMQ servers that keep sessions in quorum queues. They need names of Erlang's own service, which
// the first starts if it isn't there.
func rabbitCluster(t *testing.T) (c *cluster, command func(i int) *exec.Cmd) {
	t.Helper()
	if _, err := os.Stat(rabbit + "rabbitmq-server"); err != nil {
		t.Fatalf("%v: install Debian's rabbitmq-server, which only %s needs", err, fullVariable)
	}
	p := ports(t, 10)
	home := t.TempDir()
	c = &cluster{mqtt: p[:3]}
	env := func(i int) []string {
		dir := filepath.Join(home, fmt.Sprint(i))
		return append(os.Environ(), "HOME="+home, fmt.Sprintf("RABBITMQ_NODENAME=edged%d-%d@localhost", i, os.Getpid()),
			fmt.Sprint("RABBITMQ_NODE_PORT=", p[3+i]), fmt.Sprint("RABBITMQ_DIST_PORT=", p[6+i]), fmt.Sprint("ERL_EPMD_PORT=", p[9]),
			"ERL_CRASH_DUMP="+filepath.Join(dir, "crash.dump"),
			"RABBITMQ_MNESIA_BASE="+dir, "RABBITMQ_LOG_BASE="+dir, "RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"),
			"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq.conf"))
	}
	ask := func(i int, args ...string) ([]byte, error) {
		cmd := exec.Command(rabbit+"rabbitmqctl", args...)
		cmd.Env = env(i)
		return cmd.CombinedOutput()
	}
	control := func(i int, args ...string) {
		t.Helper()
		if out, err := ask(i, args...); err != nil {
			t.Fatalf("rabbitmqctl %v: %v\n%s", args, err, out)
		}
	}
	command = func(i int) *exec.Cmd {
		cmd := exec.Command(rabbit + "rabbitmq-server")
		cmd.Env = env(i)
		return cmd
	}
	t.Cleanup(func() { // Erlang's name service, which the first server leaves behind
		cmd := exec.Command("epmd", "-kill")
		cmd.Env = env(0)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Logf("epmd -kill: %v: %s", err, out)
		}
	})
	cookie := filepath.Join(home, ".erlang.cookie") // by which the servers and their commands know each other
	write(t, cookie, "EDGEDFLEET")
	if err := os.Chmod(cookie, 0o400); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		dir := filepath.Join(home, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "plugins"), "[rabbitmq_mqtt].\n")
		write(t, filepath.Join(dir, "rabbitmq.conf"), fmt.Sprintf("mqtt.listeners.tcp.default = 127.0.0.1:%d\nmqtt.allow_anonymous = true\n"+
			"mqtt.default_user = guest\nmqtt.default_pass = guest\nmqtt.durable_queue_type = quorum\nmqtt.subscription_ttl = 86400000\nmqtt.prefetch = 100\n", p[i]))
		c.nodes = append(c.nodes, start(t, command(i)))
		eventually(t, 2*time.Minute, fmt.Sprint("server ", i, " has started"), func() bool {
			_, err := ask(i, "await_startup")
			return err == nil
		})
		if i > 0 {
			control(i, "stop_app")
			control(i, "join_cluster", fmt.Sprintf("edged0-%d@localhost", os.Getpid()))
			control(i, "start_app")
		}
	}
	return c, command
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Three RabbitMQ servers are too heavy for every run: they are tried in the whole campaign, and this says so otherwise.
func TestRabbitMQNodeKilled(t *testing.T) {
	if !full() {
		fmt.Fprintf(os.Stderr, "NOT RUN: edged with a RabbitMQ cluster; set %s=1 for it\n", fullVariable)
		return
	}
	c, command := rabbitCluster(t)
	nodeKilled(t, c, 3, func(i int) {
		c.nodes[i].kill()
		pause(3 * time.Second)
		c.nodes[i] = start(t, command(i))
		eventually(t, 3*time.Minute, "the server is back", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			client, err := connect(t, c.mqtt[i], mqtt.Config{ClientID: "back", Clean: true})
			return err == nil && client.Disconnect(ctx) == nil
		})
	})
}
