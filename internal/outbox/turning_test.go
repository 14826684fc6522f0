package outbox_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// ago is the name of the partition of so long ago.
func ago(layout string, d time.Duration) string { return time.Now().UTC().Add(-d).Format(layout) }

// reader opens a transaction that has read both tables and does nothing more, as a backup or a forgotten session does.
func reader(t *testing.T, env *testkit.Env) (end func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), env.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM shared.outbox; SELECT count(*) FROM shared.inbox`)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.Exec(t.Context(), `COMMIT`); err != nil {
			t.Error(err)
		}
	}
}

// writing writes to both tables until it is stopped, and fails if it has to wait for a lock for 50 ms.
func writing(t *testing.T, env *testkit.Env) (stop func() (written int)) {
	t.Helper()
	db, err := postgres.Open(t.Context(), env.PostgresURL, postgres.Options{MaxConns: 2, LockTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		n := 0
		defer func() { done <- n }()
		for ; ctx.Err() == nil; n++ {
			f := event.New(event.StockAdjusted, event.Shop, uuid.Nil, event.Stock{})
			err := db.InTx(t.Context(), func(tx pgx.Tx) error {
				if _, err := inbox.Fresh(t.Context(), tx, "inventory", []event.Fact{f}); err != nil {
					return err
				}
				return outbox.Append(t.Context(), tx, f)
			})
			if err != nil {
				t.Errorf("a writer had to wait: %v", err)
				return
			}
		}
	}()
	return func() int { cancel(); return <-done }
}

// While partitions turn, nobody who writes waits for a lock, whoever has read the tables and goes on with the transaction. What that
// transaction keeps from being dropped is dropped later.
func TestPartitionsTurnWithoutAnybodyWaiting(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	day := 24 * time.Hour
	old := []string{ago("outbox_20060102_", day) + "00", ago("inbox_20060102", day)}
	ahead := partitions(t, env, "shared.outbox")
	missing := ahead[len(ahead)-1]
	if _, err := env.DB.Exec(t.Context(), `DROP TABLE shared.`+pgx.Identifier{missing}.Sanitize()); err != nil {
		t.Fatal(err)
	}
	if _, err := env.DB.Exec(t.Context(), `UPDATE shared.relay_mark SET mark = '1000000000'`); err != nil { // all is published
		t.Fatal(err)
	}
	turn := func() bool {
		left, err := outbox.KeepPartitions(t.Context(), env.DB, outbox.Keep{Outbox: time.Hour, Inbox: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return left != nil
	}
	end := reader(t, env)
	stop := writing(t, env)
	for range 5 {
		if !turn() {
			t.Error("partitions that are being read have gone")
		}
	}
	if !slices.Contains(partitions(t, env, "shared.outbox"), missing) {
		t.Errorf("%s was not made", missing)
	}
	end()
	testkit.Eventually(t, time.Minute, func() bool { return !turn() })
	if n := stop(); n == 0 {
		t.Error("nothing was written")
	}
	for _, name := range old {
		var there bool
		if err := env.DB.QueryRow(t.Context(), `SELECT to_regclass('shared.' || $1) IS NOT NULL`, name).Scan(&there); err != nil || there {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	turn()
	if names := partitions(t, env, "shared.outbox"); slices.Contains(names, old[0]) {
		t.Errorf("%s was made again", old[0])
	}
}

// Detaching that was broken off is done before any other, which Postgres would refuse. What is still needed is attached again.
func TestDetachingThatWasBrokenOffGoesOn(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	names := partitions(t, env, "shared.inbox")
	last := names[len(names)-1]
	end := reader(t, env)
	conn, err := env.DB.Connect(t.Context(), map[string]string{"lock_timeout": "50ms"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), `ALTER TABLE shared.inbox DETACH PARTITION shared.`+pgx.Identifier{last}.Sanitize()+` CONCURRENTLY`)
	if postgres.Code(err) != "55P03" {
		t.Fatalf("detached beside a reader: %v", err)
	}
	end()
	testkit.Eventually(t, time.Minute, func() error {
		left, err := outbox.KeepPartitions(t.Context(), env.DB, outbox.Keep{Outbox: 24 * time.Hour, Inbox: 7 * 24 * time.Hour})
		return errors.Join(append(left, err)...)
	})
	if _, err := outbox.KeepPartitions(t.Context(), env.DB, outbox.Keep{Outbox: 24 * time.Hour, Inbox: 7 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	var pending int
	err = env.DB.QueryRow(t.Context(), `SELECT count(*) FROM pg_inherits WHERE inhdetachpending`).Scan(&pending)
	if got := partitions(t, env, "shared.inbox"); err != nil || pending > 0 || !slices.Equal(got, names) {
		t.Errorf("%d are being detached, %v, want %v: %v", pending, got, names, err)
	}
}

// A table that was made and not attached, because its maker died, is attached.
func TestAPartitionWhoseMakerDiedIsAttached(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	names := partitions(t, env, "shared.inbox")
	last := pgx.Identifier{"shared", names[len(names)-1]}.Sanitize()
	if _, err := env.DB.Exec(t.Context(), `ALTER TABLE shared.inbox DETACH PARTITION `+last); err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.KeepPartitions(t.Context(), env.DB, outbox.Keep{Outbox: 24 * time.Hour, Inbox: 7 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	if got := partitions(t, env, "shared.inbox"); !slices.Equal(got, names) {
		t.Errorf("%v, want %v", got, names)
	}
}

// How far the partitions reach ends at the first that is missing, and a role that cannot make them is refused.
func TestReachAndRights(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	reach, now, err := outbox.ReadReach(t.Context(), env.DB)
	if err != nil || reach.Outbox.Before(now.Add(2*24*time.Hour)) || reach.Inbox.Before(now.Add(2*24*time.Hour)) {
		t.Errorf("%+v, %v", reach, err)
	}
	if _, err := env.DB.Exec(t.Context(), `DROP TABLE shared.inbox_`+ago("20060102", -24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	reach, now, err = outbox.ReadReach(t.Context(), env.DB)
	if tomorrow := now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour); err != nil || !reach.Inbox.Equal(tomorrow) {
		t.Errorf("until %s, want %s: %v", reach.Inbox, tomorrow, err)
	}
	if err := outbox.CheckRights(t.Context(), env.DB); err != nil {
		t.Error(err)
	}
	role := "guest_" + uuid.NewString()[:8]
	if _, err := env.DB.Exec(t.Context(), `CREATE ROLE `+role); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = env.DB.Exec(context.WithoutCancel(t.Context()), `DROP OWNED BY `+role+`; DROP ROLE `+role)
	})
	if _, err := env.DB.Exec(t.Context(), `GRANT USAGE ON SCHEMA shared TO `+role); err != nil {
		t.Fatal(err)
	}
	there, err := url.Parse(env.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	query := there.Query()
	query.Set("role", role)
	there.RawQuery = query.Encode()
	guest, err := postgres.Open(t.Context(), there.String(), postgres.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guest.Close)
	refused := func(of string) {
		t.Helper()
		if err := outbox.CheckRights(t.Context(), guest); !errors.Is(err, outbox.ErrRights) {
			t.Errorf("without %s: %v", of, err)
		}
	}
	refused("anything")
	for _, sql := range []string{`GRANT CREATE ON SCHEMA shared TO ` + role, `ALTER TABLE shared.outbox OWNER TO ` + role, `ALTER TABLE shared.inbox OWNER TO ` + role} {
		if _, err := env.DB.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	refused("the partitions")
	for _, sql := range []string{`GRANT SELECT ON ALL TABLES IN SCHEMA shared TO ` + role, `UPDATE shared.relay_mark SET mark = '1000000000'`} {
		if _, err := env.DB.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	// What rights forbid waits for nobody.
	left, err := outbox.KeepPartitions(t.Context(), guest, outbox.Keep{Outbox: time.Hour, Inbox: 7 * 24 * time.Hour})
	if len(left) > 0 || postgres.Code(err) != "42501" {
		t.Errorf("left %v, %v", left, err)
	}
}

// What a transaction that has been open for longer than the retention has said stays until it is published.
func TestAPartitionThatIsBeingWrittenToStays(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	if _, err := env.DB.Exec(t.Context(), `UPDATE shared.relay_mark SET mark = '1000000000'`); err != nil {
		t.Fatal(err)
	}
	tx, err := env.DB.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO shared.outbox (id, at, name, strategy, body)
		VALUES (gen_random_uuid(), date_trunc('day', now()) - interval '23 hours', 'order.created', 'optimistic', '')`); err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.KeepPartitions(t.Context(), env.DB, outbox.Keep{Outbox: time.Hour, Inbox: 7 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := env.DB.Exec(t.Context(), `UPDATE shared.relay_mark SET mark = '0'`); err != nil { // nothing is published
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.KeepPartitions(t.Context(), env.DB, outbox.Keep{Outbox: time.Hour, Inbox: 7 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := env.DB.QueryRow(t.Context(), `SELECT count(*) FROM shared.outbox`).Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows, %v", rows, err)
	}
}
