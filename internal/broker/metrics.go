package broker

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the counters of this package, shared by all its parts.
type Metrics struct {
	published   prometheus.Counter
	confirmed   prometheus.Counter
	returned    prometheus.Counter
	reconnects  *prometheus.CounterVec // part
	heard       *prometheus.CounterVec // module
	failed      *prometheus.CounterVec // module
	buried      *prometheus.CounterVec // module, reason
	batchFacts  *prometheus.HistogramVec
	batchSecond *prometheus.HistogramVec
}

// NewMetrics makes the counters and registers them; a nil registerer leaves them unregistered.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		published:  counter("published_total", "Messages handed to RabbitMQ, repetitions included."),
		confirmed:  counter("confirmed_total", "Messages that RabbitMQ has confirmed."),
		returned:   counter("returned_total", "Messages that RabbitMQ returned because no queue would take them."),
		reconnects: counters("disconnects_total", "Connections to RabbitMQ that were lost or could not be made.", "part"),
		heard:      counters("heard_total", "Facts that a module has taken.", "module"),
		failed:     counters("failed_total", "Attempts of a module at one fact that failed.", "module"),
		buried:     counters("dead_letters_total", "Facts that became dead letters.", "module", "reason"),
		batchFacts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "holdfast", Subsystem: "broker", Name: "batch_facts", Help: "Facts in a batch that was handed to a module.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}, []string{"module"}),
		batchSecond: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "holdfast", Subsystem: "broker", Name: "batch_seconds", Help: "Time that a module took for a batch.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"module"}),
	}
	if r != nil {
		r.MustRegister(m.published, m.confirmed, m.returned, m.reconnects, m.heard, m.failed, m.buried, m.batchFacts, m.batchSecond)
	}
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "broker", Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "broker", Name: name, Help: help}, labels)
}
