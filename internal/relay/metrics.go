package relay

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	facts, messages, quarantined, recoveries, reconnects prometheus.Counter
	troubles                                             *prometheus.CounterVec // trouble
	holder                                               *prometheus.GaugeVec   // pid, gid, database
	leading, rows, bytes, seconds, held, retained        prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "relay", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "holdfast", Subsystem: "relay", Name: name, Help: help})
	}
	m := &metrics{
		facts:       counter("facts_total", "Facts that are out, confirmed by the broker; repetitions included."),
		messages:    counter("messages_total", "Messages in which they were."),
		quarantined: counter("quarantined_total", "Facts that no broker would take."),
		recoveries:  counter("recoveries_total", "Times that rows were published from the mark because it was not sure that the slot carries on from it."),
		reconnects:  counter("disconnects_total", "Replication connections that were lost or could not be made."),
		troubles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "holdfast", Subsystem: "relay", Name: "troubles_total", Help: "What happened to slot, publication, server and reader, and was healed.",
		}, []string{"trouble"}),
		holder: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "holdfast", Subsystem: "relay", Name: "held_by", Help: "1 for the open transaction that holds facts or the mark up.",
		}, []string{"pid", "gid", "database"}),
		leading:  gauge("leading", "1 while this instance reads the outbox."),
		rows:     gauge("lag_rows", "Rows at or above the mark, on the instance that reads."),
		bytes:    gauge("lag_bytes", "Bytes of their bodies."),
		seconds:  gauge("lag_seconds", "Age of the oldest of them."),
		held:     gauge("held_seconds", "How long the reader has held facts back whose commits are not visible yet."),
		retained: gauge("slot_retained_bytes", "Log that the replication slot keeps."),
	}
	for _, t := range troubles {
		m.troubles.WithLabelValues(string(t)) // shown as 0 before the first
	}
	if r != nil {
		r.MustRegister(m.troubles, m.holder, m.facts, m.messages, m.quarantined, m.recoveries, m.reconnects, m.leading, m.rows, m.bytes, m.seconds, m.held, m.retained)
	}
	return m
}

func (m *metrics) lag(s Status) {
	m.rows.Set(float64(s.Rows))
	m.bytes.Set(float64(s.Bytes))
	m.seconds.Set(s.Seconds)
	m.held.Set(s.Held)
	if s.Slot != nil {
		m.retained.Set(float64(s.Slot.Retained))
	}
}
