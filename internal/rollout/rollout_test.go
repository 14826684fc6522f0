package rollout_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/deadletter"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/rollout"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// place is a module's queue and two versions of the program: the module of one has a row for a fact, that of the other has none.
type place struct {
	*testing.T
	env          *testkit.Env
	cfg          broker.Config
	publisher    *broker.Publisher
	letters      *deadletter.Letters
	older, newer *rollout.Rollout
}

const key = "next.order.weighed"

func newPlace(t *testing.T, patience time.Duration) *place {
	t.Helper()
	p := &place{T: t, env: testkit.New(t)}
	p.cfg = broker.Config{URL: p.env.RabbitURL, Log: p.env.Log, Topology: broker.Topology{
		Namespace: p.env.Namespace, Queues: map[string][]string{"order": {"optimistic.order.created"}},
	}}
	p.publisher = broker.NewPublisher(p.cfg)
	p.run(p.publisher.Run)
	p.letters = deadletter.New(p.env.DB, p.publisher, p.cfg.Topology, p.env.Log, nil)
	at := func(keys ...string) *rollout.Rollout {
		o := rollout.Options{
			DB: p.env.DB, Publisher: p.publisher, Topology: p.cfg.Topology, Patience: patience, Log: p.env.Log, Bury: p.letters.Keep,
			Rows: []rollout.Row{{Module: "order", Key: "optimistic.order.created"}},
		}
		o.Topology.Queues = map[string][]string{"order": append([]string{"optimistic.order.created"}, keys...)}
		for _, k := range keys {
			o.Rows = append(o.Rows, rollout.Row{Module: "order", Key: k, Version: 2})
		}
		return rollout.New(o)
	}
	p.older, p.newer = at(), at(key)
	testkit.Eventually(t, 20*time.Second, p.publisher.Ready)
	return p
}

// run runs something until the answer is called, or until the test ends.
func (p *place) run(work func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.Context()))
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	ended := false
	stop = func() {
		if cancel(); !ended {
			ended = true
			if err := <-done; err != nil {
				p.Error(err)
			}
		}
	}
	p.Cleanup(stop)
	return stop
}

// consumer hears the queue as the version that knows these facts does, and writes its inbox.
func (p *place) consumer(r *rollout.Rollout, knows func(event.Fact) bool) (stop func()) {
	return p.run(broker.NewConsumer(p.cfg, p.publisher, broker.Subscription{
		Module: "order", Knows: knows, PutBy: r.Put,
		Handle: func(ctx context.Context, facts []event.Fact) error {
			for _, f := range facts {
				if !knows(f) {
					return fmt.Errorf("was handed %s, which it does not know", f.Row())
				}
			}
			return p.env.DB.InTx(ctx, func(tx pgx.Tx) error {
				_, err := inbox.Fresh(ctx, tx, "order", facts)
				return err
			})
		},
	}).Run)
}

func (p *place) publish(facts ...event.Fact) {
	p.Helper()
	for _, f := range facts {
		err := p.publisher.Publish(p.Context(), broker.Message{ID: f.ID.String(), Key: p.cfg.Topology.Queue("order"), ContentType: event.ContentType, Body: event.Encode(f)})
		if err != nil {
			p.Fatal(err)
		}
	}
}

func (p *place) eventually(what string, want int, query string, args ...any) {
	p.Helper()
	testkit.Eventually(p, time.Minute, func() error {
		var n int
		err := p.env.DB.QueryRow(p.Context(), query, args...).Scan(&n)
		if err == nil && n != want {
			err = fmt.Errorf("%d %s, want %d", n, what, want)
		}
		return err
	})
}

func weighed(version int) event.Fact {
	f := event.New("order.weighed", "next", uuid.Must(uuid.NewV7()), map[string]int{"grams": 250})
	f.Version = version
	return f
}

func onlyOld(f event.Fact) bool { return f.Row() == "optimistic.order.created" && f.Version == 0 }
func all(f event.Fact) bool     { return f.Version <= 2 }

// What an older version is handed and has no row for waits, with others passing it, and goes to its module once a version is there
// that knows row and shape: though the older one goes on taking from the same queue.
func TestAFactWaitsForAVersionThatKnowsIt(t *testing.T) {
	t.Parallel()
	p := newPlace(t, time.Hour)
	p.consumer(p.older, onlyOld)
	p.run(p.older.Run)
	created := event.New(event.OrderCreated, "optimistic", uuid.Must(uuid.NewV7()), event.Order{Customer: "ada"})
	newShape := created
	newShape.ID, newShape.Version = uuid.Must(uuid.NewV7()), 3 // of a row that both have, and a shape that neither reads
	p.publish(weighed(0), weighed(2), newShape, created, weighed(1))
	p.eventually("facts wait", 4, `SELECT count(*) FROM shared.waiting_facts`)
	p.eventually("facts heard", 1, `SELECT count(*) FROM shared.inbox`)
	list, err := p.older.Status(t.Context())
	if err != nil || len(list) != 2 || list[0].Key != key || list[0].Facts != 3 || list[1].Facts != 1 || list[0].Since.IsZero() {
		t.Errorf("status %+v, %v", list, err)
	}
	p.run(p.newer.Run)
	p.consumer(p.newer, all)
	p.eventually("facts heard", 4, `SELECT count(*) FROM shared.inbox`)
	p.eventually("facts wait", 1, `SELECT count(*) FROM shared.waiting_facts`)
	p.eventually("facts of a shape that nobody reads wait", 1, `SELECT count(*) FROM shared.waiting_facts WHERE version = 3 AND NOT sent`)
	p.eventually("dead letters", 0, `SELECT count(*) FROM shared.dead_letters`)
}

// What nobody comes for becomes a dead letter that names its order, and one that was handled elsewhere meanwhile is forgotten.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	p := newPlace(t, time.Hour)
	left, handled := weighed(0), weighed(0)
	for _, f := range []event.Fact{left, handled, weighed(0)} {
		if err := p.older.Put(t.Context(), "order", []broker.Unknown{{Fact: f, Body: event.Encode(f)}, {Fact: f, Body: event.Encode(f)}}); err != nil {
			t.Fatal(err)
		}
	}
	err := p.env.DB.InTx(t.Context(), func(tx pgx.Tx) error {
		if _, err := inbox.Fresh(t.Context(), tx, "order", []event.Fact{handled}); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `UPDATE shared.waiting_facts SET since = now() - interval '2 hours' WHERE fact_id IN ($1, $2)`, left.ID, handled.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.run(p.older.Run)
	p.eventually("facts wait", 1, `SELECT count(*) FROM shared.waiting_facts`)
	p.eventually("dead letters", 1, `SELECT count(*) FROM shared.dead_letters`)
	p.eventually("letters of the order", 1, `
		SELECT count(*) FROM shared.dead_letters WHERE fact_id = $1 AND order_id = $2 AND reason = 'exhausted' AND last_error LIKE '%no instance had a row%'`, left.ID, left.OrderID)
}

// Postgres' clock is put back by 20 minutes. What waits for a version, or was handed on and lost, does not wait until its time has come
// again.
func TestWaitingFactsGoOnWhenTheClockWasPutBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t, time.Hour)
	for _, f := range []event.Fact{weighed(0), weighed(0)} {
		if err := p.older.Put(t.Context(), "order", []broker.Unknown{{Fact: f, Body: event.Encode(f)}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.env.DB.Exec(t.Context(), `UPDATE shared.waiting_facts SET due = now() + interval '20 min', since = now() + interval '20 min'`); err != nil {
		t.Fatal(err)
	}
	p.consumer(p.newer, all)
	p.run(p.newer.Run)
	p.eventually("facts handled", 2, `SELECT count(*) FROM shared.inbox`)
	p.eventually("facts wait", 0, `SELECT count(*) FROM shared.waiting_facts`)
}

// What a version binds is known to those who come after and before it, until the queue is made anew without.
func TestBindingsAreKnownToOtherVersions(t *testing.T) {
	t.Parallel()
	p := newPlace(t, time.Hour)
	for _, r := range []*rollout.Rollout{p.older, p.newer, p.newer} {
		if err := r.Record(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	foreign := func(r *rollout.Rollout) []string {
		t.Helper()
		keys, err := r.Foreign(t.Context(), "order")
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	if got := foreign(p.older); !slices.Equal(got, []string{key}) {
		t.Errorf("foreign to the older version: %v", got)
	}
	if got := foreign(p.newer); len(got) > 0 {
		t.Errorf("foreign to the newer version: %v", got)
	}
	if modules, known, err := p.older.Bound(t.Context(), key); err != nil || !known || !slices.Equal(modules, []string{"order"}) {
		t.Errorf("%s is bound to %v, known %t, %v", key, modules, known, err)
	}
	if _, known, err := p.older.Bound(t.Context(), "next.order.measured"); err != nil || known {
		t.Errorf("what no version binds is known: %v", err)
	}
	if err := p.older.Unbind(t.Context(), "order"); err != nil {
		t.Fatal(err)
	}
	if got := foreign(p.older); len(got) > 0 {
		t.Errorf("foreign to the older version after its queue was made anew: %v", got)
	}
}
