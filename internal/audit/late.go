package audit

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// lateEntry is an entry that was made after the snapshot was taken, and whose it is.
type lateEntry struct {
	entry
	accountRead
}

// accountRead is an account whose books were read to their end.
type accountRead struct {
	Provider string `json:"provider"`
	Account  string `json:"account"`
}

// catchUpLate lays beside a snapshot's books what the providers' have gained since: what those books say is there by then. Books that
// could not be read before are not read now, or all of them would be late.
func (d *desk) catchUpLate(ctx context.Context, s *snapshot) error {
	late, read := []lateEntry{}, []accountRead{}
	for _, b := range d.books {
		if b.gone != nil {
			continue
		}
		of := accountRead{b.ledger.name(), b.account}
		more, err := b.late(ctx, s, of)
		switch {
		case err == nil:
			late, read = append(late, more...), append(read, of)
		case ctx.Err() != nil:
			return ctx.Err()
		case unreachable(err):
			b.gone = err
		default:
			return fmt.Errorf("lay the ledger beside the books: %w", err)
		}
	}
	return s.set(ctx, map[string]any{"holdfast.late_entries": late, "holdfast.audit_accounts": read})
}

// set puts what is to be seen as tables into settings of the snapshot's transaction.
func (s *snapshot) set(ctx context.Context, tables map[string]any) error {
	for name, rows := range tables {
		text, err := json.Marshal(rows)
		if err == nil {
			_, err = s.tx.Exec(ctx, `SELECT set_config($1, $2, true)`, name, string(text))
		}
		if err != nil {
			return fmt.Errorf("lay the ledger beside the books: %w", err)
		}
	}
	return nil
}

// late reads what an account's books have gained and what does not lie on the desk yet.
func (b *books) late(ctx context.Context, s *snapshot, of accountRead) ([]lateEntry, error) {
	var expected []string
	var err error
	if b.ledger.name() == "stripe" { // whose entries may have had no end when they were read
		if expected, err = b.expected(ctx, s); err != nil {
			return nil, err
		}
	}
	var gained []entry
	if err := b.reader.gained(ctx, expected, func(page []entry) error { gained = append(gained, page...); return nil }); err != nil {
		return nil, err
	}
	ids := make([]string, len(gained))
	for i, e := range gained {
		ids[i] = e.ID // what befell it later has the same
	}
	seen, err := textsOf(ctx, s, `SELECT kind || ' ' || id || ' ' || status, '' FROM audit_entries WHERE id = ANY ($1)`, ids)
	if err != nil {
		return nil, err
	}
	orders, err := textsOf(ctx, s, `SELECT id, order_id FROM audit_entries WHERE kind = 'charge' AND id = ANY ($1)`, chargesByHand(gained))
	if err != nil {
		return nil, err
	}
	var late []lateEntry
	for _, e := range gained {
		is := e.Kind + " " + e.ID + " " + e.Status
		if _, lies := seen[is]; lies {
			continue
		}
		if seen[is] = ""; e.Key == "" {
			if e.OrderID = orders[e.ChargeID]; e.OrderID == "" {
				continue // not of a charge of ours
			}
		}
		late = append(late, lateEntry{e, of})
	}
	return late, nil
}

// chargesByHand are what refunds that nobody here has asked for give back.
func chargesByHand(entries []entry) []string {
	charges := []string{}
	for _, e := range entries {
		if e.Key == "" {
			charges = append(charges, e.ChargeID)
		}
	}
	return charges
}

// textsOf reads pairs of texts.
func textsOf(ctx context.Context, s *snapshot, sql string, arg any) (map[string]string, error) {
	rows, err := s.tx.Query(ctx, sql, arg)
	if err != nil {
		return nil, err
	}
	pairs := map[string]string{}
	var key, value string
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error { pairs[key] = value; return nil })
	return pairs, err
}

// mostExpected is how many charges and refunds of ours are looked for once more.
const mostExpected = 100_000

// expected are the charges and refunds that the snapshot knows of and that do not lie on the desk.
func (b *books) expected(ctx context.Context, s *snapshot) ([]string, error) {
	rows, err := s.tx.Query(ctx, `
		SELECT t.provider_id FROM payment.transfers t
		WHERE (t.provider, t.account) = ($1, $2) AND t.credit <> 'outside' AND NOT EXISTS (SELECT FROM audit_entries e WHERE e.id = t.provider_id) LIMIT $3`,
		b.ledger.name(), b.account, mostExpected)
	if err != nil {
		return nil, fmt.Errorf("what the ledger should have: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
