// Command bench measures the engine beside references in the same run: see docs/benchmarks.md.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/holdfast-checkout/holdfast/internal/bench"
)

type cli struct {
	Rows         string `default:"" help:"Run the rows whose name begins so; empty: all."`
	Orders       int    `default:"20000" help:"Sagas per row."`
	References   int    `name:"reference-orders" default:"6000" help:"Orders of each pgbench reference, which all saga rows share; not more than --orders."`
	Holds        int    `default:"20000" help:"Holds per row."`
	Lines        int    `default:"25" help:"Lines of each order."`
	Concurrency  int    `default:"256" help:"Sagas at the same time."`
	Clients      int    `default:"8" help:"Clients of pgbench."`
	Products     int    `default:"3500" help:"Products in the catalogue."`
	Catalogue    int    `default:"1000000" help:"Products that are reconciled."`
	Facts        int    `default:"100000" help:"Facts that an outbox row takes to the broker."`
	FactsWaiting int    `default:"1000000" help:"Facts that wait for a broker that is away, while memory is looked at."`
	Seed         uint64 `default:"1" help:"Decides what is bought."`
	Binary       string `default:"bin/holdfast" help:"The program to measure."`
	Dir          string `default:"bench/out" help:"Folder of data and logs; emptied first."`
	Scripts      string `default:"bench" help:"Folder of the pgbench scripts."`
	Out          string `default:"bench/latest.json" help:"File of the results."`
	ServerFlags  string `help:"Flags for the server, separated by spaces."`
	Verbose      bool   `help:"Log what the servers are told."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	kong.Parse(&c, kong.Name("bench"), kong.Description("Measures the engine beside references."))
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (c *cli) run(ctx context.Context) error {
	level := slog.LevelWarn
	if c.Verbose {
		level = slog.LevelInfo
	}
	_, err := bench.Run(ctx, bench.Options{
		Rows: c.Rows, Orders: c.Orders, References: c.References, Holds: c.Holds, Lines: c.Lines, Concurrency: c.Concurrency, Clients: c.Clients,
		Products: c.Products, Catalogue: c.Catalogue, Facts: c.Facts, FactsWaiting: c.FactsWaiting, Seed: c.Seed,
		Binary: c.Binary, Dir: c.Dir, Scripts: c.Scripts, Out: c.Out, ServerFlags: strings.Fields(c.ServerFlags),
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}, os.Stdout)
	return err
}
