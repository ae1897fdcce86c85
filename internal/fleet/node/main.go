// SPDX-License-Identifier: Apache-2.0

// Command node is one server of a NATS cluster that speaks MQTT and keeps what it acknowledged on three disks. It runs until
// it is killed.
package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	name := flag.String("name", "", "name of the server, unique in the cluster")
	mqtt := flag.Int("mqtt", 0, "port for MQTT")
	client := flag.Int("client", 0, "port for NATS clients")
	cluster := flag.Int("cluster", 0, "port for the other servers")
	routes := flag.String("routes", "", "ports of all servers of the cluster, separated by commas")
	dir := flag.String("dir", "", "where the server keeps what it acknowledged")
	flag.Parse()
	if err := run(*name, *dir, *routes, *mqtt, *client, *cluster); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func run(name, dir, routes string, mqtt, client, cluster int) error {
	const loopback = "127.0.0.1"
	o := &server.Options{
		ServerName: name, Host: loopback, Port: client, JetStream: true, StoreDir: dir,
		// Without it a server acknowledges what it writes to its disk only minutes later.
		SyncAlways: true,
		Cluster:    server.ClusterOpts{Name: "fleet", Host: loopback, Port: cluster},
		MQTT:       server.MQTTOpts{Host: loopback, Port: mqtt, StreamReplicas: 3, AckWait: 5 * time.Second},
	}
	for port := range strings.SplitSeq(routes, ",") {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: loopback + ":" + port})
	}
	s, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("make the server: %w", err)
	}
	s.ConfigureLogger()
	s.Start()
	s.WaitForShutdown()
	return nil
}
