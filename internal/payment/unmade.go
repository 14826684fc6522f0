package payment

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// failures are refunds of orphans that were not made, and why.
type failures struct {
	charges, errors []string
	answered        []int
}

func (f *failures) add(charge string, err error) {
	answered := 0
	if errors.Is(err, ErrAnswered) {
		answered = 1
	}
	f.charges, f.errors, f.answered = append(f.charges, charge), append(f.errors, lastError(err)), append(f.answered, answered)
}

func (f *failures) note(ctx context.Context, db *postgres.DB) error {
	if len(f.charges) == 0 {
		return nil
	}
	_, err := db.Exec(ctx, `
		UPDATE payment.orphans o SET last_error = f.error, error_answers = o.error_answers + f.answered
		FROM unnest($1::text[], $2::text[], $3::int[]) AS f(id, error, answered) WHERE o.provider_id = f.id`, f.charges, f.errors, f.answered)
	if err != nil {
		return fmt.Errorf("note why %d orphans were not given back: %w", len(f.charges), err)
	}
	return nil
}
