// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"slices"
	"testing"
	"time"

	"edged/console/metrics"
	"edged/uplink"
)

// Two samples with the same labels would fail the whole scrape, and so would a label that is no text.
func TestCertificatesOfAnOwnerAndNameAreToldOnce(t *testing.T) {
	early, late := time.Unix(1e9, 0), time.Unix(2e9, 0)
	got := certificates([]uplink.Certificate{
		{Name: "ca", End: late}, {Name: "ca", End: early}, {Name: "ca", End: late}, {Name: "x\xff", End: late}, {Ours: true, Name: "ca", End: late},
	})
	want := []metrics.Certificate{
		{Owner: "server", Name: "ca", End: early}, {Owner: "server", Name: "x\uFFFD", End: late}, {Owner: "gateway", Name: "ca", End: late},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWhatAFullQueueRefusedIsAFigure(t *testing.T) {
	if f := linkFigures(uplink.Status{}, Cloud{Refused: 7, Dropped: 1}); f.QueueRefused != 7 {
		t.Errorf("%d were refused, want 7", f.QueueRefused)
	}
}
