package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	dto "github.com/prometheus/client_model/go"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Transactions that follow one another are published in that order, and the mark passes them.
func keepsOrder(t *testing.T, b *bench, mode Mode) {
	r := b.relay(t, mode)
	startLeading(t, r)
	all := facts(300)
	for i := 0; i < len(all); i += 3 {
		b.say(t, all[i:i+3]...)
		r.Ring()
	}
	b.heard.wait(t, all...)
	if diff := cmp.Diff(ids(all), b.heard.order(all)); diff != "" {
		t.Errorf("order (-said +published):\n%s", diff)
	}
	b.rest(t, r)
}

// A transaction that began first and committed last is found, though others with higher ids are out already.
func findsLateCommits(t *testing.T, b *bench, mode Mode) {
	r := b.relay(t, mode)
	startLeading(t, r)
	late, early := fact(), fact()
	tx, err := b.DB.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if err := outbox.Append(t.Context(), tx, late); err != nil {
		t.Fatal(err)
	}
	b.say(t, early)
	r.Ring()
	b.heard.wait(t, early)
	if err := b.heard.has([]event.Fact{late}); err == nil {
		t.Fatal("published before its commit")
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Ring()
	b.heard.wait(t, late, early)
	b.rest(t, r)
}

func leavesOutRollbacks(t *testing.T, b *bench, mode Mode) {
	r := b.relay(t, mode)
	startLeading(t, r)
	before, never, after := fact(), fact(), fact()
	b.say(t, before)
	refused := errors.New("no")
	err := b.DB.InTx(t.Context(), func(tx pgx.Tx) error {
		return errors.Join(outbox.Append(t.Context(), tx, never), refused)
	})
	if !errors.Is(err, refused) {
		t.Fatal(err)
	}
	b.say(t, after)
	r.Ring()
	b.heard.wait(t, before, after)
	b.rest(t, r)
	if b.heard.has([]event.Fact{never}) == nil {
		t.Error("a fact of a transaction that was rolled back was published")
	}
}

// With a commit at every moment none is left lying until the poll interval.
func losesNothingOfManyWriters(t *testing.T, b *bench, mode Mode) {
	r := b.relay(t, mode)
	r.PollInterval = time.Hour
	b.rung(t, r)
	startLeading(t, r)
	all := facts(800)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < len(all); i += 8 {
				if err := b.trySay(t.Context(), all[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.heard.wait(t, all...)
	b.rest(t, r)
}

// A transaction of many rows goes out whole.
func carriesLargeTransactions(t *testing.T, b *bench, mode Mode) {
	r := b.relay(t, mode)
	startLeading(t, r)
	all := facts(5000)
	err := b.DB.InTx(t.Context(), func(tx pgx.Tx) error {
		for part := range slices.Chunk(all, 1000) {
			if err := outbox.Append(t.Context(), tx, part...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Ring()
	b.heard.wait(t, all...)
	b.rest(t, r)
}

// What has gathered while nobody read is published, in the order in which it was said.
func catchesUp(t *testing.T, b *bench, mode Mode) {
	all := facts(beltRows + 1000)
	for part := range slices.Chunk(all, 500) {
		b.say(t, part...)
	}
	r := b.relay(t, mode)
	startLeading(t, r)
	b.heard.wait(t, all...)
	if diff := cmp.Diff(ids(all), b.heard.order(all)); diff != "" {
		t.Error("not in order")
	}
	b.rest(t, r)
}

// Who is stopped among very many rows has noted how far they are out, also where no slot has them: the next one does not begin
// again.
func goesOnInABacklog(t *testing.T, b *bench, mode Mode) {
	all := facts(3000)
	for part := range slices.Chunk(all, page) {
		b.say(t, part...)
	}
	b.exec(t, `INSERT INTO shared.outbox (id, name, strategy, body) VALUES (gen_random_uuid(), repeat('z', 300), 'optimistic', '{}')`)
	first := b.relay(t, mode)
	if err := first.dropSlot(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.Quarantine = func(ctx context.Context, _ []broker.DeadLetter) error { // what cannot be published holds up what follows
		<-ctx.Done()
		return ctx.Err()
	}
	stop := startLeading(t, first)
	testkit.Eventually(t, patience, func() error {
		var m dto.Metric
		err := first.m.facts.Write(&m)
		if n := m.GetCounter().GetValue(); err == nil && n < 3*page {
			err = fmt.Errorf("%v facts are out", n)
		}
		return err
	})
	stop()
	r := b.relay(t, mode)
	startLeading(t, r)
	b.heard.wait(t, all...)
	b.rest(t, r)
	for _, f := range all[:page] {
		if n := b.heard.times(f); n != 1 {
			t.Fatalf("a fact of the first transaction was published %d times", n)
		}
	}
}

// A poller writes its mark less often while facts flow: what it has carried since is written when it stops.
func TestPollerThatStopsNotesHowFarItIs(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	r := b.relay(t, Polling)
	term, err := r.Lease.Seize(t.Context(), leaseName)
	if err != nil {
		t.Fatal(err)
	}
	const carried = 4000000000
	p := &poller{Relay: r, belt: newBelt(r), term: term, out: extent{xmax: carried}, notedAt: time.Now()}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := p.run(stopped); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	h, err := r.horizon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if h.mark != carried {
		t.Errorf("the mark is %d, want %d", h.mark, uint64(carried))
	}
}
