// Package bench measures what the engine does beside what the same server could do at most: each row is a ratio between
// our own way, over HTTP and through every part, and a reference run in the same minutes against the same Postgres. What
// is compared is said in docs/benchmarks.md.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-checkout/holdfast/internal/stack"
)

// Options say what is measured and where.
type Options struct {
	Rows         string   // only rows whose name begins so; empty: all
	Orders       int      // sagas per row
	References   int      // orders of each pgbench reference: not more than Orders are played
	Holds        int      // per row
	Lines        int      // of each order
	Concurrency  int      // sagas at the same time
	Clients      int      // of pgbench
	Products     int      // in the catalogue
	Catalogue    int      // products that are reconciled
	Facts        int      // of each outbox row
	FactsWaiting int      // for a broker that is away
	Seed         uint64   // decides which products are in which order
	Binary       string   // the holdfast program
	Dir          string   // data and logs of the run; emptied first
	Scripts      string   // folder of the pgbench scripts
	Out          string   // JSON file of the rows
	ServerFlags  []string // handed to the server, to compare settings
	Log          *slog.Logger
}

// Row is one comparison. Ratio is ours divided by reference; both are in unit.
type Row struct {
	Name          string         `json:"name"`
	Ours          float64        `json:"ours"`
	Reference     float64        `json:"reference"`
	ReferenceName string         `json:"reference_name"`
	Ratio         float64        `json:"ratio"`
	Unit          string         `json:"unit"`
	Detail        map[string]any `json:"detail"`
}

// chosen are the rows that the options ask for.
func (o Options) chosen() ([]measure, error) {
	var chosen []measure
	for _, m := range measures() {
		if strings.HasPrefix(m.name, o.Rows) {
			chosen = append(chosen, m)
		}
	}
	if chosen == nil {
		return nil, fmt.Errorf("no row begins with %q", o.Rows)
	}
	return chosen, nil
}

// validate says what cannot be run.
func (o Options) validate() error {
	switch {
	case o.Orders < 1 || o.References < 1 || o.Holds < 1 || o.Lines < 1 || o.Concurrency < 1 || o.Clients < 1 || o.Facts < 1:
		return errors.New("orders, reference orders, holds, lines, concurrency, clients and facts must be above 0")
	case o.Products < o.Lines:
		return fmt.Errorf("%d products are too few for orders of %d lines", o.Products, o.Lines)
	}
	return nil
}

// Run measures the rows, prints them as a table and writes them to the file, which keeps the rows that were not measured this time. It fails when an order did not complete: what
// is fast and wrong is not measured.
func Run(ctx context.Context, o Options, out io.Writer) ([]Row, error) {
	chosen, err := o.chosen()
	if err != nil {
		return nil, err
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	earlier, err := readRows(o.Out)
	if err != nil {
		return nil, err
	}
	if err := busy(); err != nil {
		o.Log.WarnContext(ctx, "the machine is busy with something else", "error", err)
	}
	if err := os.RemoveAll(o.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	servers, err := stack.Start(ctx, stack.Options{Dir: filepath.Join(o.Dir, "stack"), Log: o.Log, Fresh: true})
	if err != nil {
		return nil, err
	}
	rows, err := runOn(ctx, o, servers, chosen)
	err = errors.Join(err, servers.Stop())
	if len(rows) > 0 {
		printTable(out, rows)
		err = errors.Join(err, writeRows(o.Out, latest(rows, earlier)))
	}
	return rows, err
}

func runOn(ctx context.Context, o Options, servers *stack.Stack, chosen []measure) ([]Row, error) {
	var rows []Row
	shared := references{}
	for i, m := range chosen {
		p := &place{Options: o, servers: servers, postgresURL: servers.PostgresURL(), prefix: fmt.Sprintf("bench%d", i), shop: newShop(o), references: shared}
		row, err := m.run(ctx, p)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", m.name, err)
		}
		row.Name = m.name
		rows = append(rows, row)
	}
	return rows, nil
}
