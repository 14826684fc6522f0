package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// Latency is in milliseconds. Readings are at most 3 percent too high.
type Latency struct {
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
	Count int64   `json:"count"`
}

// Report is what a run came to. Seconds go from the first invoice until the last order was seen to have ended.
type Report struct {
	RunID    string `json:"run_id"`
	URL      string `json:"url"`
	Strategy string `json:"strategy,omitempty"` // asked for; empty: the server's own
	Seed     uint64 `json:"seed"`
	Products int    `json:"products"`
	Invoices int    `json:"invoices"`
	Lines    int    `json:"lines"`

	SkippedCancellations int `json:"skipped_cancellations"` // rows of the file of orders
	SkippedNegative      int `json:"skipped_negative"`      // rows of the file of orders

	OrdersPlaced    int            `json:"orders_placed"`
	OrdersCompleted int            `json:"orders_completed"`
	OrdersFailed    map[string]int `json:"orders_failed"` // by reason
	OrdersCancelled int            `json:"orders_cancelled"`
	OrdersNotEnded  int            `json:"orders_not_ended"`

	RejectedAtCart     int            `json:"rejected_at_cart"`     // lines that the cart did not take
	RejectedAtCartBy   map[string]int `json:"rejected_at_cart_by"`  // the same by the kind of problem
	RejectedAtCheckout int            `json:"rejected_at_checkout"` // lines that were gone when the order was made
	CheckoutsRefused   map[string]int `json:"checkouts_refused"`    // visits that ended without an order, by the last problem
	NothingLeft        int            `json:"nothing_left"`         // visits that lost every line
	Abandoned          int            `json:"abandoned"`            // carts filled and left

	Repeated            int `json:"repeated"`             // checkouts sent twice that made an order
	RepeatedDifferently int `json:"repeated_differently"` // of these: another order id, lines or total
	OrderedDifferently  int `json:"ordered_differently"`  // orders whose lines are not those asked for
	ReadDifferently     int `json:"read_differently"`     // orders read at the end with other lines or total than answered
	Retried             int `json:"retried"`              // attempts beyond the first: lost, timed out, 429, 5xx, in use

	Seconds         float64 `json:"seconds"`
	OrdersPerSecond float64 `json:"orders_per_second"`
	CartMS          Latency `json:"cart_ms"`       // of one line put into a cart, the attempt that was answered
	CheckoutMS      Latency `json:"checkout_ms"`   // of the POST that made the order, the attempt that was answered
	EndToEndMS      Latency `json:"end_to_end_ms"` // ended_at - created_at of the orders, by the server's clock
}

// report gives the counters as they stand.
func (t *tally) report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.counts
	r.OrdersFailed, r.RejectedAtCartBy, r.CheckoutsRefused = maps.Clone(r.OrdersFailed), maps.Clone(r.RejectedAtCartBy), maps.Clone(r.CheckoutsRefused)
	r.OrdersNotEnded = r.OrdersPlaced - r.OrdersCompleted - r.OrdersCancelled - sum(r.OrdersFailed)
	r.CartMS, r.CheckoutMS, r.EndToEndMS = t.carts.latency(), t.checkouts.latency(), t.e.latency()
	if !t.began.IsZero() {
		until := t.ended
		if until.IsZero() {
			until = time.Now()
		}
		seconds := until.Sub(t.began).Seconds()
		r.Seconds = math.Round(seconds*1000) / 1000
		r.OrdersPerSecond = math.Round(float64(r.OrdersPlaced)/seconds*100) / 100
	}
	return r
}

func sum(counts map[string]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}

// verdict is the error for promises that were not kept.
func (r Report) verdict() error {
	var errs []error
	broken := func(n int, what string) {
		if n > 0 {
			errs = append(errs, fmt.Errorf("%d %s", n, what))
		}
	}
	broken(r.OrdersNotEnded, "orders have not ended")
	broken(r.RepeatedDifferently, "repeated requests got another answer")
	broken(r.OrderedDifferently, "orders are not what was asked for")
	broken(r.ReadDifferently, "orders were read with other lines or another total than answered")
	return errors.Join(errs...)
}

// write writes the report as JSON.
func (r Report) write(path string) error {
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.WriteFile(path, append(body, '\n'), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// print prints the report as a table. What cannot be printed is in the report file.
func (r Report) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, n int) { fmt.Fprintf(w, "%s\t%d\n", name, n) }
	reasons := func(name string, counts map[string]int) {
		for _, reason := range slices.Sorted(maps.Keys(counts)) {
			row(name+" "+reason, counts[reason])
		}
	}
	fmt.Fprintf(w, "\nrun %s\t%d invoices, %d lines, seed %d\n", r.RunID, r.Invoices, r.Lines, r.Seed)
	if r.SkippedCancellations+r.SkippedNegative > 0 {
		row("rows skipped, of cancellations", r.SkippedCancellations)
		row("rows skipped, other quantities of 0 or less", r.SkippedNegative)
	}
	row("orders placed", r.OrdersPlaced)
	row("orders completed", r.OrdersCompleted)
	reasons("orders failed", r.OrdersFailed)
	row("orders cancelled", r.OrdersCancelled)
	row("orders not ended", r.OrdersNotEnded)
	row("lines rejected at the cart", r.RejectedAtCart)
	row("lines rejected at checkout", r.RejectedAtCheckout)
	reasons("checkouts refused", r.CheckoutsRefused)
	row("visits left with nothing", r.NothingLeft)
	row("carts abandoned", r.Abandoned)
	row("requests repeated", r.Repeated)
	row("repeated differently", r.RepeatedDifferently)
	row("attempts retried", r.Retried)
	fmt.Fprintf(w, "seconds\t%.1f\n", r.Seconds)
	fmt.Fprintf(w, "orders per second\t%.1f\n", r.OrdersPerSecond)
	fmt.Fprintf(w, "\nmilliseconds\tp50\tp95\tp99\tmax\tcount\n")
	for _, l := range []struct {
		name string
		Latency
	}{{"put into the cart", r.CartMS}, {"checkout", r.CheckoutMS}, {"order to its end", r.EndToEndMS}} {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%d\n", l.name, l.P50, l.P95, l.P99, l.Max, l.Count)
	}
	_ = w.Flush()
}
