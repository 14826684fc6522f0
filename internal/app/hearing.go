package app

import (
	"errors"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/run"
	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// topology is the queues of the modules, bound by the rows of all tables.
func topology(namespace string, book *saga.Book) broker.Topology {
	t := broker.Topology{Namespace: namespace, Queues: make(map[string][]string)}
	for module, keys := range book.Bindings() {
		t.Queues[string(module)] = keys
	}
	return t
}

// hearing is one consumer per module, which hands the module's verbs what its queue holds.
func (s *server) hearing() []run.Part {
	letters := broker.NewPublisher(s.broker)
	parts := []run.Part{{Name: "dead letters out", Run: letters.Run}}
	for _, module := range saga.Modules() {
		consumer := broker.NewConsumer(s.broker, letters, broker.Subscription{
			Module: string(module), Batch: s.cfg.ConsumerBatch, Handle: s.book.Hear(module, s.modules.actors()),
			Permanent: permanent, Outage: outage,
		})
		parts = append(parts, run.Part{Name: "consumer " + string(module), Run: consumer.Run})
	}
	return parts
}

// permanent says that no further attempt can heal what a fact met. An order that is not there is no such thing: the log of
// Postgres, and so the relay, knows of a commit a moment before other transactions see it.
func permanent(err error) bool {
	return errors.Is(err, inbox.ErrTooOld) || errors.Is(err, saga.ErrNoRow)
}

// outage says that something is down for every fact, so that no fact is to blame.
func outage(err error) bool { return postgres.Unavailable(err) || redisx.Unavailable(err) }
