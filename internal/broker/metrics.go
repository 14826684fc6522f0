package broker

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the counters of this package, shared by all its parts.
type Metrics struct {
	published   prometheus.Counter
	confirmed   prometheus.Counter
	returned    prometheus.Counter
	reconnects  *prometheus.CounterVec // part
	heard       *prometheus.CounterVec // module
	failed      *prometheus.CounterVec // module
	buried      *prometheus.CounterVec // module, reason
	redelivered *prometheus.CounterVec // module
	unknown     *prometheus.CounterVec // module
	strays      prometheus.Counter
	replaced    prometheus.Counter
	unconfirmed prometheus.Gauge
	parked      *prometheus.GaugeVec // module
	unseen      *prometheus.GaugeVec // module
	depth       *prometheus.GaugeVec // queue

	differs *prometheus.GaugeVec // queue

	mu          sync.Mutex
	differences map[string]string // queues to how they differ from what this version declares
	modules     map[string]*tally
	batchFacts  *prometheus.HistogramVec
	batchSecond *prometheus.HistogramVec
}

// NewMetrics makes the counters and registers them; a nil registerer leaves them unregistered.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		modules:     map[string]*tally{},
		differences: map[string]string{},
		differs:     gauges("queue_differs", "1 for a queue or exchange that is there with other properties than this version declares.", "queue"),
		published:   counter("published_total", "Messages handed to RabbitMQ, repetitions included."),
		confirmed:   counter("confirmed_total", "Messages that RabbitMQ has confirmed."),
		returned:    counter("returned_total", "Messages that RabbitMQ returned because no queue would take them."),
		reconnects:  counters("disconnects_total", "Connections to RabbitMQ that were lost or could not be made.", "part"),
		heard:       counters("heard_total", "Facts that a module has taken.", "module"),
		failed:      counters("failed_total", "Attempts of a module at one fact that failed.", "module"),
		buried:      counters("dead_letters_total", "Facts that became dead letters.", "module", "reason"),
		redelivered: counters("redelivered_total", "Messages that RabbitMQ had given to a consumer before.", "module"),
		unknown:     counters("unknown_total", "Facts that this version has no row for and that were stored, to wait for one that has.", "module"),
		strays:      counter("strays_total", "Messages that no queue was bound to."),
		replaced:    counter("queues_replaced_total", "Queues that did not work and were made anew."),
		unconfirmed: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "holdfast", Subsystem: "broker", Name: "unconfirmed", Help: "Messages sent and not yet confirmed, 1,024 at most for each publisher.",
		}),
		parked: gauges("parked", "Facts that failed and wait for their next attempt.", "module"),
		unseen: gauges("unseen", "Facts among the parked ones that wait for what they are about: its transaction may still be open.", "module"),
		depth:  gauges("queue_messages", "Messages that wait in a queue, as last asked by this instance.", "queue"),
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
		r.MustRegister(m.unknown, m.differs, m.published, m.confirmed, m.returned, m.reconnects, m.heard, m.failed, m.buried, m.batchFacts, m.batchSecond,
			m.redelivered, m.strays, m.replaced, m.unconfirmed, m.parked, m.unseen, m.depth)
	}
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "broker", Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "broker", Name: name, Help: help}, labels)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "holdfast", Subsystem: "broker", Name: name, Help: help}, labels)
}

// tally is what one module's consumer has counted since the start, for Hearing.
type tally struct {
	heard, redelivered, failed, buried atomic.Int64
	parked, unseen                     atomic.Int64
}

func (m *Metrics) module(name string) *tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.modules[name] == nil {
		m.modules[name] = &tally{}
	}
	return m.modules[name]
}

// Hearing is what a module's consumer has done on this instance since its start.
type Hearing struct {
	Module      string `json:"module"`
	Heard       int64  `json:"heard"`       // facts taken
	Redelivered int64  `json:"redelivered"` // messages that RabbitMQ had given to a consumer before
	Failed      int64  `json:"failed"`      // attempts at one fact
	Parked      int64  `json:"parked"`      // facts that failed and wait for their next attempt, now
	Unseen      int64  `json:"unseen"`      // of those, facts whose orders are not visible and may still be
	DeadLetters int64  `json:"dead_letters"`
}

// Hearing gives the modules that have consumers here, by name.
func (m *Metrics) Hearing() []Hearing {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Hearing, 0, len(m.modules))
	for _, name := range slices.Sorted(maps.Keys(m.modules)) {
		t := m.modules[name]
		list = append(list, Hearing{
			Module: name, Heard: t.heard.Load(), Redelivered: t.redelivered.Load(), Failed: t.failed.Load(), Parked: t.parked.Load(),
			Unseen: t.unseen.Load(), DeadLetters: t.buried.Load(),
		})
	}
	return list
}
