package relay

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// left begins a transaction on a connection of its own that writes, and says a fact if there is one.
func (b *bench) left(t *testing.T, database string, said ...event.Fact) pgx.Tx {
	t.Helper()
	cfg := b.DB.Config().ConnConfig.Copy()
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = "0" // ours would end it after 15 s
	if database != "" {
		cfg.Database = database
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	tx, err := conn.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), `SELECT pg_current_xact_id()`)
	}
	if err == nil && len(said) > 0 {
		err = outbox.Append(t.Context(), tx, said...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// Transactions that were forgotten here and elsewhere, and prepared ones, hold up nothing but what they said themselves, also
// over a change of the reader, which repeats nothing.
func TestForgottenTransactionsHoldUpOnlyTheirOwnFacts(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.NewOn(t, testkit.Private(t)))
	r := b.relay(t, Polling)
	stop := startLeading(t, r)
	own, prepared := facts(3), facts(page+3) // more than a page of one that ends late
	here, elsewhere, twoPhase := b.left(t, "", own...), b.left(t, "postgres"), b.left(t, "", prepared...)
	if _, err := twoPhase.Exec(t.Context(), `PREPARE TRANSACTION 'forgotten'`); err != nil {
		t.Fatal(err)
	}
	var said []event.Fact
	for range 3 {
		after := facts(20)
		b.say(t, after...)
		b.heard.wait(t, after...)
		said = append(said, after...)
		b.rest(t, r) // what was not confirmed when a reader was stopped is published again by the next
		stop()
		r = b.relay(t, Polling)
		stop = startLeading(t, r)
		b.rest(t, r)
	}
	b.heardNone(t, append(own, prepared...))
	if err := here.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.heard.wait(t, own...)
	b.exec(t, `COMMIT PREPARED 'forgotten'`)
	b.heard.wait(t, prepared...)
	if err := elsewhere.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.rest(t, r)
	stop()
	r = b.relay(t, Polling)
	startLeading(t, r)
	testkit.Eventually(t, patience, func() error {
		h, err := r.horizon(t.Context())
		if err == nil && (len(h.published.open) > 0 || h.mark < h.published.xmax) {
			err = fmt.Errorf("the mark is %d, what is published %s", h.mark, h.published)
		}
		return err
	})
	for _, f := range append(append(said, own...), prepared...) {
		if n := b.heard.times(f); n != 1 {
			t.Fatalf("a fact was published %d times", n)
		}
	}
}

func TestExtent(t *testing.T) {
	t.Parallel()
	parse := func(text string) extent {
		e, err := parseExtent(text)
		if err != nil || e.String() != text {
			t.Fatalf("%s is read as %s: %v", text, e, err)
		}
		return e
	}
	before, now := parse("10:20:10,12,15"), parse("12:30:12,21")
	if got := fmt.Sprint(before.until(now)); got != fmt.Sprint(span{left: []uint64{10, 15}, from: 20, below: 30, open: []uint64{12, 21}}) {
		t.Errorf("between them is %s", got)
	}
	for below, want := range map[uint64]string{
		0: "10:20:10,12,15", 10: "10:20:10,12,15", 15: "12:20:12,15", 20: "12:20:12", 25: "12:25:12,21", 30: "12:30:12,21",
	} {
		if got := before.towards(now, below).String(); got != want {
			t.Errorf("with all below %d it is %s, want %s", below, got, want)
		}
	}
	for mark, want := range map[uint64]string{5: "10:20:10,12,15", 12: "12:20:12,15", 20: "20:20:", 25: "25:25:"} {
		if got := before.and(mark).String(); got != want {
			t.Errorf("with the mark %d it is %s, want %s", mark, got, want)
		}
	}
}
