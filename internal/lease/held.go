package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Held is a lease as it stands in the table, for people to look at.
type Held struct {
	Name      string    `json:"name"`
	Holder    string    `json:"holder"`
	Term      int64     `json:"term"`
	ExpiresAt time.Time `json:"expires_at"`
	Live      bool      `json:"live"` // not run out, on Postgres' clock
}

// List gives all leases by name.
func List(ctx context.Context, db *postgres.DB) ([]Held, error) {
	rows, err := db.Query(ctx, `
		SELECT name, holder, term, expires_at, expires_at > clock_timestamp() AS live FROM shared.leases ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	held, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Held])
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	return held, nil
}
