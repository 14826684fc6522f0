package outbox_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func say(t *testing.T, env *testkit.Env, facts ...event.Fact) {
	t.Helper()
	err := env.DB.InTx(t.Context(), func(tx pgx.Tx) error { return outbox.Append(t.Context(), tx, facts...) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestARowIsTheFinishedEvent(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	first := event.New(event.OrderCreated, "optimistic", uuid.New(), event.Order{Customer: "alice", Lines: []event.OrderLine{{ProductID: uuid.New(), Quantity: 3}}})
	first.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	facts := []event.Fact{first, first.Answer(event.StockReserved, event.OrderStock{}), event.New(event.StockAdjusted, event.Shop, uuid.Nil, event.Stock{})}
	say(t, env, facts...)
	rows, err := env.DB.Query(t.Context(), `SELECT body FROM shared.outbox ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	read, err := event.Split(event.Batch(bodies))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(facts, read); diff != "" {
		t.Fatal(diff)
	}
}

// partitions lists those of a table.
func partitions(t *testing.T, env *testkit.Env, table string) []string {
	t.Helper()
	rows, err := env.DB.Query(t.Context(), `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = $1::text::regclass ORDER BY 1`, table)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestPartitionsGoOnceTheyArePublished(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	say(t, env, event.New(event.StockAdjusted, event.Shop, uuid.Nil, event.Stock{}))
	if _, err := env.DB.Exec(t.Context(), `UPDATE shared.outbox SET at = date_trunc('day', now()) - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	before := partitions(t, env, "shared.outbox")
	keep := func() []string {
		testkit.Eventually(t, time.Minute, func() error { // a vacuum may be in the way
			left, err := outbox.KeepPartitions(t.Context(), env.DB, outbox.Keep{Outbox: time.Nanosecond, Inbox: 7 * 24 * time.Hour})
			return errors.Join(append(left, err)...)
		})
		return partitions(t, env, "shared.outbox")
	}
	// The mark is 0: nothing is published, so the partition with the row stays; empty ones of the past may go.
	var rows int
	keep()
	if err := env.DB.QueryRow(t.Context(), `SELECT count(*) FROM shared.outbox`).Scan(&rows); err != nil || rows != 1 {
		t.Fatalf("an unpublished fact was dropped: %d rows, %v", rows, err)
	}
	// Polling has published what came after it, which an open transaction has held up; then this, too, and the mark lags.
	snapshot := func(list string) {
		t.Helper()
		if _, err := env.DB.Exec(t.Context(), `
			UPDATE shared.relay_mark SET snapshot = (xid::text || ':' || (xid::text::bigint + 9) || ':' || `+list+`)::pg_snapshot FROM shared.outbox`); err != nil {
			t.Fatal(err)
		}
	}
	snapshot(`xid::text`)
	keep()
	if err := env.DB.QueryRow(t.Context(), `SELECT count(*) FROM shared.outbox`).Scan(&rows); err != nil || rows != 1 {
		t.Fatalf("a fact that was held up was dropped: %d rows, %v", rows, err)
	}
	snapshot(`''`)
	after := keep()
	if err := env.DB.QueryRow(t.Context(), `SELECT count(*) FROM shared.outbox`).Scan(&rows); err != nil || rows != 0 {
		t.Fatalf("the published fact is kept beyond the retention: %d rows, %v", rows, err)
	}
	if len(after) >= len(before) || len(partitions(t, env, "shared.inbox")) == 0 {
		t.Fatalf("partitions: %v", after)
	}
}

// Also one of days ago that lies above the oldest: facts of its time wait for it.
func TestPartitionsThatWereDroppedByHandAreMadeAgain(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := env.DB.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	keep := func() {
		t.Helper()
		if left, err := outbox.KeepPartitions(t.Context(), env.DB, outbox.Keep{Outbox: 24 * time.Hour, Inbox: 7 * 24 * time.Hour}); err != nil || len(left) > 0 {
			t.Fatal(left, err)
		}
	}
	day := time.Now().UTC().Truncate(24 * time.Hour).Add(-4 * 24 * time.Hour)
	exec(fmt.Sprintf(`CREATE TABLE shared.inbox_%s PARTITION OF shared.inbox FOR VALUES FROM ('%012x00000000000000000000') TO ('%012x00000000000000000000')`,
		day.Format("20060102"), day.UnixMilli(), day.Add(24*time.Hour).UnixMilli()))
	keep()
	names := partitions(t, env, "shared.inbox")
	if len(names) < 8 {
		t.Fatalf("there are %q", names)
	}
	for _, gone := range []string{names[1], names[len(names)-1]} {
		exec(`DROP TABLE shared.` + pgx.Identifier{gone}.Sanitize())
	}
	keep()
	if diff := cmp.Diff(names, partitions(t, env, "shared.inbox")); diff != "" {
		t.Fatal(diff)
	}
}
