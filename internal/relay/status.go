package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// Status is how far the relay has come, for people and for the auditor. Rows that are not noted as published count as
// waiting, though some of the last second's may be out already.
type Status struct {
	Mode    Mode    `json:"mode"`
	Leading bool    `json:"leading"`                // this instance reads
	Rows    int64   `json:"rows"`                   // waiting, counted up to 100,000
	Bytes   int64   `json:"bytes"`                  // of their bodies
	Seconds float64 `json:"seconds"`                // age of the oldest
	Mark    uint64  `json:"mark"`                   // every transaction below has been published
	Held    float64 `json:"held_seconds,omitempty"` // for how long the reader has waited for a commit to be visible
	Slot    *Slot   `json:"slot,omitempty"`
	HeldBy  *Holder `json:"held_by,omitempty"` // the open transaction that holds them up, or only the mark in cdc mode

	// Abandoned are other slots of the server that nobody reads, those that keep the most first, a hundred at most: they may fill its disk.
	Abandoned []Slot `json:"abandoned_slots,omitempty"`
}

// Slot is a replication slot.
type Slot struct {
	Name     string `json:"name"`
	Active   bool   `json:"active"`         // somebody reads it
	Status   string `json:"wal_status"`     // reserved, extended, unreserved or lost
	Retained int64  `json:"retained"`       // bytes of log that it keeps
	Safe     *int64 `json:"safe,omitempty"` // bytes that may still be written before it is lost; absent: no limit
}

// By the index that leads to what waits: without the upper bound, which bounds nothing, it is planned as a scan of all that is kept.
const waitingSQL = `
	SELECT (SELECT mark FROM shared.relay_mark), count(*), coalesce(sum(octet_length(body)), 0),
	       coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8
	FROM (SELECT body, at FROM (
			SELECT body, at FROM shared.outbox
			WHERE xid >= (SELECT greatest(mark, pg_snapshot_xmax(snapshot)) FROM shared.relay_mark)
			  AND xid <= (SELECT pg_snapshot_xmax(pg_current_snapshot())) ORDER BY xid, id LIMIT 100000) AS begun
		UNION ALL SELECT body, at FROM (
			SELECT body, at FROM (SELECT xid FROM shared.relay_mark, pg_snapshot_xip(snapshot) AS xid WHERE xid >= mark) AS open
			JOIN shared.outbox USING (xid) LIMIT 100000) AS ended) AS waiting`

// Status asks the database.
func (r *Relay) Status(ctx context.Context) (Status, error) {
	s := Status{Mode: r.Mode, Leading: r.leading.Load(), Held: r.held()}
	err := r.DB.QueryRow(ctx, waitingSQL).Scan(&s.Mark, &s.Rows, &s.Bytes, &s.Seconds)
	if err != nil {
		return s, fmt.Errorf("relay status: %w", err)
	}
	if s.HeldBy, err = r.holder(ctx); err != nil {
		return s, err
	}
	slots, err := r.slots(ctx)
	for _, slot := range slots {
		if slot.Name == r.slot {
			s.Slot = &slot
		} else {
			s.Abandoned = append(s.Abandoned, slot)
		}
	}
	return s, err
}

// slots gives the relay's own slot, and others of the server that nobody reads.
func (r *Relay) slots(ctx context.Context) ([]Slot, error) {
	rows, err := r.DB.Query(ctx, `
		SELECT slot_name, active, coalesce(wal_status, ''), coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::int8, safe_wal_size
		FROM pg_replication_slots WHERE slot_name = $1 OR NOT active ORDER BY slot_name = $1 DESC, 4 DESC LIMIT 101`, r.slot)
	if err != nil {
		return nil, fmt.Errorf("look at replication slots: %w", err)
	}
	slots, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Slot])
	if err != nil {
		return nil, fmt.Errorf("look at replication slots: %w", err)
	}
	return slots, nil
}

// tellAbandoned warns of slots that nobody reads, once.
func (r *Relay) tellAbandoned(ctx context.Context) {
	slots, err := r.slots(ctx)
	if err != nil {
		return // the reader will meet it, too
	}
	for _, slot := range slots {
		if slot.Name != r.slot {
			r.Log.Warn("nobody reads a replication slot of this server, which keeps its log for it", "slot", slot.Name, "bytes", slot.Retained)
		}
	}
}

// measure keeps the gauges fresh, on the instance that reads.
func (r *Relay) measure(ctx context.Context) error {
	r.tellAbandoned(ctx)
	var held Holder
	for run.Pause(ctx, 5*time.Second) == nil {
		held = r.tellHolder(ctx, held)
		if !r.leading.Load() {
			r.m.lag(Status{})
			continue
		}
		_ = r.note(ctx, "lag not measured", func(ctx context.Context) error {
			s, err := r.Status(ctx)
			if err == nil {
				r.m.lag(s)
			}
			return err
		})
	}
	return ctx.Err()
}
