// Package deadletter keeps what a module could not digest, in shared.dead_letters: where the queue of dead letters and the
// relay put it, and where an operator looks at it, replays it or gives it up.
package deadletter

import (
	"log/slog"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Letters is the table, with the way back into the modules' queues.
type Letters struct {
	db        *postgres.DB
	publisher *broker.Publisher
	topology  broker.Topology
	log       *slog.Logger
}

// New makes it. publisher has to run when a letter is replayed.
func New(db *postgres.DB, publisher *broker.Publisher, topology broker.Topology, log *slog.Logger) *Letters {
	return &Letters{db: db, publisher: publisher, topology: topology, log: log}
}
