// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// Handler answers scrapes. Nothing is made or counted for it before the first one.
type Handler struct {
	registry func() *prometheus.Registry
	mu       sync.Mutex // one scrape at a time
}

// New returns a handler that asks for the figures at each scrape.
func New(figures func() Figures) *Handler {
	return &Handler{registry: sync.OnceValue(func() *prometheus.Registry { return register(figures) })}
}

// register makes the registry of everything that is exported.
func register(figures func() Figures) *prometheus.Registry {
	c := &collector{figures: figures, families: families()}
	for _, f := range c.families {
		c.described = append(c.described, prometheus.NewDesc(f.name, f.help, f.labels, nil))
	}
	r := prometheus.NewRegistry()
	r.MustRegister(c, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// ServeHTTP answers one scrape.
func (h *Handler) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	text, err := h.text(format)
	if err != nil {
		http.Error(w, "the figures could not be gathered: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", string(format))
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Write(text) //nolint:errcheck // a client that has gone misses nothing
}

func (h *Handler) text(format expfmt.Format) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, err := h.registry().Gather()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := expfmt.NewEncoder(&b, format)
	for _, f := range all {
		if err := e.Encode(f); err != nil {
			return nil, fmt.Errorf("write %s: %w", f.GetName(), err)
		}
	}
	return b.Bytes(), nil
}

// family is one metric and all its label values.
type family struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	read       func(f *Figures, put put) // calls put for each sample that there is
}

// put takes a sample: its value, and the values of the family's labels in their order.
type put func(value float64, labels ...string)

// collector reads the figures once for each scrape.
type collector struct {
	figures   func() Figures
	families  []family
	described []*prometheus.Desc
}

// Describe is [prometheus.Collector].
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.described {
		to <- d
	}
}

// Collect is [prometheus.Collector].
func (c *collector) Collect(to chan<- prometheus.Metric) {
	all := c.figures()
	for i, f := range c.families {
		f.read(&all, func(value float64, labels ...string) {
			m, err := prometheus.NewConstMetric(c.described[i], f.kind, value, labels...)
			if err != nil {
				m = prometheus.NewInvalidMetric(c.described[i], err)
			}
			to <- m
		})
	}
}
