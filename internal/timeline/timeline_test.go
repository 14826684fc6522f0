package timeline

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// Every table is read by an index that leads to the order's own rows: where one is missing, Postgres reads the whole table even
// if it is told not to.
func TestNoTableIsReadWhole(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	r := New(env.DB, map[string]string{"payment optimistic.stock.reserved": "Charge"})
	var plan []string
	err := env.DB.InTx(t.Context(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SET LOCAL enable_seqscan = off`); err != nil {
			return err
		}
		rows, err := tx.Query(t.Context(), `EXPLAIN `+query, uuid.New(), "alice", time.Time{}, uuid.Nil, 0, "", 10,
			r.modules, r.strategies, r.facts, r.verbs)
		if err != nil {
			return err
		}
		plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range plan {
		if strings.Contains(line, "Seq Scan") {
			t.Error(strings.TrimSpace(line))
		}
	}
	if len(plan) < 20 {
		t.Errorf("a plan of %d lines", len(plan))
	}
	if _, _, err := r.Read(t.Context(), "alice", uuid.New(), Position{}, 10); !fault.Is(err, fault.NotFound) {
		t.Errorf("no order: %v", err)
	}
}
