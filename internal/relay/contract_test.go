package relay

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// contract is what both modes promise.
var contract = map[string]func(*testing.T, *bench, Mode){
	"order":           keepsOrder,
	"late commit":     findsLateCommits,
	"rollback":        leavesOutRollbacks,
	"many writers":    losesNothingOfManyWriters,
	"restarts":        losesNothingOverRestarts,
	"large":           carriesLargeTransactions,
	"poison":          letsNothingStandInTheWay,
	"take-over":       isTakenOver,
	"other mode":      carriesOnFromTheOtherMode,
	"switch and back": losesNothingOverSwitches,
}

func TestContract(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{CDC, Polling} {
		for name, holds := range contract {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				t.Parallel()
				holds(t, newBench(t, testkit.New(t)), mode)
			})
		}
	}
}

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
	if diff := cmp.Diff(ids(all), b.heard.all()); diff != "" {
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
	if mode == CDC { // polling keeps to the order of transactions, and so waits for the first
		b.heard.wait(t, early)
	}
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
	b.DB.OnCommit = r.Ring
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

func losesNothingOverRestarts(t *testing.T, b *bench, mode Mode) {
	all := facts(600)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, f := range all {
			if err := b.trySay(t.Context(), f); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 3 {
		stop := startLeading(t, b.relay(t, mode))
		testkit.Eventually(t, patience, func() bool { return len(b.heard.all()) > 0 })
		stop()
	}
	<-done
	r := b.relay(t, mode)
	startLeading(t, r)
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
	if got := b.heard.all(); len(got) != len(all) {
		t.Errorf("%d facts published, want %d", len(got), len(all))
	}
	b.rest(t, r)
}

// Rows that are no events, or larger than any broker takes, hurt themselves alone.
func letsNothingStandInTheWay(t *testing.T, b *bench, mode Mode) {
	all := facts(20)
	b.say(t, all[:10]...)
	insert := `INSERT INTO shared.outbox (id, name, strategy, body) VALUES (gen_random_uuid(), $1, 'optimistic', $2)`
	for _, bad := range []struct {
		name string
		body []byte
	}{
		{string(event.OrderCreated), []byte("no JSON")},
		{string(event.OrderCreated), []byte{0xff, 0x00, ']'}},
		{"no.such.fact", []byte("{}")},
		{string(event.OrderCreated), bytes.Repeat([]byte("x"), 10<<20)},
		{string(event.OrderCreated), bytes.Repeat([]byte("y"), 16<<20)},
		{strings.Repeat("z", 300), []byte("{}")},
	} {
		if _, err := b.DB.Exec(t.Context(), insert, bad.name, bad.body); err != nil {
			t.Fatal(err)
		}
	}
	b.say(t, all[10:]...)
	r := b.relay(t, mode)
	startLeading(t, r)
	b.heard.wait(t, all...)
	b.rest(t, r)
	var put []int
	for _, d := range b.put.letters() {
		put = append(put, len(d.Body))
	}
	if diff := cmp.Diff([]int{16 << 20, 2}, put); diff != "" {
		t.Errorf("sizes of what was put aside (-want +got):\n%s", diff)
	}
}

// One reads, the other stands by and takes over.
func isTakenOver(t *testing.T, b *bench, mode Mode) {
	first, second := b.relay(t, mode), b.relay(t, mode)
	stop := startLeading(t, first)
	start(t, second.Run)
	before, after := facts(10), facts(10)
	b.say(t, before...)
	b.heard.wait(t, before...)
	if second.leading.Load() {
		t.Error("two instances read at once")
	}
	stop()
	b.say(t, after...)
	b.heard.wait(t, after...)
	if first.leading.Load() || !second.leading.Load() {
		t.Error("the second instance does not read")
	}
}

func other(mode Mode) Mode {
	if mode == CDC {
		return Polling
	}
	return CDC
}

// What the other mode left unpublished is published, and no slot stays behind that would keep the log.
func carriesOnFromTheOtherMode(t *testing.T, b *bench, mode Mode) {
	published, waiting := facts(20), facts(20)
	stop := startLeading(t, b.relay(t, other(mode)))
	b.say(t, published...)
	b.heard.wait(t, published...)
	stop()
	b.say(t, waiting...)
	r := b.relay(t, mode)
	startLeading(t, r)
	b.heard.wait(t, waiting...)
	b.rest(t, r)
	slot, err := r.inspectSlot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if slot.there != (mode == CDC) {
		t.Errorf("slot is there: %v", slot.there)
	}
}

// The mode changes again and again, both run for a while, and facts are said all the time.
func losesNothingOverSwitches(t *testing.T, b *bench, mode Mode) {
	all := facts(400)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, f := range all {
			if err := b.trySay(t.Context(), f); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	stop := startLeading(t, b.relay(t, mode))
	for range 2 {
		mode = other(mode)
		next := b.relay(t, mode)
		running := start(t, next.Run)
		stop()
		testkit.Eventually(t, patience, next.leading.Load)
		stop = running
	}
	<-done
	b.heard.wait(t, all...)
}
