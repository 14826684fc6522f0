package relay

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/lease"
)

// page is how many rows are read at once.
const page = 500

// scan puts the rows of transactions from (included) to below on the belt, in the order of their transactions' ids. It
// holds no transaction while the broker confirms.
func (b *belt) scan(ctx context.Context, from, below uint64) (int, error) {
	count, xid, id := 0, from, uuid.Nil
	for {
		rows, last, err := b.read(ctx, xid, id, below)
		if err != nil {
			return count, err
		}
		if err := b.putAll(ctx, rows); err != nil {
			return count, err
		}
		count += len(rows)
		if len(rows) < page {
			return count, nil
		}
		xid, id = last, rows[len(rows)-1].id
	}
}

// read gives the rows that follow (xid, id), and the transaction of the last one.
func (b *belt) read(ctx context.Context, xid uint64, id uuid.UUID, below uint64) ([]row, uint64, error) {
	found, err := b.DB.Query(ctx, `
		SELECT xid, id, strategy, name, body FROM shared.outbox
		WHERE (xid, id) > ($1::xid8, $2::uuid) AND xid < $3::xid8 ORDER BY xid, id LIMIT $4`, xid, id, below, page)
	if err != nil {
		return nil, 0, fmt.Errorf("read outbox: %w", err)
	}
	last := xid
	rows, err := pgx.CollectRows(found, func(found pgx.CollectableRow) (row, error) {
		var r row
		var strategy, name string
		err := found.Scan(&last, &r.id, &strategy, &name, &r.body)
		r.key = event.RoutingKey(strategy, event.Name(name))
		return r, err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read outbox: %w", err)
	}
	return rows, last, nil
}

// horizon is where reading can go on and how far.
type horizon struct {
	mark  uint64 // all below has been published
	slot  string // whose stream carries on from the mark, "" for none
	xmin  uint64 // every transaction below has ended
	xmax  uint64 // no transaction from here on has begun
	exact bool   // whether slot is this relay's
}

func (r *Relay) horizon(ctx context.Context) (horizon, error) {
	var h horizon
	err := r.DB.QueryRow(ctx, `
		SELECT mark, slot, pg_snapshot_xmin(now.snapshot), pg_snapshot_xmax(now.snapshot)
		FROM shared.relay_mark, (SELECT pg_current_snapshot() AS snapshot) AS now`).Scan(&h.mark, &h.slot, &h.xmin, &h.xmax)
	if err != nil {
		return h, fmt.Errorf("read the relay's mark: %w", err)
	}
	h.exact = h.slot == r.slot
	return h, nil
}

// advance moves the mark. It never goes back.
func (r *Relay) advance(ctx context.Context, mark uint64) error {
	_, err := r.DB.Exec(ctx, advanceMark, mark)
	if err != nil {
		return fmt.Errorf("move the relay's mark: %w", err)
	}
	return nil
}

// advanceFenced moves the mark for a leader of polling, and fails when its term is over. It does not ring: the bell is for
// commits with facts.
func (r *Relay) advanceFenced(ctx context.Context, term lease.Term, mark uint64) error {
	return pgx.BeginFunc(ctx, r.DB.Pool, func(tx pgx.Tx) error {
		if err := lease.Fence(ctx, tx, term); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, advanceMark, mark); err != nil {
			return fmt.Errorf("move the relay's mark: %w", err)
		}
		return nil
	})
}

const advanceMark = `UPDATE shared.relay_mark SET mark = $1::xid8, at = clock_timestamp() WHERE mark < $1::xid8`

// carriesOn says from now on whose stream carries on from the mark: a slot's name, or "" when rows at or above the mark may
// be in no stream.
func (r *Relay) carriesOn(ctx context.Context, slot string) error {
	if _, err := r.DB.Exec(ctx, `UPDATE shared.relay_mark SET slot = $1 WHERE slot <> $1`, slot); err != nil {
		return fmt.Errorf("note the relay's slot: %w", err)
	}
	return nil
}
