package reconcile

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	runs        *prometheus.CounterVec // scope, outcome
	compared    prometheus.Counter
	differences *prometheus.CounterVec // pair, action
	seconds     prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		runs:     counters("runs_total", "Comparisons of Redis with Postgres.", "scope", "outcome"),
		compared: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "reconcile", Name: "compared_total", Help: "Products, once for each pair, and carts that were compared."}),
		differences: counters("differences_total", "What was found to differ, by what was done about it.",
			"pair", "action"),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "holdfast", Subsystem: "reconcile", Name: "seconds", Help: "Time of a run.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 14),
		}),
	}
	if r != nil {
		r.MustRegister(m.runs, m.compared, m.differences, m.seconds)
	}
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "reconcile", Name: name, Help: help}, labels)
}

func (m *metrics) ran(run Run) {
	outcome := "done"
	if run.Error != "" || run.EndedAt == nil {
		outcome = "failed"
	}
	m.runs.WithLabelValues(string(run.Scope), outcome).Inc()
	m.compared.Add(float64(run.Compared))
	m.seconds.Observe(run.Seconds)
}

func (m *metrics) differed(d Difference) {
	m.differences.WithLabelValues(d.Pair, string(d.Action)).Inc()
}
