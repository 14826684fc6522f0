package order

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// View is an order as a customer is shown it: one row of the read model.
type View struct {
	ID              uuid.UUID       `json:"id" format:"uuid"`
	Status          Status          `json:"status" enums:"CREATED,PROCESSING,COMPLETED,ENDING,FAILED,CANCELLED"`
	PaymentStatus   PaymentStatus   `json:"payment_status" enums:"NOT_STARTED,PENDING,UNKNOWN,SUCCESS,DECLINED,REFUNDING,REFUNDED,VOIDED"`
	InventoryStatus InventoryStatus `json:"inventory_status" enums:"NOT_STARTED,RESERVED,RELEASED,OUT_OF_STOCK"`
	DisplayStatus   string          `json:"display_status"`
	FailureReason   *string         `json:"failure_reason" extensions:"x-nullable"`
	Strategy        string          `json:"strategy"`
	Version         int64           `json:"version"`
	Lines           []Line          `json:"lines"`
	TotalMinor      int64           `json:"total_minor"`
	Currency        string          `json:"currency"`
	CreatedAt       time.Time       `json:"created_at" format:"date-time"`
	EndedAt         *time.Time      `json:"ended_at" format:"date-time" extensions:"x-nullable"`
}

const viewColumns = `id, status, payment_status, inventory_status, display_status, failure_reason, strategy, version, lines,
	total_minor, currency, created_at, ended_at`

// View hears order's own facts and keeps the newest version of each order in the read model.
func (s *Service) View(ctx context.Context, facts []event.Fact) error {
	var shown []uuid.UUID
	err := s.db.InTx(ctx, func(tx pgx.Tx) error {
		shown = nil
		fresh, err := inbox.Fresh(ctx, tx, ViewModule, facts)
		if err != nil || len(fresh) == 0 {
			return err
		}
		states, causes, err := newest(fresh)
		if err != nil {
			return err
		}
		shown = slices.Collect(maps.Keys(states))
		return updateViews(ctx, tx, states, causes)
	})
	if err == nil {
		postgres.AfterCommit(ctx, func() { s.watchers.tell(shown...) })
	}
	return err
}

// newest gives the highest version that facts say of each order, and the fact that says it.
func newest(facts []event.Fact) (map[uuid.UUID]event.OrderState, map[uuid.UUID]uuid.UUID, error) {
	states := make(map[uuid.UUID]event.OrderState, len(facts))
	causes := make(map[uuid.UUID]uuid.UUID, len(facts))
	for _, f := range facts {
		state, err := event.Decode[event.OrderState](f)
		if err != nil {
			return nil, nil, err
		}
		if state.Version > states[f.OrderID].Version {
			states[f.OrderID], causes[f.OrderID] = state, f.ID
		}
	}
	return states, causes, nil
}

func updateViews(ctx context.Context, tx pgx.Tx, states map[uuid.UUID]event.OrderState, causes map[uuid.UUID]uuid.UUID) error {
	n := len(states)
	ids, facts, versions := make([]uuid.UUID, 0, n), make([]uuid.UUID, 0, n), make([]int64, 0, n)
	status, payment, inventory := make([]string, 0, n), make([]string, 0, n), make([]string, 0, n)
	display, reasons, ended := make([]string, 0, n), make([]string, 0, n), make([]*time.Time, 0, n)
	for id, state := range states {
		ids, facts, versions = append(ids, id), append(facts, causes[id]), append(versions, state.Version)
		status, payment = append(status, state.Status), append(payment, state.PaymentStatus)
		inventory, display = append(inventory, state.InventoryStatus), append(display, state.DisplayStatus)
		reasons, ended = append(reasons, state.FailureReason), append(ended, state.EndedAt)
	}
	_, err := tx.Exec(ctx, `
		WITH said AS (
			SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
				$9::timestamptz[]) AS s(id, fact, version, status, payment, inventory, display, reason, ended_at)
		), mine AS (
			SELECT v.id FROM orders.view v WHERE v.id = ANY($1) ORDER BY v.id FOR NO KEY UPDATE
		)
		UPDATE orders.view v SET version = s.version, status = s.status, payment_status = s.payment,
			inventory_status = s.inventory, display_status = s.display, failure_reason = nullif(s.reason, ''),
			last_fact = s.fact, ended_at = s.ended_at
		FROM said s JOIN mine USING (id) WHERE v.id = s.id AND v.version < s.version`,
		ids, facts, versions, status, payment, inventory, display, reasons, ended)
	if err != nil {
		return fmt.Errorf("update %d views: %w", n, err)
	}
	return nil
}

// queueView writes the read model's first row.
func queueView(batch *pgx.Batch, o *Order) {
	batch.Queue(`
		INSERT INTO orders.view (id, customer, strategy, version, status, payment_status, inventory_status, display_status,
			lines, total_minor, currency, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		o.ID, o.Customer, o.Strategy, o.Version, o.Status, o.Payment, o.Inventory, o.Display(), o.Lines,
		o.Terms.TotalMinor, o.Terms.Currency, o.CreatedAt)
}

func scanView(row pgx.CollectableRow) (View, error) {
	v, err := pgx.RowToStructByPos[View](row)
	return inUTC(v), err
}

func inUTC(v View) View {
	v.CreatedAt = v.CreatedAt.UTC()
	if v.EndedAt != nil {
		utc := v.EndedAt.UTC()
		v.EndedAt = &utc
	}
	return v
}

// Get gives a customer's order, also from the archive. Another's is not found.
func (s *Service) Get(ctx context.Context, customer string, id uuid.UUID) (View, error) {
	rows, err := s.db.Query(ctx, `SELECT `+viewColumns+` FROM orders.view WHERE id = $1 AND customer = $2`, id, customer)
	if err != nil {
		return View{}, fmt.Errorf("get order %s: %w", id, err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, scanView)
	if errors.Is(err, pgx.ErrNoRows) {
		return s.archived(ctx, customer, id)
	}
	if err != nil {
		return View{}, fmt.Errorf("get order %s: %w", id, err)
	}
	return v, nil
}

// pageBytes is after how many bytes of lines, as they are stored, a list ends before its limit. They are compressed, to about a third.
const pageBytes = 128 << 10

// List returns up to limit of a customer's orders, newest first, those made before the order before (zero: from the newest), and
// whether there are more. It returns fewer where their lines are many: one at least.
func (s *Service) List(ctx context.Context, customer string, before uuid.UUID, limit int) (views []View, more bool, err error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	rows, err := s.db.Query(ctx, `
		SELECT `+viewColumns+`, found FROM (
			SELECT id, archived, sum(bytes) OVER newest - bytes AS bytes_before, count(*) OVER () AS found FROM (
				(SELECT id, pg_column_size(lines) AS bytes, NULL::jsonb AS archived FROM orders.view WHERE customer = $1 AND id < $2 ORDER BY id DESC LIMIT $3)
				UNION ALL
				(SELECT id, pg_column_size(view), view FROM archive.orders WHERE customer = $1 AND id < $2 ORDER BY id DESC LIMIT $3)
				ORDER BY id DESC LIMIT $3
			) AS page WINDOW newest AS (ORDER BY id DESC)
		) AS sized JOIN LATERAL (
			SELECT w.* FROM orders.view w WHERE w.id = sized.id AND archived IS NULL
			UNION ALL SELECT w.* FROM jsonb_populate_record(NULL::orders.view, archived) w WHERE archived IS NOT NULL
		) AS v USING (id) WHERE bytes_before < $4 ORDER BY id DESC LIMIT $5`, customer, before, limit+1, pageBytes, limit)
	if err != nil {
		return nil, false, fmt.Errorf("list orders: %w", err)
	}
	var found int
	views, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (View, error) {
		listed, err := pgx.RowToStructByPos[struct {
			View
			Found int
		}](row)
		found = listed.Found
		return inUTC(listed.View), err
	})
	if err != nil {
		return nil, false, fmt.Errorf("list orders: %w", err)
	}
	return views, found > len(views), nil
}
