package lease

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Seize takes a lease from whoever holds it, and ends their term. It is for who has shown by other means that it alone may do
// the work, as the one reader of a replication slot, and needs a term to be fenced by. Renew it, and give it back at the end.
func (l *Lease) Seize(ctx context.Context, name string) (Term, error) {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/2)
	defer cancel()
	term := Term{Name: name, Holder: l.holder}
	err := l.db.QueryRow(ctx, `
		INSERT INTO shared.leases AS l (name, holder, term, expires_at) VALUES ($1, $2, 1, clock_timestamp() + $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, term = l.term + 1, expires_at = excluded.expires_at
		RETURNING term`, name, l.holder, l.ttl).Scan(&term.Number)
	if err != nil {
		return Term{}, fmt.Errorf("seize lease %s: %w", name, err)
	}
	return term, nil
}

// Renew prolongs a lease that was seized; ErrOver says that somebody else has taken it.
func (l *Lease) Renew(ctx context.Context, term Term) error {
	if err := l.prolong(ctx, term); err != nil {
		return fmt.Errorf("renew lease %s: %w", term.Name, err)
	}
	return nil
}

// GiveBack ends a seized term at once.
func (l *Lease) GiveBack(ctx context.Context, term Term) { l.giveBack(ctx, term) }

// InTx runs a leader's writes in a transaction of their own that fails with ErrOver, and changes nothing, when the term is
// over. It rings no bell: facts are said by it only together with a commit that does.
func InTx(ctx context.Context, db *postgres.DB, term Term, write func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := Fence(ctx, tx, term); err != nil {
			return err
		}
		return write(tx)
	})
}

// Over says whether an error means that a term has ended.
func Over(err error) bool { return errors.Is(err, ErrOver) }
