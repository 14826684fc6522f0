package app

import (
	"cmp"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/deadletter"
	"github.com/holdfast-checkout/holdfast/internal/refill"
	"github.com/holdfast-checkout/holdfast/internal/relay"
)

// newRelay makes the way from the outbox to the broker, and what looks after those who did not hear. Every commit rings its bell.
func (s *server) newRelay() error {
	s.publisher = broker.NewPublisher(s.broker)
	s.letters = deadletter.New(s.db, s.publisher, s.broker.Topology, s.log, s.registry)
	s.refills = refill.New(refill.Options{
		DB: s.db, Broker: s.broker, Publisher: s.publisher, Lease: s.lease, After: s.cfg.RefillAfter, Log: s.log, Registerer: s.registry,
		Quarantine: s.letters.Keep,
	})
	var err error
	s.relay, err = relay.New(relay.Options{
		Mode: relay.Mode(s.cfg.OutboxMode), DB: s.db, PostgresURL: cmp.Or(s.cfg.ReplicationURL, s.cfg.PostgresURL), Publisher: s.publisher, Topology: s.broker.Topology,
		Lease: s.lease, PollInterval: s.cfg.OutboxPollInterval, Log: s.log, Registerer: s.registry,
		Quarantine: s.letters.Keep,
	})
	if err != nil {
		return err
	}
	s.db.OnCommit = s.relay.Ring
	return nil
}
