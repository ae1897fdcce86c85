// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// cpu is what this process has used so far.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A client that reads nothing costs the others next to nothing, at any QoS, although it is owed all that they get. Who
// comes with its ClientId has its session at once, and its will is published.
func TestAClientThatReadsNothingCostsOthersNothing(t *testing.T) {
	for qos := range byte(3) {
		t.Run("QoS "+strconv.Itoa(int(qos)), func(t *testing.T) {
			s := newSite(t, nil)
			pub, good := s.clean("pub"), s.clean("good")
			good.subscribe(1, 0, "t/good", "will")
			exchange := func() (took, used time.Duration) {
				began, before := time.Now(), cpu(t)
				for i := range 3000 {
					pub.publish("t/good", strconv.Itoa(i), 0, 0)
					good.wantPayload(strconv.Itoa(i))
				}
				return time.Since(began), cpu(t) - before
			}
			exchange() // warms up
			alone, usedAlone := exchange()

			deaf := s.dial()
			if err := deaf.nc.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
				t.Fatal(err)
			}
			p := wire.ConnectPacket{Level: 5, ClientID: "deaf", SessionExpiry: 1000, Will: will("will", "gone", 0, false)}
			deaf.connect(p)
			deaf.subscribe(1, qos, "t/#")
			big := strings.Repeat("x", 100_000)
			for i := range 80 { // more than the sockets' buffers hold
				pub.publish("t/big", big, qos, uint16(i+1))
				switch qos {
				case 1:
					pub.wantAck(wire.Puback, uint16(i+1))
				case 2:
					pub.wantAck(wire.Pubrec, uint16(i+1))
					pub.ack(wire.Pubrel, uint16(i+1))
					pub.wantAck(wire.Pubcomp, uint16(i+1))
				}
			}
			beside, usedBeside := exchange()
			t.Logf("3,000 messages took %v alone and %v beside it, %v and %v of CPU", alone, beside, usedAlone, usedBeside)
			if beside > 3*alone+500*time.Millisecond || usedBeside > 3*usedAlone+500*time.Millisecond {
				t.Error("the client that reads nothing costs too much")
			}

			began := time.Now()
			again := s.connect(p, true)
			if took := time.Since(began); took > time.Second {
				t.Errorf("taken over after %v", took)
			} else {
				t.Logf("taken over after %v", took)
			}
			good.wantPayload("gone")
			if qos > 0 {
				if m := again.wantMessage(); m.payload != big || m.qos != qos {
					t.Errorf("it gets %.20q at QoS %d first", m.payload, m.qos)
				}
			}
		})
	}
}
