// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// uplinkFamilies are absent without an uplink. Whether it is connected is never told without when the cloud last
// acknowledged anything: a connection alone proves nothing.
func uplinkFamilies() []family {
	linked := func(name, help string, kind prometheus.ValueType, value func(*Uplink) float64) family {
		return family{name, help, kind, nil, func(f *Figures, put put) {
			if f.Uplink != nil {
				put(value(f.Uplink))
			}
		}}
	}
	counts := func(name, help, label string, values func(*Uplink) map[string]uint64) family {
		return each(name, help, counter, label, func(f *Figures) map[string]uint64 {
			if f.Uplink == nil {
				return nil
			}
			return values(f.Uplink)
		})
	}
	backlog := func(name, help string, value func(Backlog) float64) family {
		return family{name, help, gauge, []string{"class"}, func(f *Figures, put put) {
			if f.Uplink == nil {
				return
			}
			for class, b := range f.Uplink.Backlog {
				put(value(b), class)
			}
		}}
	}
	return []family{
		linked("edged_uplink_connected", "Whether the cloud has accepted our session. Read it with the time of the last acknowledgement.", gauge, func(u *Uplink) float64 { return truth(u.Connected) }),
		linked("edged_uplink_last_acknowledged_timestamp_seconds", "When the cloud last acknowledged anything, 0 for never.", gauge, func(u *Uplink) float64 { return moment(u.LastAck) }),
		{
			"edged_uplink_last_acknowledged_age_seconds", "How long ago that was, whatever the clock did; absent for never.", gauge, nil,
			func(f *Figures, put put) {
				if f.Uplink != nil && f.Uplink.LastAckAge != nil {
					put(f.Uplink.LastAckAge.Seconds())
				}
			},
		},
		linked("edged_uplink_session_present", "Whether the cloud had kept our session at the last connection.", gauge, func(u *Uplink) float64 { return truth(u.SessionPresent) }),
		backlog("edged_uplink_backlog_messages", "Messages that wait for the cloud, by class.", func(b Backlog) float64 { return float64(b.Messages) }),
		backlog("edged_uplink_backlog_bytes", "Bytes that wait for the cloud, by class.", func(b Backlog) float64 { return float64(b.Bytes) }),
		linked("edged_uplink_backlog_oldest_age_seconds", "Age of the oldest message that waits, 0 without one.", gauge, func(u *Uplink) float64 { return u.Oldest.Seconds() }),
		linked("edged_uplink_inflight_messages", "Messages on their way that the cloud has not acknowledged.", gauge, func(u *Uplink) float64 { return float64(u.Inflight) }),
		linked("edged_uplink_round_trip_seconds", "Smoothed time from a message to its acknowledgement, 0 while unknown.", gauge, func(u *Uplink) float64 { return u.RoundTrip.Seconds() }),
		linked("edged_uplink_sent_messages_total", "Messages handed to the connection with the cloud.", counter, func(u *Uplink) float64 { return float64(u.Sent) }),
		linked("edged_uplink_received_messages_total", "Messages from the cloud that were let in.", counter, func(u *Uplink) float64 { return float64(u.Received) }),
		counts("edged_uplink_reconnects_total", "Sessions after the first, by what ended the one before.", "reason", func(u *Uplink) map[string]uint64 { return u.Reconnects }),
		counts("edged_uplink_dropped_messages_total", "Messages that will never reach the cloud, by reason.", "reason", func(u *Uplink) map[string]uint64 { return u.Dropped }),
		linked("edged_uplink_queue_refused_messages_total", "Messages that their publishers were refused because the queue was full.", counter, func(u *Uplink) float64 { return float64(u.QueueRefused) }),
		counts("edged_uplink_refused_messages_total", "Messages from the cloud that were not let in, by reason.", "reason", func(u *Uplink) map[string]uint64 { return u.CommandsRefused }),
		certificateFamily(),
	}
}

func certificateFamily() family {
	return family{
		"edged_uplink_certificate_expiry_timestamp_seconds", "When a certificate expires on which the link depends.", gauge,
		[]string{"owner", "name"},
		func(f *Figures, put put) {
			if f.Uplink == nil {
				return
			}
			for _, c := range f.Uplink.Certificates {
				put(moment(c.End), c.Owner, c.Name)
			}
		},
	}
}

// deviceFamilies have a sample for each device.
func deviceFamilies() []family {
	of := func(name, help string, kind prometheus.ValueType, value func(*Device) float64) family {
		return family{name, help, kind, []string{"device"}, func(f *Figures, put put) {
			for i := range f.Devices {
				put(value(&f.Devices[i]), f.Devices[i].Name)
			}
		}}
	}
	return []family{
		of("edged_device_online", "Whether the device is there and gives valid readings.", gauge, func(d *Device) float64 { return truth(d.Online) }),
		of("edged_device_last_frame_timestamp_seconds", "When its last valid frame came, 0 for never.", gauge, func(d *Device) float64 { return moment(d.Seen) }),
		of("edged_device_frames_total", "Valid frames.", counter, func(d *Device) float64 { return float64(d.Frames) }),
		of("edged_device_bad_frames_total", "Frames with a wrong checksum or an impossible value; none of these is published.", counter, func(d *Device) float64 { return float64(d.BadFrames) }),
		of("edged_device_garbage_bytes_total", "Bytes that belong to no frame.", counter, func(d *Device) float64 { return float64(d.GarbageBytes) }),
		of("edged_device_out_of_range_readings_total", "Readings dropped because they are outside min and max.", counter, func(d *Device) float64 { return float64(d.OutOfRange) }),
		of("edged_device_given_up_readings_total", "Readings that the broker did not take in time.", counter, func(d *Device) float64 { return float64(d.GivenUp) }),
		of("edged_device_published_messages_total", "Messages of readings made.", counter, func(d *Device) float64 { return float64(d.Published) }),
	}
}
