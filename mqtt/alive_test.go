// SPDX-License-Identifier: Apache-2.0

package mqtt_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt"
)

const (
	pingreq  = "\xc0\x00"
	pingresp = "\xd0\x00"
)

// at fails unless d has passed since the start.
func at(t *testing.T, start time.Time, d time.Duration) {
	t.Helper()
	if got := time.Since(start); got != d {
		t.Errorf("%v after the start, want %v", got, d)
	}
}

func TestPingAfterThreeQuartersOfTheKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, srv := link(t, nil, mqtt.Config{KeepAlive: time.Minute}, connack4)
		srv.expect(pingreq)
		at(t, start, 45*time.Second)
		time.Sleep(2 * time.Second)
		srv.send(pingresp)
		synctest.Wait()
		if p := c.Progress(); p.RoundTrip != 2*time.Second || !p.OldestUnacked.IsZero() || time.Since(p.LastAck) != 0 {
			t.Errorf("progress %+v", p)
		}
		srv.expect(pingreq)
		at(t, start, 90*time.Second) // 45 s after the last packet
		drop(t, c)
	})
}

func TestAcknowledgementsPutThePingOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, srv := link(t, nil, mqtt.Config{KeepAlive: time.Minute}, connack4)
		for range 10 {
			time.Sleep(20 * time.Second)
			publish(t, c, mqtt.Message{Topic: "t", QoS: 1})
			b := make([]byte, 9)
			if _, err := srv.nc.Read(b); err != nil || b[0] != 0x32 {
				t.Fatalf("read % x, %v", b, err)
			}
			srv.send("\x40\x02" + string(b[5:7]))
		}
		srv.expect(pingreq)
		at(t, start, 245*time.Second)
		drop(t, c)
	})
}

// Deliveries and our own publishes without an answer say nothing about whether the server hears us.
func TestDeliveriesAndQoS0DoNotPutThePingOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, srv := link(t, nil, mqtt.Config{KeepAlive: time.Minute, PingAfter: time.Hour}, connack4)
		for range 4 {
			time.Sleep(10 * time.Second)
			srv.send("\x30\x03\x00\x01t")
			publish(t, c, mqtt.Message{Topic: "t"})
			srv.expect("\x30\x03\x00\x01t")
		}
		srv.expect(pingreq)
		at(t, start, 45*time.Second)
		drop(t, c)
	})
}

// A late acknowledgement must not lead to a pause that the server takes for death (1.5 keep-alives).
func TestPingWhenNothingWasSentForThreeQuarters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, srv := link(t, nil, mqtt.Config{KeepAlive: time.Minute}, connack4)
		publish(t, c, mqtt.Message{Topic: "t", QoS: 1})
		srv.expect("\x32\x05\x00\x01t\x00\x01")
		time.Sleep(44 * time.Second)
		srv.send("\x40\x02\x00\x01")
		srv.expect(pingreq)
		at(t, start, 45*time.Second)
		drop(t, c)
	})
}

func TestPingTimes(t *testing.T) {
	for _, c := range []struct {
		name    string
		cfg     mqtt.Config
		connack string
		want    time.Duration // 0: never
	}{
		{"PingAfter", mqtt.Config{KeepAlive: time.Minute, PingAfter: 5 * time.Second}, connack4, 5 * time.Second},
		{"PingAfter beyond the keep-alive", mqtt.Config{KeepAlive: time.Minute, PingAfter: time.Hour}, connack4, 45 * time.Second},
		{"PingAfter alone", mqtt.Config{PingAfter: 5 * time.Second}, connack4, 5 * time.Second},
		{"the server's keep-alive", mqtt.Config{Version: 5, KeepAlive: time.Minute}, "\x20\x06\x00\x00\x03\x13\x00\x08", 6 * time.Second},
		{"the server wants none", mqtt.Config{Version: 5, KeepAlive: time.Minute}, "\x20\x06\x00\x00\x03\x13\x00\x00", 0},
		{"none", mqtt.Config{}, connack4, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				cl, srv := link(t, nil, c.cfg, c.connack)
				if c.want == 0 {
					srv.silent(24 * time.Hour)
				} else {
					for i := range 3 {
						srv.expect(pingreq)
						at(t, start, time.Duration(i+1)*c.want)
						srv.send(pingresp)
						synctest.Wait()
					}
				}
				drop(t, cl)
			})
		})
	}
}

func TestNoPingresp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, srv := link(t, nil, mqtt.Config{KeepAlive: time.Minute, ResponseTimeout: 5 * time.Second}, connack4)
		srv.expect(pingreq)
		synctest.Wait()
		if p := c.Progress(); time.Since(p.OldestUnacked) != 0 || time.Since(p.LastAck) != 45*time.Second {
			t.Errorf("progress %+v", p)
		}
		<-c.Done()
		at(t, start, 50*time.Second)
		if !errors.Is(c.Err(), mqtt.ErrNoAnswer) || !strings.Contains(c.Err().Error(), "PINGRESP") {
			t.Errorf("ended with %v", c.Err())
		}
	})
}

// On a slow link PINGRESP comes late, behind acknowledgements that show that all is well.
func TestAcknowledgementsStandInForPingresp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, srv := link(t, nil, mqtt.Config{PingAfter: 30 * time.Second, ResponseTimeout: 5 * time.Second}, connack4)
		for range 3 {
			publish(t, c, mqtt.Message{Topic: "t", QoS: 1})
		}
		srv.expect("\x32\x05\x00\x01t\x00\x01\x32\x05\x00\x01t\x00\x02\x32\x05\x00\x01t\x00\x03")
		srv.expect(pingreq)
		at(t, start, 30*time.Second)
		for id := range 3 {
			time.Sleep(4 * time.Second)
			srv.send("\x40\x02\x00" + string([]byte{byte(id + 1)}))
		}
		srv.silent(4 * time.Second)
		<-c.Done()
		at(t, start, 47*time.Second)
	})
}

func TestPingOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{}, connack4)
		c.Ping()
		srv.expect(pingreq)
		srv.send(pingresp)
		srv.silent(time.Hour)
		c.Ping()
		srv.expect(pingreq)
		<-c.Done()
		if !errors.Is(c.Err(), mqtt.ErrNoAnswer) {
			t.Errorf("ended with %v", c.Err())
		}
	})
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{}, connack4)
		start := time.Now()
		publish(t, c, mqtt.Message{Topic: "t", QoS: 1})
		time.Sleep(time.Second)
		publish(t, c, mqtt.Message{Topic: "t", QoS: 1})
		srv.expect("\x32\x05\x00\x01t\x00\x01\x32\x05\x00\x01t\x00\x02")
		if p := c.Progress(); p.Outstanding != 2 || !p.OldestUnacked.Equal(start) || !p.LastAck.Equal(start) || p.RoundTrip != 0 {
			t.Errorf("progress %+v", p)
		}
		srv.send("\x40\x02\x00\x01")
		synctest.Wait()
		if p := c.Progress(); p.Outstanding != 1 || !p.OldestUnacked.Equal(start.Add(time.Second)) || !p.LastAck.Equal(start.Add(time.Second)) || p.RoundTrip != time.Second {
			t.Errorf("progress %+v", p)
		}
		drop(t, c)
	})
}

// After PUBREC it is PUBREL that waits.
func TestProgressOfQoS2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{}, connack4)
		publish(t, c, mqtt.Message{Topic: "t", QoS: 2})
		srv.expect("\x34\x05\x00\x01t\x00\x01")
		time.Sleep(time.Second)
		srv.send("\x50\x02\x00\x01")
		srv.expect("\x62\x02\x00\x01")
		if p := c.Progress(); p.Outstanding != 1 || time.Since(p.OldestUnacked) != 0 || p.RoundTrip != time.Second {
			t.Errorf("progress %+v", p)
		}
		drop(t, c)
	})
}

func TestAPeerThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, _ := link(t, nil, mqtt.Config{}, connack4)
		publish(t, c, mqtt.Message{Topic: "t"})
		<-c.Done()
		at(t, start, 10*time.Second+250*time.Millisecond) // and a quarter to look for the server's own reason
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), "write to the server") {
			t.Errorf("ended with %v", err)
		}
	})
}

// Up to 64 KiB are being written and 64 KiB wait, then publishers do.
func TestPublishersWaitForASlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{}, connack4)
		var sent int
		ended := make(chan error, 1)
		go func() {
			for {
				if _, err := c.Publish(t.Context(), mqtt.Message{Topic: "t", Payload: make([]byte, 1000)}); err != nil {
					ended <- err
					return
				}
				sent++
			}
		}()
		synctest.Wait()
		if sent < 60 || sent > 140 {
			t.Errorf("%d messages of 1 kB wait", sent)
		}
		before := sent
		b := make([]byte, 1<<20)
		for range 5 {
			if _, err := srv.nc.Read(b); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if sent == before {
			t.Error("publishers do not go on")
		}
		drop(t, c)
		if err := <-ended; !errors.Is(err, mqtt.ErrClosed) {
			t.Errorf("publish ended with %v", err)
		}
	})
}
