package app

import (
	"strings"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/deadletter"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/refill"
	"github.com/holdfast-checkout/holdfast/internal/relay"
	"github.com/holdfast-checkout/holdfast/internal/rollout"
	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// newRelay makes the way from the outbox to the broker, and what looks after those who did not hear. Every commit rings its bell.
func (s *server) newRelay() error {
	s.publisher = broker.NewPublisher(s.broker)
	s.letters = deadletter.New(s.db, s.publisher, s.broker.Topology, s.log, s.registry)
	s.rollout = rollout.New(rollout.Options{
		DB: s.db, Publisher: s.publisher, Topology: s.broker.Topology, Rows: rowsOf(s.book), Patience: s.cfg.UnknownFactPatience,
		Log: s.log, Registerer: s.registry, Bury: s.letters.Keep,
	})
	s.refills = refill.New(refill.Options{
		DB: s.db, Broker: s.broker, Publisher: s.publisher, Lease: s.lease, After: s.cfg.RefillAfter, Log: s.log, Registerer: s.registry,
		Quarantine: s.letters.Keep, Foreign: s.rollout.Foreign,
	})
	var err error
	s.relay, err = relay.New(relay.Options{
		Mode: relay.Mode(s.cfg.OutboxMode), DB: s.db, PostgresURL: s.cfg.DirectURL(), Publisher: s.publisher, Topology: s.broker.Topology,
		Lease: s.lease, PollInterval: s.cfg.OutboxPollInterval, Log: s.log, Registerer: s.registry,
		Quarantine: s.letters.Keep,
	})
	if err != nil {
		return err
	}
	s.db.OnCommit = s.relay.Ring
	return nil
}

// rowsOf are the rows of all tables, as those know them who look for what has waited for this version.
func rowsOf(book *saga.Book) []rollout.Row {
	var rows []rollout.Row
	for row := range book.Does() {
		module, key, _ := strings.Cut(row, " ")
		_, name, _ := strings.Cut(key, ".") // only the fact's name has dots of its own
		rows = append(rows, rollout.Row{Module: module, Key: key, Version: event.Version(event.Name(name))})
	}
	return rows
}
