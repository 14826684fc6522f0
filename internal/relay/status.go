package relay

import (
	"context"
	"fmt"
	"time"
)

// Status is how far the relay has come, for people and for the auditor. Rows at or above the mark count as waiting, though
// some of the last second's may be out already.
type Status struct {
	Mode    Mode    `json:"mode"`
	Leading bool    `json:"leading"` // this instance reads
	Rows    int64   `json:"rows"`    // waiting, counted up to 100,000
	Bytes   int64   `json:"bytes"`   // of their bodies
	Seconds float64 `json:"seconds"` // age of the oldest
	Mark    uint64  `json:"mark"`    // every transaction below has been published
	Slot    *Slot   `json:"slot,omitempty"`
}

// Slot is the replication slot of cdc mode.
type Slot struct {
	Name     string `json:"name"`
	Active   bool   `json:"active"`         // somebody reads it
	Status   string `json:"wal_status"`     // reserved, extended, unreserved or lost
	Retained int64  `json:"retained"`       // bytes of log that it keeps
	Safe     *int64 `json:"safe,omitempty"` // bytes that may still be written before it is lost; absent: no limit
}

// Status asks the database.
func (r *Relay) Status(ctx context.Context) (Status, error) {
	s := Status{Mode: r.Mode, Leading: r.leading.Load()}
	err := r.DB.QueryRow(ctx, `
		SELECT (SELECT mark FROM shared.relay_mark), count(*), coalesce(sum(octet_length(body)), 0),
		       coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8
		FROM (SELECT body, at FROM shared.outbox WHERE xid >= (SELECT mark FROM shared.relay_mark) LIMIT 100000) AS waiting`).Scan(&s.Mark, &s.Rows, &s.Bytes, &s.Seconds)
	if err != nil {
		return s, fmt.Errorf("relay status: %w", err)
	}
	rows, err := r.DB.Query(ctx, `
		SELECT active, coalesce(wal_status, ''), coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::int8, safe_wal_size
		FROM pg_replication_slots WHERE slot_name = $1`, r.slot)
	if err != nil {
		return s, fmt.Errorf("relay status: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		s.Slot = &Slot{Name: r.slot}
		if err := rows.Scan(&s.Slot.Active, &s.Slot.Status, &s.Slot.Retained, &s.Slot.Safe); err != nil {
			return s, fmt.Errorf("relay status: %w", err)
		}
	}
	return s, rows.Err()
}

// measure keeps the gauges fresh, on the instance that reads.
func (r *Relay) measure(ctx context.Context) error {
	for pause(ctx, 5*time.Second) {
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
