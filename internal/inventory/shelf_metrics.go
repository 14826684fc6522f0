package inventory

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// loads counts what becomes of the products that this instance loads into Redis.
type loads struct {
	under   prometheus.Gauge
	outcome *prometheus.CounterVec
	seconds prometheus.Histogram
}

func newLoads() *loads {
	return &loads{
		under: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "holdfast", Subsystem: "shelf", Name: "loading", Help: "Products that this instance is loading into Redis: nothing can be held of them."}),
		outcome: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "holdfast", Subsystem: "shelf", Name: "loads_total", Help: "Loads of products into Redis: done, lost to another instance, failed."}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "holdfast", Subsystem: "shelf", Name: "load_seconds", Help: "Time in which a product was loaded into Redis.",
			Buckets: prometheus.ExponentialBuckets(0.002, 4, 8)}),
	}
}

// Meter registers what the shelf counts.
func (s *Shelf) Meter(r prometheus.Registerer) {
	r.MustRegister(s.loads.under, s.loads.outcome, s.loads.seconds)
}

func (m *loads) began(*loading) { m.under.Inc() }

func (m *loads) over(l *loading, outcome string) {
	if l.token != "" {
		m.under.Dec()
		m.outcome.WithLabelValues(outcome).Inc()
	}
}

func (m *loads) ended(l *loading) {
	if l.token != "" {
		m.seconds.Observe(time.Since(l.began).Seconds())
	}
	m.over(l, "done")
}

func (m *loads) lost(l *loading)   { m.over(l, "lost") }
func (m *loads) failed(l *loading) { m.over(l, "failed") }
