package main

import (
	"context"
	"io"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/replay"
)

type replayCmd struct {
	target
	Products    string        `required:"" type:"existingfile" help:"File of products: sku, name, unit_price_minor; gzip or not."`
	Orders      string        `required:"" type:"existingfile" help:"File of order lines: invoice, customer, ts, sku, quantity; gzip or not."`
	Limit       int           `help:"The first so many invoices; 0: all."`
	Concurrency int           `default:"32" help:"Customers at the same time."`
	Rate        float64       `help:"Invoices begun per second; 0: as fast as it goes."`
	Seed        uint64        `default:"1" help:"Decides every random choice."`
	StockFactor float64       `default:"0.9" help:"Opening stock, as a share of what the invoices ask for."`
	Decline     float64       `default:"0.03" help:"Share of payments that are declined."`
	Repeat      float64       `default:"0.05" help:"Share of checkouts that are sent twice."`
	Abandon     float64       `default:"0.05" help:"Share of carts that are filled and left."`
	BuyNow      float64       `default:"0.2" help:"Share of invoices that are bought without a cart."`
	Strategy    string        `help:"Strategy to ask for; empty: the server's own."`
	Report      string        `help:"JSON report to write." placeholder:"F.json"`
	Patience    time.Duration `default:"2m" help:"How long one request is tried again while the server is away."`
	EndWait     time.Duration `default:"5m" help:"How long to wait at the end without any order ending."`
}

func (c *replayCmd) Run(ctx context.Context, out io.Writer) error {
	if err := c.find(); err != nil {
		return err
	}
	o := replay.Defaults()
	o.BaseURL, o.Tokens = c.URL, c.token
	o.Products, o.Orders, o.Limit, o.Concurrency, o.Rate, o.Seed = c.Products, c.Orders, c.Limit, c.Concurrency, c.Rate, c.Seed
	o.StockFactor, o.Decline, o.Repeat, o.Abandon, o.BuyNow = c.StockFactor, c.Decline, c.Repeat, c.Abandon, c.BuyNow
	o.Strategy, o.ReportPath, o.Patience, o.EndWait = c.Strategy, c.Report, c.Patience, c.EndWait
	if err := o.Validate(); err != nil {
		return usageError{err}
	}
	_, err := replay.Run(ctx, o, out)
	return err
}
