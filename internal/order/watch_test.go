package order_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// watching runs a service's part that looks at watched orders, until the test ends.
func watching(t *testing.T, s *order.Service) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestWaitersAreWokenByTheEnd(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	s := newService(t, env, shop{}, time.Hour)
	watching(t, s)
	id := place(t, s, "k")
	woken := make(chan order.View)
	go func() {
		view, err := s.Await(t.Context(), "alice", id, time.Minute)
		if err != nil {
			t.Error(err)
		}
		woken <- view
	}()
	watch := s.Watch(id)
	defer watch.Stop()
	for i, name := range []event.Name{event.StockReserved, event.PaymentProcessed} {
		if err := s.Advance(t.Context(), []event.Fact{event.New(name, "optimistic", id, event.Payment{})}); err != nil {
			t.Fatal(err)
		}
		feedView(t, env, s)
		for view := range watch.News { // the first version is news too
			if view.Version == int64(i)+2 {
				break
			}
		}
	}
	if view := <-woken; view.Status != order.Completed || view.DisplayStatus != "COMPLETED" || view.EndedAt == nil {
		t.Fatalf("woken to %+v", view)
	}
	if view, err := s.Await(t.Context(), "alice", id, time.Minute); err != nil || view.Status != order.Completed {
		t.Fatalf("%+v, %v", view, err)
	}
	if _, err := s.Await(t.Context(), "bob", id, time.Minute); !fault.Is(err, fault.NotFound) {
		t.Fatalf("another's order: %v", err)
	}
}

// Thousands of requests wait on two instances, while a third keeps the view: each asks for its order once, at its beginning, and all
// the rest is a few queries of each instance, on the few connections that it has.
func TestThousandsWait(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	waiters := testkit.Size(1500, 4000) // of each instance
	ids := showMany(t, env, waiters)
	const conns = 4
	type answer struct {
		view order.View
		err  error
	}
	answers := make(chan answer, 2*waiters)
	var pools []*postgres.DB
	for range 2 {
		db, err := postgres.Open(t.Context(), env.PostgresURL, postgres.Options{MaxConns: conns})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		s := order.New(db, order.Ports{}, order.Limits{}, env.Log)
		watching(t, s)
		for _, id := range ids {
			go func() {
				view, err := s.Await(t.Context(), "alice", id, time.Minute)
				answers <- answer{view, err}
			}()
		}
		pools = append(pools, db)
	}
	testkit.Eventually(t, 3*time.Minute, func() error {
		for _, db := range pools {
			if n := db.Stat().AcquireCount() - int64(db.Stat().AcquiredConns()); n < int64(waiters) {
				return fmt.Errorf("%d have asked for their orders", n)
			}
		}
		return nil
	})
	end := `UPDATE orders.view SET version = 2, status = 'COMPLETED', display_status = 'COMPLETED', ended_at = now()`
	if _, err := env.DB.Exec(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	told := make(map[uuid.UUID]int, waiters)
	var wrong error
	for range 2 * waiters {
		a := <-answers
		told[a.view.ID]++
		if a.err != nil || a.view.Status != order.Completed {
			wrong = errors.Join(a.err, fmt.Errorf("told of %s", a.view.Status))
		}
	}
	if wrong != nil || len(told) != waiters {
		t.Fatalf("%d orders were told of, the last wrong one: %v", len(told), wrong)
	}
	for _, db := range pools {
		stat := db.Stat()
		if asked := stat.AcquireCount(); asked > int64(waiters+waiters/4) || stat.MaxConns() != conns {
			t.Errorf("%d waiters took %d queries, on up to %d connections", waiters, asked, stat.MaxConns())
		}
	}
}

// showMany enters orders of alice's into the read model, and nowhere else.
func showMany(t *testing.T, env *testkit.Env, n int) []uuid.UUID {
	t.Helper()
	rows, err := env.DB.Query(t.Context(), `
		INSERT INTO orders.view (id, customer, strategy, version, status, payment_status, inventory_status, display_status, lines,
			total_minor, currency, created_at)
		SELECT gen_random_uuid(), 'alice', 'optimistic', 1, 'CREATED', 'NOT_STARTED', 'NOT_STARTED', 'PROCESSING', '[]', 1, 'GBP', now()
		FROM generate_series(1, $1) RETURNING id`, n)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		t.Fatal(err)
	}
	return ids
}
