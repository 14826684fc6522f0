package inbox

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Alone remembers, past the death of the process, which facts a module has begun to hear alone.
type Alone struct{ DB *postgres.DB }

// Begin notes that a module begins to hear a fact, and says how often that was begun before without an End.
func (a Alone) Begin(ctx context.Context, module string, fact uuid.UUID) (deaths int, err error) {
	const note = `
		INSERT INTO shared.hearings AS h (module, fact_id, begun) VALUES ($1, $2, 1)
		ON CONFLICT (module, fact_id) DO UPDATE SET begun = h.begun + 1, at = now()
		RETURNING begun - 1`
	if err := a.DB.QueryRow(ctx, note, module, fact).Scan(&deaths); err != nil {
		return 0, fmt.Errorf("note that %s hears %s alone: %w", module, fact, err)
	}
	return deaths, nil
}

// End forgets it.
func (a Alone) End(ctx context.Context, module string, fact uuid.UUID) error {
	if _, err := a.DB.Exec(ctx, `DELETE FROM shared.hearings WHERE module = $1 AND fact_id = $2`, module, fact); err != nil {
		return fmt.Errorf("note that %s has heard %s alone: %w", module, fact, err)
	}
	return nil
}

// Clean forgets facts that are older than the inbox: they are not heard again. It answers how many.
func (a Alone) Clean(ctx context.Context, retention time.Duration) (int64, error) {
	n, err := a.DB.InSteps(ctx, `
		DELETE FROM shared.hearings WHERE ctid = ANY (ARRAY(
			SELECT ctid FROM shared.hearings WHERE at < now() - $1::interval ORDER BY at LIMIT $2))`, retention)
	if err != nil {
		return n, fmt.Errorf("forget what was heard alone: %w", err)
	}
	return n, nil
}
