// Package deadletter keeps what a module could not digest, in shared.dead_letters: where the queue of dead letters and the
// relay put it, and where an operator looks at it, replays it or gives it up. Who did so, when, and what came of it is kept
// in shared.dead_letter_log.
package deadletter

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Letters is the table, with the way back into the modules' queues.
type Letters struct {
	db        *postgres.DB
	publisher *broker.Publisher
	topology  broker.Topology
	log       *slog.Logger
	open      *prometheus.GaugeVec // module, reason
}

// New makes it. publisher has to run when a letter is replayed. A nil registerer leaves the gauges unregistered.
func New(db *postgres.DB, publisher *broker.Publisher, topology broker.Topology, log *slog.Logger, r prometheus.Registerer) *Letters {
	l := &Letters{db: db, publisher: publisher, topology: topology, log: log, open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "holdfast", Name: "dead_letters_open", Help: "Dead letters that nobody has replayed or given up; the same on every instance.",
	}, []string{"module", "reason"})}
	if r != nil {
		r.MustRegister(l.open)
	}
	return l
}
