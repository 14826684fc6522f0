package outbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// ErrRights says that the role of the connection may not look after partitions.
var ErrRights = errors.New("this role may not make partitions")

// CheckRights refuses a role that could not make partitions: it would be noticed when there are none left.
func CheckRights(ctx context.Context, db *postgres.DB) error {
	conn, err := db.Connect(ctx, nil)
	if err != nil {
		return fmt.Errorf("look at the rights of the role: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var role string
	var owns, creates bool
	err = conn.QueryRow(ctx, `
		SELECT current_user, bool_and(pg_has_role(relowner, 'USAGE')), has_schema_privilege('shared', 'CREATE')
		FROM pg_class c WHERE oid IN ('shared.outbox'::regclass, 'shared.inbox'::regclass)
			OR EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid AND inhparent IN ('shared.outbox'::regclass, 'shared.inbox'::regclass))`).
		Scan(&role, &owns, &creates)
	switch {
	case err != nil:
		return fmt.Errorf("look at the rights of the role: %w", err)
	case !owns:
		return fmt.Errorf("%w: %s must own shared.outbox, shared.inbox and their partitions, or be a member of the role that does", ErrRights, role)
	case !creates:
		return fmt.Errorf("%w: %s needs CREATE on schema shared", ErrRights, role)
	}
	return nil
}
