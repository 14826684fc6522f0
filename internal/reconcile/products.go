package reconcile

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// productsOf gives the next portion of products: all of them, or those that were moved in the window, and those that are in
// carts that were changed or in orders that were made then. An order is looked at for a minute longer, for its hold ends
// some time after it is made. Removed cart lines leave no trace; what they left on the shelf ends with its expiry.
func (p *pass) productsOf(ctx context.Context, last uuid.UUID) ([]uuid.UUID, error) {
	const all = `SELECT product_id FROM inventory.stock WHERE product_id > $1 ORDER BY product_id LIMIT $2`
	const moved = `
		SELECT product_id FROM (
			SELECT product_id FROM inventory.movements WHERE at > $3 AND at <= $4
			UNION
			SELECT l.product_id FROM cart.carts c CROSS JOIN LATERAL (SELECT product_id FROM cart.lines WHERE cart_id = c.id OFFSET 0) l
			WHERE c.changed_at > $3 AND c.changed_at <= $4
			UNION
			SELECT l.product_id FROM orders.lines l
			WHERE l.order_id >= shared.uuid_from($3 - interval '1 minute') AND l.order_id <= shared.uuid_from($4)
		) changed WHERE product_id > $1 ORDER BY product_id LIMIT $2`
	if p.window.all {
		ids, err := column(ctx, p.Postgres, all, last, portion)
		p.known.add(ids)
		return ids, err
	}
	return column(ctx, p.Postgres, moved, last, portion, p.window.from, p.window.to)
}

func (p *pass) compareProducts(ctx context.Context) error {
	return walk(ctx, p.productsOf, func(ctx context.Context, ids []uuid.UUID) error {
		p.compared(2 * len(ids))
		return p.comparePage(ctx, ids)
	})
}

// comparePage reads Redis, then the rows, and repairs what differs.
func (p *pass) comparePage(ctx context.Context, ids []uuid.UUID) error {
	shelves, large, err := p.readShelves(ctx, ids)
	if err != nil {
		return err
	}
	if err := p.compareShelves(ctx, shelves); err != nil {
		return err
	}
	for _, id := range large {
		if err := p.compareLarge(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) compareShelves(ctx context.Context, shelves []shelf) error {
	rows, err := p.readRows(ctx, shelves)
	if err != nil {
		return err
	}
	var repairs []*repair
	var broken []shelf
	for _, s := range shelves {
		switch s.condition {
		case damaged:
			broken = append(broken, s)
		case loaded:
			if r := p.judge(s, rows[s.id]); len(r.found) > 0 {
				repairs = append(repairs, r)
			}
		}
	}
	if err := p.reload(ctx, broken, rows); err != nil {
		return err
	}
	if err := p.index(ctx, shelves); err != nil {
		return err
	}
	return p.repairAll(ctx, repairs)
}

// judge compares one product that is loaded, both pairs at once: one repair sets all of it right.
func (p *pass) judge(s shelf, r row) *repair {
	fix := &repair{shelf: s, row: r}
	if d, differs := compareStock(s, r); differs {
		fix.found = append(fix.found, d)
	}
	if d, differs := p.compareHolds(s, r, fix); differs {
		fix.found = append(fix.found, d)
	}
	return fix
}

func (p *pass) repairAll(ctx context.Context, repairs []*repair) error {
	done := make([]bool, len(repairs))
	if len(repairs) > 0 && !p.run.DryRun {
		var err error
		if done, err = p.mend(ctx, repairs); err != nil {
			return err
		}
	}
	var found []Difference
	for i, r := range repairs {
		for _, d := range r.found {
			d.Action = p.action(done[i])
			found = append(found, d)
		}
	}
	return p.differ(ctx, found)
}

// reload loads damaged products anew.
func (p *pass) reload(ctx context.Context, broken []shelf, rows map[uuid.UUID]row) error {
	if len(broken) == 0 {
		return nil
	}
	ids, found := make([]uuid.UUID, len(broken)), make([]Difference, len(broken))
	for i, s := range broken {
		ids[i] = s.id
		found[i] = Difference{
			Pair: pairStock, Key: "stock:{" + s.id.String() + "}", Action: p.action(true),
			Redis:    fmt.Sprintf("damaged: stock %q, version %q, reserved %q, %d holds", s.stock, s.version, s.reserved, len(s.entries)),
			Postgres: rows[s.id].String(),
		}
	}
	if !p.run.DryRun {
		if err := p.Shelf.Load(ctx, ids); err != nil {
			return fmt.Errorf("load %d damaged products: %w", len(ids), err)
		}
	}
	return p.differ(ctx, found)
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func column(ctx context.Context, db querier, sql string, args ...any) ([]uuid.UUID, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (id uuid.UUID, err error) {
		err = row.Scan((*[16]byte)(&id)) // a quarter of the work of scanning it as an id
		return id, err
	})
}
