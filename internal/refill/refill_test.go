package refill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/deadletter"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const age = 10 * time.Second

// bench is an outbox, two modules that hear nothing by themselves, and their queues. The test moves the clock by the facts' ages.
type bench struct {
	*testing.T
	env *testkit.Env
	r   *Refiller
	ch  *amqp.Channel
}

func newBench(t *testing.T) *bench {
	t.Helper()
	env := testkit.New(t)
	cfg := broker.Config{URL: env.RabbitURL, Log: env.Log, Topology: broker.Topology{
		Namespace: env.Namespace, Queues: map[string][]string{"inventory": {"optimistic.order.created"}, "payment": {"optimistic.order.created"}},
	}}
	publisher := broker.NewPublisher(cfg)
	letters := deadletter.New(env.DB, publisher, cfg.Topology, env.Log, nil)
	b := &bench{T: t, env: env, r: New(Options{
		DB: env.DB, Broker: cfg, Publisher: publisher, Lease: lease.New(env.DB, env.Log, "test", 0), After: age, Log: env.Log, Quarantine: letters.Keep,
	})}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- publisher.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	testkit.Eventually(t, 20*time.Second, publisher.Ready)
	conn, err := amqp.Dial(env.RabbitURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if b.ch, err = conn.Channel(); err != nil {
		t.Fatal(err)
	}
	return b
}

// say writes facts of an age into the outbox, as published ones.
func (b *bench) say(n int, old time.Duration) []event.Fact {
	b.Helper()
	facts := make([]event.Fact, n)
	for i := range facts {
		facts[i] = event.New(event.OrderCreated, "optimistic", uuid.Must(uuid.NewV7()), event.Order{Customer: "ada"})
	}
	b.exec(func(tx pgx.Tx) error { return outbox.Append(b.Context(), tx, facts...) })
	for _, f := range facts {
		b.exec(func(tx pgx.Tx) error {
			_, err := tx.Exec(b.Context(), `UPDATE shared.outbox SET at = now() - $2::interval WHERE id = $1`, f.ID, old)
			return err
		})
	}
	b.exec(func(tx pgx.Tx) error {
		_, err := tx.Exec(b.Context(), `UPDATE shared.relay_mark SET mark = pg_current_xact_id(), at = clock_timestamp()`)
		return err
	})
	return facts
}

func (b *bench) hear(module string, facts ...event.Fact) {
	b.Helper()
	b.exec(func(tx pgx.Tx) error {
		_, err := inbox.Fresh(b.Context(), tx, module, facts)
		return err
	})
}

func (b *bench) exec(do func(pgx.Tx) error) {
	b.Helper()
	if err := b.env.DB.InTx(b.Context(), do); err != nil {
		b.Fatal(err)
	}
}

// look lets the refiller look once, as a leader.
func (b *bench) look() {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	looked := make(chan error, 1)
	err := b.r.Lease.Run(ctx, LeaseName, func(ctx context.Context, term lease.Term) error {
		looked <- b.r.look(ctx, term, true)
		stop()
		return nil
	})
	if err := errors.Join(err, <-looked); err != nil {
		b.Fatal(err)
	}
}

// holds empties a module's queue and wants these facts to have been in it.
func (b *bench) holds(module string, want ...event.Fact) {
	b.Helper()
	missing := map[uuid.UUID]bool{}
	for _, f := range want {
		missing[f.ID] = true
	}
	queue := b.r.Broker.Topology.Queue(module)
	for {
		d, ok, err := b.ch.Get(queue, true)
		if err != nil {
			b.Fatal(err)
		}
		if !ok {
			break
		}
		facts, err := event.Split(d.Body)
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range facts {
			if !missing[f.ID] {
				b.Errorf("%s was published to %s, or twice", f.ID, module)
			}
			delete(missing, f.ID)
		}
	}
	if len(missing) > 0 {
		b.Errorf("%d of %d facts were not published to %s", len(missing), len(want), module)
	}
}

// What an empty queue should have held is published to it, once, in packs, and to no other queue.
func TestWhatAPurgedQueueHeldIsPublishedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	facts := b.say(250, time.Minute)
	young := b.say(3, 0)
	b.hear("inventory", facts[:100]...)
	b.hear("payment", append(facts, young...)...)
	b.look()
	b.holds("inventory", facts[100:]...)
	b.holds("payment")

	b.look() // the copies may be on their way
	b.holds("inventory")
	b.hear("inventory", append(facts, young...)...)
	b.look()
	b.holds("inventory")
	states, err := b.r.states(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if s.Mark != s.Relayed {
			t.Errorf("%s has heard everything, and its mark is %d of %d", s.Module, s.Mark, s.Relayed)
		}
	}
}

// A fact that waits in its queue is left there, until the module has heard younger ones: then the queue does not hold it any more.
func TestWhatWaitsIsNotPublishedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	lost := b.say(5, 10*time.Minute)
	waiting := b.say(5, time.Minute)
	b.hear("payment", append(lost, waiting...)...)
	err := b.r.Publisher.Publish(t.Context(), b.r.messages("inventory", [][]byte{event.Encode(waiting[0])})...)
	if err != nil {
		t.Fatal(err)
	}
	b.look()
	b.holds("inventory", waiting[0])

	if err := b.r.Publisher.Publish(t.Context(), b.r.messages("inventory", [][]byte{event.Encode(waiting[0])})...); err != nil {
		t.Fatal(err)
	}
	b.hear("inventory", waiting[1]) // said nine minutes after the lost ones
	b.look()
	b.holds("inventory", append(lost, waiting[0])...)
}

// An ask is for everything unheard, as soon as the relay is past it, and not for what is a dead letter.
func TestAnAskIsForEverything(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	facts := b.say(10, 0)
	b.hear("payment", facts...)
	dead := broker.NewDeadLetter("inventory", "", broker.ReasonExhausted, event.Encode(facts[3]), errors.New("no appetite"))
	if err := b.r.Quarantine(t.Context(), []broker.DeadLetter{dead}); err != nil {
		t.Fatal(err)
	}
	b.r.Anew(b.r.Broker.Topology.Queue("inventory"))
	if got := b.r.takeAnew(); fmt.Sprint(got) != "[inventory]" {
		t.Fatalf("anew: %v", got)
	}
	b.exec(func(tx pgx.Tx) error { // facts are under way to the broker: nothing can be said of what was published
		_, err := tx.Exec(t.Context(), `UPDATE shared.relay_mark SET mark = '0'`)
		return err
	})
	if _, err := b.r.Ask(t.Context(), "inventory"); err != nil {
		t.Fatal(err)
	}
	b.look()
	b.holds("inventory")
	b.exec(func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE shared.relay_mark SET mark = pg_current_xact_id(), at = clock_timestamp()`)
		return err
	})
	b.look()
	b.holds("inventory", append(append([]event.Fact{}, facts[:3]...), facts[4:]...)...)
	status, err := b.r.Status(t.Context())
	if err != nil || status[0].Module != "inventory" || status[0].AskedAt != nil || status[0].Facts != 9 || status[0].RefilledAt == nil {
		t.Errorf("%+v, %v", status, err)
	}
}

// Postgres' clock is put back by 20 minutes. What was asked for before that is done, and what was said before it, and lost, is found.
func TestRefillsGoOnWhenTheClockWasPutBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	facts := b.say(10, -20*time.Minute)
	b.hear("payment", facts...)
	if _, err := b.r.Ask(t.Context(), "inventory"); err != nil {
		t.Fatal(err)
	}
	b.exec(func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `UPDATE shared.refills SET asked_at = now() + interval '20 min', refilled_at = now() + interval '20 min'`); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `UPDATE shared.relay_mark SET at = now() + interval '5 s'`) // noted after the clock was put back
		return err
	})
	b.look()
	b.holds("inventory", facts...)
	status, err := b.r.Status(t.Context())
	if err != nil || status[0].AskedAt != nil {
		t.Errorf("%+v, %v", status, err)
	}
}

// A transaction that stays open holds the relay's mark. What polling has published in spite of it, and nothing else, is
// published again when it is lost, and the module's mark waits like the relay's.
func TestLostAboveTheMark(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	before, lost, late := b.say(1, time.Hour), b.say(3, time.Hour), b.say(2, time.Hour)
	b.hear("payment", before...)
	b.hear("payment", lost...)
	b.hear("inventory", before...)
	xid := func(f event.Fact) (xid uint64) { // of its transaction
		b.exec(func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT xid FROM shared.outbox WHERE id = $1`, f.ID).Scan(&xid)
		})
		return xid
	}
	mark, end := xid(before[0])+1, xid(late[0])+1
	b.exec(func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE shared.relay_mark SET mark = $1::xid8, snapshot = $2::text::pg_snapshot`,
			mark, fmt.Sprintf("%d:%d:%d,%d", mark, end, mark, xid(late[0])))
		return err
	})
	b.look()
	b.holds("inventory", lost...)
	b.hear("inventory", lost...)
	b.look()
	b.holds("inventory")
	status, err := b.r.Status(t.Context())
	if err != nil || status[0].Module != "inventory" || status[0].Mark != mark {
		t.Errorf("%+v, %v; want the mark %d", status, err, mark)
	}
}

// A row that is no event cannot be heard by anybody: it becomes a dead letter, and the others go on.
func TestRowThatIsNoEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	facts := b.say(3, time.Minute)
	b.hear("payment", facts...)
	b.exec(func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE shared.outbox SET body = 'junk' WHERE id = $1`, facts[1].ID)
		return err
	})
	b.look()
	b.holds("inventory", facts[0], facts[2])
	var reason string
	err := b.env.DB.QueryRow(t.Context(), `SELECT reason FROM shared.dead_letters WHERE fact_id = $1 AND module = 'inventory'`, facts[1].ID).Scan(&reason)
	if err != nil || reason != broker.ReasonUndecodable {
		t.Errorf("%q, %v", reason, err)
	}
}

// Who starts the first time is not warned; whose queues are gone later is.
func TestFirstQueuesAreNoTrouble(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var log bytes.Buffer
	b.r.Log = slog.New(slog.NewTextHandler(&log, nil))
	b.say(1, 0) // as who makes a catalogue before the first queue does
	b.r.tell(t.Context(), []string{"payment"})
	if got := log.String(); !strings.Contains(got, "level=INFO") || !strings.Contains(got, "first time") || !strings.Contains(got, "payment") {
		t.Error(got)
	}
	facts := b.say(1, 0)
	b.hear("payment", facts...)
	log.Reset()
	b.r.tell(t.Context(), []string{"payment"})
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "published again") {
		t.Error(got)
	}
}
