package testkit

import (
	"encoding/json"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Reads runs a statement and returns how many pages it has looked at, in memory or not: what a statement costs as tables grow, without
// a clock.
func Reads(t testing.TB, db *postgres.DB, sql string, args ...any) int {
	t.Helper()
	var plan []byte
	if err := db.QueryRow(t.Context(), `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) `+sql, args...).Scan(&plan); err != nil {
		t.Fatalf("explain: %v", err)
	}
	var read []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal(plan, &read); err != nil || len(read) != 1 {
		t.Fatalf("read the plan %s: %v", plan, err)
	}
	return read[0].Plan.Hit + read[0].Plan.Read
}

// Keep fills the outbox with so many facts that are published already, and has Postgres know of them.
func Keep(t testing.TB, db *postgres.DB, facts int) {
	t.Helper()
	_, err := db.Exec(t.Context(), `
		INSERT INTO shared.outbox (id, name, strategy, body)
		SELECT gen_random_uuid(), 'order.created', 'optimistic', '\x7b7d' FROM generate_series(1, $1::int)`, facts)
	if err == nil {
		_, err = db.Exec(t.Context(), `UPDATE shared.relay_mark SET mark = pg_snapshot_xmax(pg_current_snapshot())`)
	}
	if err == nil {
		_, err = db.Exec(t.Context(), `VACUUM ANALYZE shared.outbox`)
	}
	if err != nil {
		t.Fatal(err)
	}
}
