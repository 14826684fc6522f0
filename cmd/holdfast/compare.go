package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/compare"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/run"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

type compareCmd struct {
	config.Config
	Dir string `default:".compare" help:"Folder of the results (compare.json, compare.md, compare.svg) and of the servers that are started, whose data is thrown away."`

	Strategies []string `help:"Strategies to compare; empty: all."`
	Load       string   `enum:"hot,spread,data" default:"spread" help:"What is bought (${enum}): one unit of the same product, several lines over a catalogue, or the invoices of a file."`
	Customers  []int    `default:"1,16,128" help:"Customers at the same time, one number after the other."`
	Stock      []string `enum:"plenty,flash" default:"plenty,flash" help:"As much as is asked for (plenty); the same, but few units of the product that most orders want (flash)."`
	Holds      string   `enum:"both,with,without" default:"both" help:"With a hold on each order, without, or ${enum} one after the other."`
	Orders     int      `default:"400" help:"Orders for each line of the table."`
	Lines      int      `default:"5" help:"Lines of an order of the load spread."`
	Catalogue  int      `default:"1000" help:"Products of the load spread."`
	FlashUnits int64    `default:"100" help:"Units of the product on sale in a flash sale."`
	Decline    float64  `default:"0.05" help:"Share of payments that are declined."`
	Seed       uint64   `default:"1" help:"Decides what is bought, and who is declined."`

	ProductsFile string `type:"existingfile" help:"File of products of the load data, as replay takes it." placeholder:"FILE"`
	OrdersFile   string `type:"existingfile" help:"File of order lines of the load data, as replay takes it." placeholder:"FILE"`
}

// Run compares on servers of its own, or on those that are named.
func (c *compareCmd) Run(ctx context.Context, out io.Writer) error {
	o := c.options()
	if err := errors.Join(o.Validate(), app.Check(c.Config)); err != nil {
		return usageError{err}
	}
	log, done, err := c.log()
	if err != nil {
		return err
	}
	defer done()
	servers, err := stack.Start(ctx, stack.Options{Dir: c.Dir, Log: log, Fresh: true, PostgresURL: c.PostgresURL, RedisURL: c.RedisURL, RabbitURL: c.RabbitMQURL})
	if err != nil {
		return err
	}
	c.PostgresURL, c.RedisURL, c.RabbitMQURL = servers.PostgresURL(), servers.RedisURL(), servers.RabbitURL()
	o.PostgresURL = c.PostgresURL
	o.Start = func(ctx context.Context, s compare.Setting) (*compare.Server, error) { return c.start(ctx, s, log) }
	report, err := compare.Run(ctx, o, out)
	err = errors.Join(err, servers.Stop())
	if len(report.Results) > 0 {
		fmt.Fprintln(out)
		err = errors.Join(err, report.Print(out), report.Write(c.Dir))
	}
	return err
}

func (c *compareCmd) options() compare.Options {
	o := compare.Options{
		Strategies: c.Strategies, Customers: c.Customers, Stocks: c.Stock, Load: c.Load, Orders: c.Orders, Lines: c.Lines, Products: c.Catalogue,
		FlashUnits: c.FlashUnits, Decline: c.Decline, Seed: c.Seed, ProductsFile: c.ProductsFile, OrdersFile: c.OrdersFile,
		Namespace: c.Namespace + "-compare", // never that of a server which uses the same servers
	}
	if c.Holds != "without" {
		o.Holds = append(o.Holds, true)
	}
	if c.Holds != "with" {
		o.Holds = append(o.Holds, false)
	}
	if len(o.Strategies) == 0 {
		for _, s := range saga.All() {
			o.Strategies = append(o.Strategies, s.Name)
		}
	}
	c.StrategiesAllowed = append(c.StrategiesAllowed, o.Strategies...) // checked with the rest
	return o
}

// log makes the servers' log, of warnings: what is measured is not to write a line for each request.
func (c *compareCmd) log() (*slog.Logger, func(), error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, nil, err
	}
	file, err := os.Create(filepath.Join(c.Dir, "server.log"))
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.NewTextHandler(file, &slog.HandlerOptions{Level: slog.LevelWarn}))
	redisx.LogTo(log)
	return log, func() { _ = file.Close() }, nil
}

// start runs a payment sandbox and a server in this process, until the server that it gives is stopped.
func (c *compareCmd) start(ctx context.Context, s compare.Setting, log *slog.Logger) (*compare.Server, error) {
	cfg := c.Config
	cfg.PostgresURL, cfg.Namespace, cfg.HoldOnOrder, cfg.HTTPAddr, cfg.AdminAddr = s.PostgresURL, s.Namespace, s.HoldOnOrder, "127.0.0.1:0", ""
	cfg.JWTSecret, cfg.JWKS, cfg.PaymentProvider, cfg.SandboxKey = rand.Text()+rand.Text(), "", "sandbox", rand.Text()
	if err := postgres.Migrate(ctx, cfg.PostgresURL); err != nil {
		return nil, err
	}
	ledger := filepath.Join(c.Dir, "ledger.jsonl")
	if err := os.RemoveAll(ledger); err != nil {
		return nil, err
	}
	provider, err := sandbox.Open(sandbox.Options{Addr: "127.0.0.1:0", LedgerFile: ledger, APIKey: cfg.SandboxKey, Log: log})
	if err != nil {
		return nil, err
	}
	cfg.SandboxURL = provider.URL()
	ctx, cancel := context.WithCancel(ctx)
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- run.All(ctx, log, run.Part{Name: "sandbox", Run: provider.Run}, run.Part{Name: "server", Run: func(ctx context.Context) error {
			return app.Serve(ctx, cfg, log, func(_ context.Context, url string) error { ready <- url; return nil })
		}})
	}()
	stop := func() error { cancel(); return <-ended }
	select {
	case url := <-ready:
		tokens := web.Tokens{Secret: []byte(cfg.JWTSecret)}
		issue := func(sub string, admin bool) (string, error) { return tokens.Issue(sub, admin, tokenLife) }
		return &compare.Server{URL: url, Token: issue, Stop: stop}, nil
	case err := <-ended:
		cancel()
		return nil, errors.Join(errors.New("the server ended before it was ready"), err)
	}
}
