package inventory

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
)

// forgetRestocks is how long ago a restock was asked for of which nothing is known any more: nobody waits for it.
const forgetRestocks = time.Hour

// askRestock writes that an operator waits for a lane.
func askRestock(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	_, err := tx.Exec(ctx, `INSERT INTO inventory.restocks (id) VALUES ($1)`, id)
	return err
}

// ForgetRestocks deletes what operators have asked lanes for long ago, and answers how many.
func (s *Service) ForgetRestocks(ctx context.Context) (int64, error) {
	n, err := s.db.InSteps(ctx, `
		DELETE FROM inventory.restocks WHERE id = ANY (ARRAY(
			SELECT id FROM inventory.restocks WHERE asked_at < now() - 2 * $1::interval ORDER BY asked_at LIMIT $2))`, forgetRestocks)
	if err != nil {
		return n, fmt.Errorf("forget restocks: %w", err)
	}
	return n, nil
}

func readRestock(ctx context.Context, q querier, id uuid.UUID) (restocked, error) {
	rows, err := q.Query(ctx, `SELECT state, coalesce(available, 0), coalesce(movement_id, $2) FROM inventory.restocks WHERE id = $1`, id, uuid.Nil)
	if err != nil {
		return restocked{}, fmt.Errorf("read restock %s: %w", id, err)
	}
	got, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (r restocked, err error) {
		return r, row.Scan(&r.state, &r.available, &r.movement)
	})
	if err != nil {
		return restocked{}, fmt.Errorf("read restock %s: %w", id, err)
	}
	return got, nil
}

// giveUpRestock writes that nobody waits any more, unless the lane has answered.
func giveUpRestock(ctx context.Context, q querier, id uuid.UUID) error {
	rows, err := q.Query(ctx, `UPDATE inventory.restocks SET state = 'GIVEN_UP' WHERE id = $1 AND state = 'ASKED'`, id)
	if err != nil {
		return fmt.Errorf("give up restock %s: %w", id, err)
	}
	rows.Close()
	return rows.Err()
}

// lockRestocks gives those of the facts whose operators wait still. A row that is not to be seen yet is waited for by trying again.
func lockRestocks(ctx context.Context, tx pgx.Tx, facts []event.Fact) (map[uuid.UUID]bool, error) {
	ids := make([]uuid.UUID, len(facts))
	for i, f := range facts {
		ids[i] = f.ID
	}
	rows, err := tx.Query(ctx, `SELECT id, state FROM inventory.restocks WHERE id = ANY ($1) ORDER BY id FOR UPDATE`, ids)
	if err != nil {
		return nil, fmt.Errorf("lock %d restocks: %w", len(ids), err)
	}
	wanted := make(map[uuid.UUID]bool, len(ids))
	var id uuid.UUID
	var state string
	_, err = pgx.ForEachRow(rows, []any{&id, &state}, func() error {
		wanted[id] = state == restockAsked
		return nil
	})
	for _, f := range facts {
		if _, found := wanted[f.ID]; err == nil && !found && clock.Since(f.At) < forgetRestocks {
			err = errNotSeen
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock %d restocks: %w", len(ids), err)
	}
	return wanted, nil
}

func saveRestocks(ctx context.Context, tx pgx.Tx, facts []event.Fact, answers []restocked) error {
	ids, states := make([]uuid.UUID, len(facts)), make([]string, len(facts))
	available, movements := make([]int64, len(facts)), make([]uuid.UUID, len(facts))
	for i, f := range facts {
		ids[i], states[i], available[i], movements[i] = f.ID, answers[i].state, answers[i].available, answers[i].movement
	}
	_, err := tx.Exec(ctx, `
		UPDATE inventory.restocks r SET state = n.state, available = n.available, movement_id = nullif(n.movement_id, $5)
		FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::uuid[]) AS n(id, state, available, movement_id) WHERE r.id = n.id`,
		ids, states, available, movements, uuid.Nil)
	if err != nil {
		return fmt.Errorf("save %d restocks: %w", len(facts), err)
	}
	return nil
}

func readMovement(ctx context.Context, q querier, productID, id uuid.UUID) (Movement, error) {
	rows, err := q.Query(ctx, `
		SELECT id, product_id, kind, quantity, balance, coalesce(order_id, $3), fact_id, reason, at FROM inventory.movements
		WHERE product_id = $1 AND id = $2`, productID, id, uuid.Nil)
	if err != nil {
		return Movement{}, fmt.Errorf("movement %s: %w", id, err)
	}
	m, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Movement])
	if err != nil {
		return Movement{}, fmt.Errorf("movement %s: %w", id, err)
	}
	return m, nil
}
