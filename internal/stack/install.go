package stack

import (
	"context"
	"log/slog"
)

// Install installs what is missing.
func Install(ctx context.Context, needs []Need, log *slog.Logger) error { return missingError(needs) }
