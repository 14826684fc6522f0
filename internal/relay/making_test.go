package relay

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// While a transaction of another database keeps the slot from being made, facts go out by polling, also by whoever comes after the one
// that was making it. The slot is made once that has ended, and next to nothing is repeated.
func TestFactsGoOutWhileTheSlotIsMade(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.NewOn(t, testkit.Private(t)))
	open := b.left(t, "postgres")
	first, second := b.relay(t, CDC), b.relay(t, CDC)
	stop := startLeading(t, first)
	start(t, second.Run)
	var said []event.Fact
	say := func() {
		for range 3 {
			now := facts(20)
			b.say(t, now...)
			b.heard.wait(t, now...)
			said = append(said, now...)
		}
	}
	say()
	if second.leading.Load() || !first.leading.Load() {
		t.Error("not the one who makes the slot publishes")
	}
	stop()
	testkit.Eventually(t, patience, second.leading.Load)
	say()
	if h, err := second.horizon(t.Context()); err != nil || h.slot != "" {
		t.Fatalf("the slot %q carries on though a transaction is open: %v", h.slot, err)
	}
	w := startWriter(t, b)
	w.progress(t)
	if err := open.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.carriesOnFromTheMark(t, second)
	w.progress(t)
	w.stop()
	b.heard.wait(t, w.said()...)
	b.rest(t, second)
	for _, f := range said {
		if n := b.heard.times(f); n != 1 {
			t.Fatalf("a fact from before the slot was published %d times", n)
		}
	}
	all := len(w.said())
	if again := b.heard.all() - len(said) - all; again > all/2 {
		t.Errorf("of %d facts about the change %d were repeated", all, again)
	}
}

// The process that makes the slot is killed while that waits, and so is the one that begins it anew: Postgres gives the slot up although it
// waits and nobody talks to it, and the next one polls, until the slot is made.
func TestWhoMakesTheSlotIsKilled(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.NewOn(t, testkit.Private(t)))
	open := b.left(t, "postgres")
	var said []event.Fact
	say := func() {
		now := facts(20)
		b.say(t, now...)
		b.heard.wait(t, now...)
		said = append(said, now...)
	}
	for range 2 { // beside nobody, and after it was started again
		first := startInstance(t, b, CDC)
		b.maker(t)
		say()
		first.signal(t, syscall.SIGKILL)
	}
	third := b.relay(t, CDC)
	startLeading(t, third)
	b.maker(t)
	say()
	if err := open.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.carriesOnFromTheMark(t, third)
	say()
	b.heard.wait(t, said...)
	b.rest(t, third)
}

// maker waits until one process of Postgres, and only one, waits to make the slot.
func (b *bench) maker(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, patience, func() (err error) {
		var makers int
		err = b.DB.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_create_logical_replication_slot(''%' AND wait_event_type = 'Lock'`).
			Scan(&makers)
		if err == nil && makers != 1 {
			err = fmt.Errorf("%d make the slot", makers)
		}
		return err
	})
}

// carriesOnFromTheMark waits until an instance reads its slot.
func (b *bench) carriesOnFromTheMark(t *testing.T, r *Relay) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		h, err := r.horizon(t.Context())
		if err == nil && (h.slot != r.slot || !r.leading.Load()) {
			err = errors.New("the slot is not read")
		}
		return err
	})
}

// A transaction that is forgotten while the log is read holds up nothing but its own facts: what is said after it counts as published
// where rows are counted, dropped and published again, and goes out once over a change of the reader, and of the mode.
func TestAForgottenTransactionDoesNotHoldWhatIsReadFromTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.NewOn(t, testkit.Private(t)))
	first := b.relay(t, CDC)
	stop := startLeading(t, first)
	b.carriesOnFromTheMark(t, first)
	own := facts(3)
	open := b.left(t, "", own...)
	var said []event.Fact
	for _, mode := range []Mode{CDC, Polling} {
		now := facts(50)
		b.say(t, now...)
		said = append(said, now...)
		b.heard.wait(t, said...)
		b.rest(t, first) // though the mark cannot move
		stop()
		first = b.relay(t, mode)
		stop = startLeading(t, first)
	}
	if h, err := first.horizon(t.Context()); err != nil || len(h.published.open) == 0 || h.mark > h.published.open[0] {
		t.Fatalf("the mark is %d, beyond what is open: %s, %v", h.mark, h.published, err)
	}
	if err := open.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.heard.wait(t, own...)
	b.rest(t, first)
	for _, f := range append(said, own...) {
		if n := b.heard.times(f); n != 1 {
			t.Fatalf("a fact was published %d times", n)
		}
	}
}
