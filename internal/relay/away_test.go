package relay

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// While the broker is away facts wait, and go out when it is back; one reader or another, nothing is marked before.
func waitsForTheBroker(t *testing.T, b *bench, mode Mode) {
	far := b.behindProxy(t)
	r := far.relay(t, mode)
	stop := startLeading(t, r)
	before, waiting := facts(20), facts(500)
	b.say(t, before...)
	b.heard.wait(t, before...)
	far.proxy.Cut()
	for part := range slices.Chunk(waiting, 50) {
		b.say(t, part...)
		r.Ring()
	}
	stop() // in the middle of a batch
	b.heardNone(t, waiting)
	if s, err := r.Status(t.Context()); err != nil || s.Rows < int64(len(waiting)) {
		t.Fatalf("%d rows wait, want %d at least: %v", s.Rows, len(waiting), err)
	}
	next := far.relay(t, mode)
	startLeading(t, next)
	far.proxy.Drop()
	far.proxy.Heal()
	b.heard.wait(t, waiting...)
	b.rest(t, next)
}

// A message that was taken, but whose confirm got lost, is published again.
func publishesAgainWhatIsNotConfirmed(t *testing.T, b *bench, mode Mode) {
	far := b.behindProxy(t)
	r := far.relay(t, mode)
	startLeading(t, r)
	first, all := fact(), facts(50)
	b.say(t, first)
	b.heard.wait(t, first)
	b.rest(t, r) // else what was published before fills the window of what may be unconfirmed
	far.proxy.Mute()
	b.say(t, all...)
	r.Ring()
	b.heard.wait(t, all...)
	if s, err := r.Status(t.Context()); err != nil || s.Rows < int64(len(all)) {
		t.Fatalf("%d rows wait, want the %d without confirm at least: %v", s.Rows, len(all), err)
	}
	far.proxy.Drop()
	far.proxy.Heal()
	b.rest(t, r)
	testkit.Eventually(t, patience, func() error { // a confirm may come before the delivery
		if n := b.heard.times(all[0]); n < 2 {
			return fmt.Errorf("published %d times without a confirm", n)
		}
		return nil
	})
}

// A fact that no queue takes is not lost though RabbitMQ confirms it: it is published again when there is a queue.
func findsAWayForTheUnroutable(t *testing.T, b *bench, mode Mode) {
	r := b.relay(t, mode)
	startLeading(t, r)
	first, all := fact(), facts(20)
	b.say(t, first)
	b.heard.wait(t, first)
	b.onBroker(t, func(ch *amqp.Channel) error {
		if err := ch.QueueUnbind(b.Namespace+".view", "#", b.cfg.Topology.Exchange(), nil); err != nil {
			return err
		}
		_, err := ch.QueueDelete(b.Namespace+".unrouted", false, false, false)
		return err
	})
	b.say(t, all...)
	r.Ring()
	b.heard.wait(t, all...)
	b.rest(t, r)
}

// While facts wait for their confirms there is no transaction open and no row locked.
func holdsNothingWhileItWaits(t *testing.T, b *bench, mode Mode) {
	far := b.behindProxy(t)
	r := far.relay(t, mode)
	startLeading(t, r)
	first, all := fact(), facts(50)
	b.say(t, first)
	b.heard.wait(t, first)
	far.proxy.Cut()
	b.say(t, all...)
	r.Ring()
	testkit.Eventually(t, patience, func() error {
		var long int
		var enough bool
		err := b.DB.QueryRow(t.Context(), `
			SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
			          AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - interval '500 ms'),
			       (SELECT max(at) < clock_timestamp() - interval '1 second' FROM shared.outbox)`).Scan(&long, &enough)
		switch {
		case err != nil:
			return err
		case long > 0:
			t.Fatal("a transaction is open while confirms are awaited")
		case !enough:
			return errors.New("the facts have not waited for long")
		}
		_, err = b.DB.Exec(t.Context(), `SELECT FROM shared.outbox FOR UPDATE NOWAIT`)
		return err
	})
	far.proxy.Drop()
	far.proxy.Heal()
	b.heard.wait(t, all...)
}
