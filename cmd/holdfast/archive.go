package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/archive"
	"github.com/holdfast-checkout/holdfast/internal/stack"
)

// age is a duration that may be said in days.
type age time.Duration

// UnmarshalText reads 90d or 2160h.
func (a *age) UnmarshalText(text []byte) error {
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		*a = age(time.Duration(n) * 24 * time.Hour)
		return err
	}
	d, err := time.ParseDuration(string(text))
	*a = age(d)
	return err
}

type archiveCmd struct {
	PostgresURL    string `name:"postgres-url" help:"Postgres, as a URL; empty: that of the make run in this folder." placeholder:"postgres://…"`
	ReplicationURL string `name:"replication-url" help:"Postgres past any pooler, as the owner of the tables; empty: --postgres-url." placeholder:"postgres://…"`
	OlderThan      age    `default:"90d" help:"Move orders that ended so long ago: 90d, 2160h."`
	DryRun         bool   `help:"Say what would be moved, and change nothing."`
	Restore        string `help:"Bring this order back from the archive instead." placeholder:"ORDER"`
	JSON           bool   `name:"json" help:"Print JSON."`
}

// Run moves orders to the archive, or brings one back.
func (c *archiveCmd) Run(ctx context.Context, out io.Writer) error {
	if c.OlderThan <= 0 {
		return usageError{errors.New("--older-than: must be more than 0")}
	}
	url, err := c.books()
	if err != nil {
		return err
	}
	if c.Restore != "" {
		order, err := uuid.Parse(c.Restore)
		if err != nil {
			return usageError{fmt.Errorf("--restore: %w", err)}
		}
		if err := app.RestoreOrder(ctx, url, order); err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "order %s is back\n", order)
		return err
	}
	result, err := app.Archive(ctx, url, archive.Options{
		OlderThan: time.Duration(c.OlderThan), DryRun: c.DryRun, Log: newLog("warn", "text"),
	})
	if err != nil {
		return errors.Join(err, fmt.Errorf("%d orders were moved before; run it again for the rest", result.Moved))
	}
	if c.JSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(result)
	}
	return printArchive(out, result)
}

// books is where Postgres itself is.
func (c *archiveCmd) books() (string, error) {
	if url := cmp.Or(c.ReplicationURL, c.PostgresURL); url != "" {
		return url, nil
	}
	state, err := stack.LoadState(stackDir)
	if err != nil {
		return "", usageError{fmt.Errorf("give --postgres-url, or start `make run` in this folder: %w", err)}
	}
	return state.PostgresURL, nil
}

func printArchive(out io.Writer, r archive.Result) error {
	word := "moved"
	if r.DryRun {
		word = "would be moved"
	}
	fmt.Fprintf(out, "%d orders that ended before %s %s\n", r.Moved, r.Before.UTC().Format(time.RFC3339), word)
	for _, why := range slices.Sorted(maps.Keys(r.Kept)) {
		fmt.Fprintf(out, "%d stay: %s\n", r.Kept[why], why)
	}
	if len(r.Months) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MONTH\tORDERS\tTABLE\tMB")
	for _, m := range r.Months {
		where := m.Table
		if where == "" {
			where = "(gone)"
		} else if m.Gone > 0 {
			where += fmt.Sprintf(" (%d were dropped before)", m.Gone)
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%.1f\n", m.Month.Format("2006-01"), m.Orders, where, float64(m.Bytes)/(1<<20))
	}
	return table.Flush()
}
