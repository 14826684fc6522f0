package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/app"
)

type auditCmd struct {
	books
	Wait     time.Duration `default:"30s" help:"How long to wait for rest: nothing under way, queues empty."`
	Cooldown time.Duration `default:"10s" help:"Rest means that nothing has changed for so long."`
	Archive  bool          `help:"Read the documents of archived orders again, too."`
	Report   string        `help:"JSON report to write." placeholder:"F.json"`
}

// Run proves the invariants: exit code 0 when all hold, 3 when one is broken, 1 when some could not be judged.
func (c *auditCmd) Run(ctx context.Context, out io.Writer) error {
	if err := c.find(stackDir); err != nil {
		return err
	}
	providers, err := c.providers()
	if err != nil {
		return err
	}
	report, err := app.Audit(ctx, c.Servers, providers, app.Rest{Wait: c.Wait, Cooldown: c.Cooldown, Archive: c.Archive})
	if err != nil {
		return err
	}
	if err := report.Print(out); err != nil {
		return err
	}
	if c.Report != "" {
		if err := writeJSON(c.Report, report); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if code := report.ExitCode(); code != exitDone {
		return exitCode(code)
	}
	return nil
}
