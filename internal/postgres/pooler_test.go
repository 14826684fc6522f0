package postgres_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// limitsSQL is what bounds whoever asks.
const limitsSQL = `SELECT current_setting('statement_timeout') || ' ' || current_setting('lock_timeout') || ' ' ||
	current_setting('idle_in_transaction_session_timeout') || ' ' || current_setting('jit')`

const limits = "7s 3s 7s off"

// openThrough opens a pool through a pooler, told the way past it.
func openThrough(t *testing.T, pooler, direct string) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), pooler, postgres.Options{StatementTimeout: 7 * time.Second, LockTimeout: 3 * time.Second, DirectURL: direct})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// Whatever is asked through a pooler is asked with the limits of a connection, and leaves nothing of them to others. One that drops
// settings without a word is known as well as one that refuses them.
func TestEveryStatementHasItsLimitsThroughAPooler(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"refuses settings": nil,
		"drops settings":   {"ignore_startup_parameters = jit,statement_timeout,lock_timeout,idle_in_transaction_session_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := testkit.New(t)
			pooler := testkit.NewPooler(t, env.PostgresURL, lines...)
			db := openThrough(t, pooler, env.PostgresURL)
			if !db.Pooled() {
				t.Fatal("the pooler was not seen")
			}
			for how, ask := range waysToAsk(t, db) {
				for range 3 {
					if got, err := ask(); err != nil || got != limits {
						t.Errorf("%s: %q, %v, want %q", how, got, err, limits)
					}
				}
			}
			others, err := pgx.Connect(t.Context(), pooler)
			if err != nil {
				t.Fatal(err)
			}
			defer others.Close(t.Context())
			var got string
			for range 12 { // each of its processes
				if err := others.QueryRow(t.Context(), limitsSQL, pgx.QueryExecModeSimpleProtocol).Scan(&got); err != nil || got != "0 0 0 on" {
					t.Fatalf("left to others: %q, %v", got, err)
				}
			}
		})
	}
}

func waysToAsk(t *testing.T, db *postgres.DB) map[string]func() (string, error) {
	ctx := t.Context()
	text := func(rows pgx.Rows, err error) (string, error) {
		if err != nil {
			return "", err
		}
		return pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	}
	in := func(begin func(fn func(pgx.Tx) error) error) func() (string, error) {
		return func() (got string, err error) {
			err = begin(func(tx pgx.Tx) error { return tx.QueryRow(ctx, limitsSQL).Scan(&got) })
			return got, err
		}
	}
	return map[string]func() (string, error){
		"Query":    func() (string, error) { return text(db.Query(ctx, limitsSQL)) },
		"QueryRow": func() (got string, err error) { err = db.QueryRow(ctx, limitsSQL).Scan(&got); return got, err },
		"Exec": func() (got string, err error) {
			if _, err = db.Exec(ctx, `CREATE TABLE IF NOT EXISTS said (t text)`); err == nil {
				_, err = db.Exec(ctx, `INSERT INTO said `+limitsSQL)
			}
			if err == nil {
				err = db.QueryRow(ctx, `DELETE FROM said RETURNING t`).Scan(&got)
			}
			return got, err
		},
		"SendBatch": func() (string, error) {
			b := &pgx.Batch{}
			b.Queue(limitsSQL)
			results := db.SendBatch(ctx, b)
			got, err := text(results.Query())
			return got, errors.Join(err, results.Close())
		},
		"InTx": in(func(fn func(pgx.Tx) error) error { return db.InTx(ctx, fn) }),
		"BeginTx": in(func(fn func(pgx.Tx) error) error {
			return pgx.BeginTxFunc(ctx, db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn)
		}),
	}
}

// Statements of one transaction each, at once and over processes that never saw them, hold or fail as without a pooler.
func TestStatementsHoldOrFailThroughAPooler(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	ctx, db := t.Context(), openThrough(t, testkit.NewPooler(t, env.PostgresURL), env.PostgresURL)
	if _, err := db.Exec(ctx, `CREATE TABLE n (id uuid PRIMARY KEY, n bigint, j jsonb, b bytea DEFAULT 'x',
		other uuid REFERENCES n DEFERRABLE INITIALLY DEFERRED)`); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				ids := []uuid.UUID{uuid.New(), uuid.New()}
				var got []uuid.UUID
				_, err := db.Exec(ctx, `INSERT INTO n (id, n, j) SELECT id, 1, '{"a": 1}' FROM unnest($1::uuid[]) id`, ids)
				if err == nil {
					err = db.QueryRow(ctx, `SELECT array_agg(id ORDER BY id = $2) FROM n WHERE id = ANY($1)`, ids, ids[1]).Scan(&got)
				}
				if err != nil || len(got) != 2 || got[0] != ids[0] || got[1] != ids[1] {
					t.Errorf("%v, %v, want %v", got, err, ids)
				}
			}
		})
	}
	wg.Wait()
	id := uuid.New()
	// The commit fails, which whoever asked must hear, in whichever way.
	dangling := `INSERT INTO n (id, other) VALUES ($1, $2) RETURNING id`
	if _, err := db.Exec(ctx, dangling, id, uuid.New()); postgres.Code(err) != "23503" {
		t.Errorf("Exec: %v", err)
	}
	if err := db.QueryRow(ctx, dangling, id, uuid.New()).Scan(&id); postgres.Code(err) != "23503" {
		t.Errorf("QueryRow: %v", err)
	}
	rows, err := db.Query(ctx, dangling, id, uuid.New())
	if err == nil {
		_, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	}
	if postgres.Code(err) != "23503" {
		t.Errorf("Query: %v", err)
	}
	b := &pgx.Batch{}
	b.Queue(dangling, id, uuid.New())
	if err := db.SendBatch(ctx, b).Close(); postgres.Code(err) != "23503" {
		t.Errorf("SendBatch: %v", err)
	}
	if err := db.QueryRow(ctx, `SELECT id FROM n WHERE id = $1`, id).Scan(&id); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("after all of them: %v", err)
	}
	if n := db.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections were not given back", n)
	}
}

// Where a session is needed, a way that leads through a pooler or elsewhere is refused with the reason.
func TestAPoolerIsRefusedWhereASessionIsNeeded(t *testing.T) {
	t.Parallel()
	env, elsewhere := testkit.New(t), testkit.New(t)
	pooler := testkit.NewPooler(t, env.PostgresURL)
	deaf := testkit.NewPooler(t, env.PostgresURL, "ignore_startup_parameters = jit,statement_timeout,lock_timeout,idle_in_transaction_session_timeout")
	for name, c := range map[string]struct {
		url, direct string
		want        string
	}{
		"no way past it":         {pooler, "", "--replication-url"},
		"no way past a deaf one": {deaf, "", "--replication-url"},
		"the way leads to it":    {env.PostgresURL, pooler, postgres.ErrPooler.Error()},
		"the way leads to both":  {pooler, deaf, postgres.ErrPooler.Error()},
		"the way leads astray":   {pooler, elsewhere.PostgresURL, "another server or database"},
	} {
		db, err := postgres.Open(t.Context(), c.url, postgres.Options{DirectURL: c.direct})
		if err == nil {
			db.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, url := range []string{pooler, deaf} {
		if err := postgres.Migrate(t.Context(), url); !errors.Is(err, postgres.ErrPooler) {
			t.Errorf("migrate: %v", err)
		}
	}
}
