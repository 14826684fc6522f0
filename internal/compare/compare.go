// Package compare plays one load against each strategy in turn, on the same servers, and tells what each of them came to: how many
// orders were completed in a second, how long they took to their end, what they cost Postgres, and what had to be undone.
//
// Every strategy has an empty database and a server of its own, once with holds on orders and once without. It knows a server by its
// public contract, and reads the books for what that does not tell.
package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Names of the loads.
const (
	Hot    = "hot"    // every order has one unit of the same product
	Spread = "spread" // orders have several lines over a catalogue, the first products more often
	Data   = "data"   // the invoices of a file
)

// Names of how much stock there is.
const (
	Plenty = "plenty" // as much as is asked for
	Flash  = "flash"  // the same, but few units of the product that most orders want
)

// Options say what is compared, and with what.
type Options struct {
	Strategies []string
	Customers  []int    // so many at the same time, one after the other
	Stocks     []string // Plenty, Flash
	Holds      []bool   // with a hold on the order, or without

	Load       string // Hot, Spread or Data
	Orders     int    // of each cell
	Lines      int    // of each order of Spread
	Products   int    // in the catalogue of Spread
	FlashUnits int64  // of the product on sale in Flash
	Decline    float64
	Seed       uint64

	ProductsFile, OrdersFile string // of Data, as replay takes them

	PostgresURL string // of any database of a server on which databases may be made
	Namespace   string // of the servers that are started, one after the other
	Start       Start
}

// Setting is what one server is started with.
type Setting struct {
	PostgresURL string // of an empty database without a schema
	Namespace   string
	HoldOnOrder bool
}

// Server is a running server.
type Server struct {
	URL   string // without /api/v1
	Token func(sub string, admin bool) (string, error)
	Stop  func() error // and waits until it has
}

// Start starts a server and gives it when it answers.
type Start func(ctx context.Context, s Setting) (*Server, error)

// Validate says what is wrong with the options, all of it at once.
func (o Options) Validate() error {
	var errs []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(len(o.Strategies) == 0, "no strategy to compare")
	refuse(len(o.Customers) == 0 || slices.Min(append([]int{1}, o.Customers...)) < 1, "customers: one number or several, each 1 or more")
	refuse(len(o.Stocks) == 0, "no stock")
	for _, stock := range o.Stocks {
		refuse(stock != Plenty && stock != Flash, "stock %q is neither %s nor %s", stock, Plenty, Flash)
	}
	refuse(len(o.Holds) == 0, "neither with holds on orders nor without")
	refuse(o.Load != Hot && o.Load != Spread && o.Load != Data, "load %q is not %s, %s or %s", o.Load, Hot, Spread, Data)
	refuse(o.Orders < 1, "orders %d is below 1", o.Orders)
	refuse(o.FlashUnits < 0, "flash-units %d is below 0", o.FlashUnits)
	refuse(!(o.Decline >= 0 && o.Decline <= 1), "decline %g is not a share between 0 and 1", o.Decline)
	refuse(o.Load == Spread && (o.Lines < 1 || o.Lines > o.Products), "lines %d: from 1 to the number of products, %d", o.Lines, o.Products)
	refuse(o.Load == Data && (o.ProductsFile == "" || o.OrdersFile == ""), "the load %s needs a file of products and one of orders", Data)
	return errors.Join(errs...)
}

// Result is what one strategy came to in one cell.
type Result struct {
	Strategy    string `json:"strategy"`
	HoldOnOrder bool   `json:"hold_on_order"`
	Stock       string `json:"stock"`
	Customers   int    `json:"customers"`

	Orders    int            `json:"orders"` // asked for
	Made      int            `json:"made"`   // not refused at once
	Completed int            `json:"completed"`
	Failed    map[string]int `json:"failed"` // by reason
	Refused   int            `json:"refused"`
	TryAgain  int            `json:"told_to_try_again"`

	Seconds            float64 `json:"seconds"` // from the first request to the last end
	CompletedPerSecond float64 `json:"completed_per_second"`
	P50                float64 `json:"p50_ms"` // of an order that was made, from its request to its end, as its customer sees it
	P99                float64 `json:"p99_ms"`

	FactsPerOrder        float64 `json:"facts_per_order"` // of orders that were made, like the next two
	TransactionsPerOrder float64 `json:"transactions_per_order"`
	WALBytesPerOrder     float64 `json:"wal_bytes_per_order"`
	Compensations        int     `json:"compensations"`            // orders of which stock or money was given back
	Refunds              int     `json:"refunds"`                  // of these: money
	TurnedAway           int     `json:"turned_away_though_there"` // orders without stock that what was left at the end would have served
}

// Report is a whole comparison.
type Report struct {
	Load       string   `json:"load"`
	Orders     int      `json:"orders"`
	Lines      float64  `json:"lines_per_order"`
	FlashUnits int64    `json:"flash_units"`
	Decline    float64  `json:"decline"`
	Seed       uint64   `json:"seed"`
	Results    []Result `json:"results"`
}

// Run compares, and says on out how far it is. What was measured is given also when it fails.
func Run(ctx context.Context, o Options, out io.Writer) (Report, error) {
	if err := o.Validate(); err != nil {
		return Report{}, err
	}
	orders, err := o.orders()
	if err != nil {
		return Report{}, err
	}
	report := Report{Load: o.Load, Orders: len(orders), Lines: rounded(linesPerOrder(orders), 1), FlashUnits: o.FlashUnits, Decline: o.Decline, Seed: o.Seed}
	for _, hold := range o.Holds {
		for _, strategy := range o.Strategies {
			results, err := o.strategy(ctx, strategy, hold, orders, out)
			report.Results = append(report.Results, results...)
			if err != nil {
				return report, fmt.Errorf("%s: %w", strategy, err)
			}
		}
	}
	return report, nil
}

// strategy plays all cells of one strategy on an empty database.
func (o Options) strategy(ctx context.Context, strategy string, hold bool, orders []order, out io.Writer) (results []Result, err error) {
	books, err := newBooks(ctx, o.PostgresURL, o.Namespace)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, books.drop(context.WithoutCancel(ctx))) }()
	server, err := o.Start(ctx, Setting{PostgresURL: books.url, Namespace: o.Namespace, HoldOnOrder: hold})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	warm := cell{strategy: strategy, hold: hold, stock: Plenty, customers: slices.Max(o.Customers), name: "warm", orders: orders[:min(len(orders), mostWarm)]}
	if _, err := o.play(ctx, server, books, warm); err != nil {
		return nil, fmt.Errorf("warm up: %w", err)
	}
	for _, stock := range o.Stocks {
		for _, customers := range o.Customers {
			c := cell{strategy: strategy, hold: hold, stock: stock, customers: customers, name: fmt.Sprintf("%s-%d", stock, customers), orders: orders}
			r, err := o.play(ctx, server, books, c)
			if err != nil {
				return results, fmt.Errorf("%s: %w", c.name, err)
			}
			results = append(results, r)
			fmt.Fprintf(out, "%s, %s, %s stock, %d customers: %.1f completed/s\n", strategy, holding(hold), stock, customers, r.CompletedPerSecond)
		}
	}
	return results, nil
}

// mostWarm is how many orders warm up before it counts.
const mostWarm = 100

func holding(hold bool) string {
	if hold {
		return "hold on order"
	}
	return "no hold on order"
}
