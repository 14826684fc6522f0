package relay

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Holder is the oldest transaction of the server that has written and is still open, in whatever database. While it is, the
// mark cannot pass it, which a change of mode goes on from, and no slot can be made.
type Holder struct {
	PID      int32      `json:"pid,omitempty"` // of its session
	GID      string     `json:"gid,omitempty"` // of a prepared transaction, which has no session
	Database string     `json:"database"`
	Since    *time.Time `json:"since,omitempty"` // absent: only a role with pg_read_all_stats is told
}

// holderSQL asks only while something waits. What has just begun will most likely end by itself; what seems to begin later was
// open when Postgres' clock was put back.
const holderSQL = `
	SELECT pid, gid, database, since FROM (
		SELECT pid, '' AS gid, coalesce(datname::text, '') AS database, xact_start AS since, age(backend_xid) AS age
		FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
		UNION ALL SELECT 0, gid, database::text, prepared, age(transaction) FROM pg_prepared_xacts) AS open
	WHERE coalesce(since NOT BETWEEN clock_timestamp() - interval '2 seconds' AND clock_timestamp() + interval '2 seconds', true)
	  AND (SELECT xid FROM shared.outbox ORDER BY xid DESC LIMIT 1) >= (SELECT mark FROM shared.relay_mark)
	ORDER BY age DESC LIMIT 1`

// holder gives the transaction that holds facts up, or nil.
func (r *Relay) holder(ctx context.Context) (*Holder, error) {
	var h Holder
	err := r.DB.QueryRow(ctx, holderSQL).Scan(&h.PID, &h.GID, &h.Database, &h.Since)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for open transactions: %w", err)
	}
	return &h, nil
}

// tellHolder says in log and metric which transaction holds facts up: on every instance, since nobody reads while a slot is
// being made. It returns what was told, so that each is told of once.
func (r *Relay) tellHolder(ctx context.Context, told Holder) Holder {
	h := told
	_ = r.note(ctx, "open transactions not looked for", func(ctx context.Context) error {
		found, err := r.holder(ctx)
		if err != nil {
			return err
		}
		r.m.holder.Reset()
		if h = (Holder{}); found == nil {
			return nil
		}
		h = *found
		since := time.Time{}
		if h.Since != nil {
			since = *h.Since
		}
		r.m.holder.WithLabelValues(strconv.Itoa(int(h.PID)), h.GID, h.Database).Set(1)
		if h.PID != told.PID || h.GID != told.GID {
			r.Log.Warn("an open transaction holds the mark up, and the slot while that is made", "pid", h.PID, "gid", h.GID, "database", h.Database, "since", since)
		}
		return nil
	})
	return h
}
