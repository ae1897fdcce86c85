// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"edged/uplink"
)

// Diagnosis is one line of what the control socket answers to a request to look into the cloud: a step of the way there,
// or, at the end, how the link itself is.
type Diagnosis struct {
	Finding *uplink.Finding `json:"finding,omitempty"`
	End     *CloudDoctor    `json:"end,omitempty"`
}

// CloudDoctor is the end of a look into the cloud.
type CloudDoctor struct {
	ClientID string `json:"client_id"` // as whom the way was tried
	Cloud    Cloud  `json:"cloud"`     // the link itself
	Reached  bool   `json:"reached"`   // each address of the cloud was
}

// CloudReport is what edged doctor cloud --json prints and /api/doctor/cloud answers.
type CloudReport struct {
	OK       bool             `json:"ok"` // the cloud is reached and the link is up, if there is one
	ClientID string           `json:"client_id"`
	Steps    []uplink.Finding `json:"steps"`
	Cloud    Cloud            `json:"cloud"`
}

// Report is the whole of a look into the cloud that went these steps.
func (d *CloudDoctor) Report(steps []uplink.Finding) CloudReport {
	up := d.Cloud.State == uplink.Up || d.Cloud.State == uplink.Off
	return CloudReport{OK: d.Reached && up, ClientID: d.ClientID, Steps: steps, Cloud: d.Cloud}
}

// doctorReport looks into the cloud for the console; nil: there is none.
func (g *Gateway) doctorReport(ctx context.Context) (any, error) {
	steps := []uplink.Finding{}
	end, err := g.lookIntoCloud(ctx, func(f uplink.Finding) { steps = append(steps, f) })
	if err != nil || end == nil {
		return nil, err
	}
	return end.Report(steps), nil
}

// lookIntoCloud goes the way to the cloud beside the link, which it leaves alone. It returns nil where there is no cloud.
// One at a time does, since they have the same client id.
func (g *Gateway) lookIntoCloud(ctx context.Context, told func(uplink.Finding)) (*CloudDoctor, error) {
	cfg, _ := g.config()
	if cfg.Uplink == nil {
		return nil, nil
	}
	select {
	case g.doctoring <- struct{}{}:
		defer func() { <-g.doctoring }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	as := uplink.Guest{ClientID: cfg.Uplink.ClientID + "-doctor", Beside: true}
	reached, err := uplink.Check(ctx, *cfg.Uplink, uplink.Deps{
		Gateway: g.id, Log: g.log.With("part", "doctor"), Floor: g.clock.Floor,
	}, as, told)
	if err != nil {
		return nil, err
	}
	return &CloudDoctor{ClientID: as.ClientID, Cloud: g.cloud(), Reached: reached == len(cfg.Uplink.URLs)}, nil
}

// Floor is a time that has certainly passed, as a gateway with this state directory would know it.
func Floor(state string, built time.Time) time.Time { return newClock(state, built).Floor() }

// serveDoctor looks into the cloud and answers line by line.
func (c *control) serveDoctor(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines, flush := json.NewEncoder(w), http.NewResponseController(w).Flush
	write := func(d Diagnosis) {
		err := lines.Encode(d)
		if err == nil {
			err = flush()
		}
		if err != nil {
			c.log.Debug("answering a request for the doctor", "err", err)
		}
	}
	end, err := c.doctor(r.Context(), func(f uplink.Finding) { write(Diagnosis{Finding: &f}) })
	switch {
	case err != nil:
		c.log.Debug("looking into the cloud", "err", err)
	case end == nil:
		w.WriteHeader(http.StatusNotFound)
	default:
		write(Diagnosis{End: end})
	}
}
