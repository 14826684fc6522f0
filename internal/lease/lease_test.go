package lease_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	ttl      = 2 * time.Second
	patience = 30 * time.Second
)

// start contends for a lease until the test ends or stop is called, and waits for its end.
func start(t *testing.T, l *lease.Lease, work func(context.Context, lease.Term) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := l.Run(ctx, "work", work); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// untilOver works until its term is over, and tells of its terms.
func untilOver(terms chan<- lease.Term) func(context.Context, lease.Term) error {
	return func(ctx context.Context, term lease.Term) error {
		terms <- term
		<-ctx.Done()
		return ctx.Err()
	}
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	var working, most atomic.Int32
	terms := make(chan lease.Term, 100)
	work := func(ctx context.Context, term lease.Term) error {
		most.Store(max(most.Load(), working.Add(1)))
		defer working.Add(-1)
		return untilOver(terms)(ctx, term)
	}
	stops := map[string]func(){}
	for _, holder := range []string{"a", "b", "c"} {
		stops[holder] = start(t, lease.New(env.DB, env.Log, holder, ttl), work)
	}
	var last int64
	for range 3 { // each leaves in turn, and the next one follows before the time has run out
		term := <-terms
		if term.Number <= last {
			t.Errorf("term %d follows term %d", term.Number, last)
		}
		last = term.Number
		stops[term.Holder]()
	}
	if most.Load() != 1 {
		t.Errorf("%d worked at once", most.Load())
	}
}

func TestWorkThatReturnsIsDoneAgain(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	var runs atomic.Int32
	start(t, lease.New(env.DB, env.Log, "a", ttl), func(context.Context, lease.Term) error {
		if runs.Add(1) == 1 {
			panic("boom")
		}
		return errors.New("failed")
	})
	testkit.Eventually(t, patience, func() bool { return runs.Load() >= 3 })
}

// Whoever loses the lease without noticing is stopped, and what it still writes is refused.
func TestLostLease(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	terms, over := make(chan lease.Term, 10), make(chan struct{}, 10)
	start(t, lease.New(env.DB, env.Log, "a", ttl), func(ctx context.Context, term lease.Term) error {
		terms <- term
		<-ctx.Done()
		over <- struct{}{}
		return ctx.Err()
	})
	term := <-terms
	fenced := func(term lease.Term) error {
		return env.DB.InTx(t.Context(), func(tx pgx.Tx) error { return lease.Fence(t.Context(), tx, term) })
	}
	if err := fenced(term); err != nil {
		t.Fatalf("fence of the holder: %v", err)
	}
	_, err := env.DB.Exec(t.Context(), `UPDATE shared.leases SET holder = 'b', term = term + 1, expires_at = now() + interval '1 second'`)
	if err != nil {
		t.Fatal(err)
	}
	if err := fenced(term); !errors.Is(err, lease.ErrOver) {
		t.Errorf("fence of a term that is over: %v, want ErrOver", err)
	}
	select {
	case <-over:
	case <-time.After(patience):
		t.Fatal("the work goes on")
	}
	if next := <-terms; next.Number != term.Number+2 {
		t.Errorf("next term is %d after %d and another's", next.Number, term.Number)
	}
}

// A fenced transaction holds off the next leader until it has ended.
func TestFenceHoldsOffTheNextTerm(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	terms := make(chan lease.Term, 10)
	stop := start(t, lease.New(env.DB, env.Log, "a", ttl), untilOver(terms))
	term := <-terms
	tx, err := env.DB.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if err := lease.Fence(t.Context(), tx, term); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := env.DB.Exec(t.Context(), `SET lock_timeout = '100ms'; UPDATE shared.leases SET term = term + 1`); err == nil {
		t.Error("the term ended under a fenced transaction")
	}
	start(t, lease.New(env.DB, env.Log, "b", ttl), untilOver(terms))
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if next := <-terms; next.Holder != "b" || next.Number != term.Number+1 {
		t.Errorf("next term: %+v", next)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	terms := make(chan lease.Term, 10)
	stop := start(t, lease.New(env.DB, env.Log, "a", ttl), untilOver(terms))
	<-terms
	for _, live := range []bool{true, false} {
		held, err := lease.List(t.Context(), env.DB)
		if err != nil {
			t.Fatal(err)
		}
		if len(held) != 1 || held[0].Name != "work" || held[0].Holder != "a" || held[0].Term != 1 || held[0].Live != live {
			t.Errorf("leases: %+v, want one of a, live: %v", held, live)
		}
		stop()
	}
}

// A leader that was frozen wakes up after another has taken over: in whatever way it writes, nothing is changed.
func TestZombieWritesNothing(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	exec := func(sql string) {
		if _, err := env.DB.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE written (by text)`)
	under := make(chan context.Context, 10)
	stop := start(t, lease.New(env.DB, env.Log, "a", ttl), func(ctx context.Context, _ lease.Term) error {
		under <- context.WithoutCancel(ctx) // as if it had not noticed yet
		<-ctx.Done()
		return ctx.Err()
	})
	leading := <-under
	write := map[string]func() error{
		"statement": func() error { _, err := env.DB.Exec(leading, `INSERT INTO written VALUES ('a')`); return err },
		"transaction": func() error {
			return env.DB.InTx(leading, func(tx pgx.Tx) error {
				_, err := tx.Exec(leading, `INSERT INTO written VALUES ('a')`)
				return err
			})
		},
	}
	for name, write := range write {
		if err := write(); err != nil {
			t.Errorf("%s of a leader: %v", name, err)
		}
	}
	exec(`UPDATE shared.leases SET holder = 'b', term = term + 1, expires_at = now() + interval '1 hour'`)
	for name, write := range write {
		if err := write(); !lease.Over(err) {
			t.Errorf("%s of a zombie: %v", name, err)
		}
	}
	stop()
	var rows int
	if err := env.DB.QueryRow(t.Context(), `SELECT count(*) FROM written`).Scan(&rows); err != nil || rows != 2 {
		t.Errorf("%d rows, want the 2 of the leader: %v", rows, err)
	}
}

// Who seizes a lease ends the term of its holder, and keeps it by renewing it, also under a fenced transaction.
func TestSeize(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	a, b := lease.New(env.DB, env.Log, "a", ttl), lease.New(env.DB, env.Log, "b", ttl)
	first, err := a.Seize(t.Context(), "work")
	if err != nil {
		t.Fatal(err)
	}
	err = lease.InTx(t.Context(), env.DB, first, func(pgx.Tx) error { return a.Renew(t.Context(), first) })
	if err != nil {
		t.Errorf("renewal under a fence: %v", err)
	}
	second, err := b.Seize(t.Context(), "work")
	if err != nil || second.Number != first.Number+1 {
		t.Fatalf("term %+v after %+v: %v", second, first, err)
	}
	if err := a.Renew(t.Context(), first); !lease.Over(err) {
		t.Errorf("renewed a term that is over: %v", err)
	}
	if err := lease.InTx(t.Context(), env.DB, first, func(pgx.Tx) error { return nil }); !lease.Over(err) {
		t.Errorf("wrote in a term that is over: %v", err)
	}
	b.GiveBack(t.Context(), second)
	terms := make(chan lease.Term, 10)
	start(t, a, untilOver(terms))
	if next := <-terms; next.Number != second.Number+1 {
		t.Errorf("next term: %+v", next)
	}
}
