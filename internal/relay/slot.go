package relay

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// slotName makes a name for a replication slot: lower-case letters, digits and underscores, at most 63. A namespace that
// has to be changed for it is told apart by a hash.
func slotName(namespace string) string {
	const suffix, most = "_outbox", 63
	plain := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
			return c
		}
		return '_'
	}, namespace)
	if plain == namespace && len(plain)+len(suffix) <= most {
		return plain + suffix
	}
	hash := fmt.Sprintf("_%x", sha256.Sum256([]byte(namespace)))[:9]
	return plain[:min(len(plain), most-len(suffix)-len(hash))] + hash + suffix
}

// slotState is a slot as pg_replication_slots shows it.
type slotState struct {
	there     bool
	active    bool
	lost      bool // Postgres has thrown away log that it needs
	confirmed pglogrepl.LSN
}

func (r *Relay) inspectSlot(ctx context.Context) (slotState, error) {
	var s slotState
	var confirmed string
	err := r.DB.QueryRow(ctx, `
		SELECT active, wal_status IS NOT DISTINCT FROM 'lost', coalesce(confirmed_flush_lsn, '0/0')::text
		FROM pg_replication_slots WHERE slot_name = $1`, r.slot).Scan(&s.active, &s.lost, &confirmed)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("inspect slot %s: %w", r.slot, err)
	}
	s.there = true
	if s.confirmed, err = pglogrepl.ParseLSN(confirmed); err != nil {
		return s, fmt.Errorf("inspect slot %s: %w", r.slot, err)
	}
	return s, nil
}

// dropSlot drops the slot if it is there, after noting that no stream carries on from the mark any more.
func (r *Relay) dropSlot(ctx context.Context) error {
	if err := r.breaksOff(ctx); err != nil {
		return err
	}
	_, err := r.DB.Exec(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1`, r.slot)
	if err != nil {
		return fmt.Errorf("drop slot %s: %w", r.slot, err)
	}
	return nil
}

// reads says whether the process of Postgres with that id reads the slot.
func (r *Relay) reads(ctx context.Context, pid uint32) (bool, error) {
	var ours bool
	err := r.DB.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active_pid = $2)`, r.slot, pid).Scan(&ours)
	if err != nil {
		return false, fmt.Errorf("look who reads slot %s: %w", r.slot, err)
	}
	return ours, nil
}
