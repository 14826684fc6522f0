package relay

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/lease"
)

// identity is which server this is. Positions in the log mean something on one timeline only, ids of transactions in one
// system only.
type identity struct {
	system   string // its system identifier, made by initdb
	timeline int64  // grows with every promotion
}

// identitySQL asks the server who it is.
const identitySQL = `
	(SELECT system_identifier::text AS system, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint AS timeline
	 FROM pg_control_system())`

// recognise compares the server with the one on which the mark was reached, before anything is read by it.
func (r *Relay) recognise(ctx context.Context, term lease.Term) error {
	h, err := r.horizon(ctx)
	if err != nil {
		return err
	}
	switch {
	case h.known == h.server:
		return nil
	case h.known.system == "":
	case h.known.system != h.server.system:
		r.met(systemChanged, "the outbox was carried into another server: publishing all of it again", "was", h.known.system, "is", h.server.system)
		if err := r.countAnew(ctx, term); err != nil {
			return err
		}
	default:
		r.met(timelineChanged, "Postgres was promoted or restored: publishing from the mark", "was", h.known.timeline, "is", h.server.timeline)
	}
	return r.fenced(ctx, term, "note the server", `UPDATE shared.relay_mark SET system = $1, timeline = $2, slot = '', lsn = '0/0', snapshot = $3::text::pg_snapshot`,
		h.server.system, h.server.timeline, nothing)
}

// restamped is how many rows are rewritten in one transaction.
const restamped = 5000

// countAnew makes all rows count as said just now: in another server the ids of their transactions mean nothing, and might
// hide them, or whatever comes, below the mark for ever. When it is broken off it is done again from the beginning.
func (r *Relay) countAnew(ctx context.Context, term lease.Term) error {
	var mark uint64
	err := lease.InTx(ctx, r.DB, term, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			UPDATE shared.relay_mark SET mark = pg_snapshot_xmin(pg_current_snapshot())::text::xid8, slot = '', lsn = '0/0',
				snapshot = $1::text::pg_snapshot RETURNING mark`, nothing).Scan(&mark)
	})
	for err == nil {
		var rows int64
		err = lease.InTx(ctx, r.DB, term, func(tx pgx.Tx) error {
			done, err := tx.Exec(ctx, `
				UPDATE shared.outbox SET xid = pg_current_xact_id() WHERE (id, at) IN (
					SELECT id, at FROM shared.outbox WHERE xid < $1::xid8 OR xid > pg_current_xact_id() LIMIT $2)`, mark, restamped)
			rows = done.RowsAffected()
			return err
		})
		if err == nil && rows == 0 {
			return nil
		}
	}
	return fmt.Errorf("count the outbox anew: %w", err)
}
