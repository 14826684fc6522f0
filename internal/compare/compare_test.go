package compare

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/client"
	"github.com/holdfast-checkout/holdfast/internal/replay"
)

func wants(sku string, quantity int64, more ...replay.Line) order {
	return order{lines: append([]replay.Line{{SKU: sku, Quantity: quantity}}, more...)}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i+1) * time.Millisecond
	}
	for _, c := range []struct {
		of    []time.Duration
		share float64
		want  float64
	}{
		{hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred[:1], 0.5, 1}, {hundred[:1], 0.99, 1}, {hundred[:2], 0.5, 1}, {nil, 0.5, 0},
	} {
		if got := quantile(c.of, c.share); got != c.want {
			t.Errorf("the %g of %d is %g, want %g", c.share, len(c.of), got, c.want)
		}
	}
}

func TestResultOfACell(t *testing.T) {
	t.Parallel()
	tally := &tally{failed: map[string]int{}, seconds: 2}
	tally.again.Add(3)
	complete := ending{End: client.End{Status: "COMPLETED"}}
	failed := func(why string) ending { return ending{End: client.End{Status: "FAILED", FailureReason: why}} }
	for _, end := range []ending{complete, complete, failed(outOfStock), failed("PAYMENT_FAILED"), {refused: true}} {
		tally.count(wants("tea", 1), end, time.Duration(len(tally.took)+1)*time.Second)
	}
	before := counters{facts: 10, transactions: 100, wal: 1000, compensated: 1, refunded: 1}
	after := counters{facts: 30, transactions: 140, wal: 9000, compensated: 3, refunded: 2}
	c := cell{strategy: "parallel", hold: true, stock: Flash, customers: 16, orders: make([]order, 5)}
	got := tally.result(c, before, after, map[string]int64{"tea": 1})
	want := Result{
		Strategy: "parallel", HoldOnOrder: true, Stock: Flash, Customers: 16, Orders: 5, Made: 4, Completed: 2,
		Failed: map[string]int{outOfStock: 1, "PAYMENT_FAILED": 1}, Refused: 1, TryAgain: 3, Seconds: 2, CompletedPerSecond: 1, P50: 2000, P99: 4000,
		FactsPerOrder: 5, TransactionsPerOrder: 10, WALBytesPerOrder: 2000, Compensations: 2, Refunds: 1, TurnedAway: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Of those who had no stock, as many were turned away in vain as what is left would have served.
func TestTurnedAwayThoughItWasThere(t *testing.T) {
	t.Parallel()
	without := []order{wants("tea", 3), wants("tea", 2, replay.Line{SKU: "cup", Quantity: 1}), wants("tea", 2), wants("cup", 1)}
	for _, c := range []struct {
		left map[string]int64
		want int
	}{
		{map[string]int64{}, 0}, {map[string]int64{"tea": 2}, 1}, {map[string]int64{"tea": 2, "cup": 1}, 1}, {map[string]int64{"tea": 9, "cup": 2}, 4},
	} {
		if got := turnedAway(without, c.left); got != c.want {
			t.Errorf("%d in vain, want %d", got, c.want)
		}
	}
}

func TestLoads(t *testing.T) {
	t.Parallel()
	o := Options{Load: Hot, Orders: 400, FlashUnits: 100, Decline: 0.25, Seed: 3, Lines: 4, Products: 50}
	hot, err := o.orders()
	if err != nil || len(hot) != 400 || o.openingStock(hot, Plenty)[sku(0)] != 400 || o.openingStock(hot, Flash)[sku(0)] != 100 {
		t.Errorf("hot: %d orders, %v", len(hot), err)
	}
	declined := 0
	for _, x := range hot {
		if x.declined {
			declined++
		}
	}
	if declined < 70 || declined > 130 {
		t.Errorf("%d of 400 are declined, want a quarter", declined)
	}
	o.Load = Spread
	spread, err := o.orders()
	again, _ := o.orders()
	if err != nil || cmp.Diff(spread, again, cmp.AllowUnexported(order{})) != "" || linesPerOrder(spread) != 4 {
		t.Errorf("spread: %v, or another load by the same seed", err)
	}
	plenty, flash := o.openingStock(spread, Plenty), o.openingStock(spread, Flash)
	if sale := mostWanted(spread); sale != sku(0) || flash[sale] != 100 || plenty[sale] <= 100 || plenty[sku(1)] != flash[sku(1)] {
		t.Errorf("on sale is %s: %d of %d", sale, flash[sale], plenty[sale])
	}
}

func TestLoadOfAFile(t *testing.T) {
	t.Parallel()
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	o := Options{
		Load: Data, Orders: 2, ProductsFile: write("p.csv", "sku,name,unit_price_minor\ntea,Tea,100\n"),
		OrdersFile: write("o.csv", "invoice,customer,ts,sku,quantity\n2,b,2011-01-02T00:00:00Z,tea,1\n1,a,2011-01-01T00:00:00Z,tea,2\n1,a,2011-01-01T00:00:00Z,cup,5\n3,c,2011-01-03T00:00:00Z,tea,1\n"),
	}
	orders, err := o.orders()
	want := []order{wants("tea", 2, replay.Line{SKU: "cup", Quantity: 5}), wants("tea", 1)}
	if diff := cmp.Diff(want, orders, cmp.AllowUnexported(order{})); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	t.Parallel()
	good := Options{Strategies: []string{"optimistic"}, Customers: []int{1}, Stocks: []string{Plenty}, Holds: []bool{true}, Load: Hot, Orders: 1}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"no strategy": func(o *Options) { o.Strategies = nil }, "no customers": func(o *Options) { o.Customers = nil },
		"customers": func(o *Options) { o.Customers = []int{16, 0} }, "stock": func(o *Options) { o.Stocks = []string{"some"} },
		"load": func(o *Options) { o.Load = "warm" }, "orders": func(o *Options) { o.Orders = 0 }, "units": func(o *Options) { o.FlashUnits = -1 },
		"decline": func(o *Options) { o.Decline = math.NaN() }, "lines": func(o *Options) { o.Load, o.Lines, o.Products = Spread, 3, 2 },
		"files": func(o *Options) { o.Load = Data }, "holds": func(o *Options) { o.Holds = nil },
	} {
		o := good
		if change(&o); o.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// testReport has every situation, a strategy whose name needs care, and numbers from nothing to many.
func testReport() Report {
	r := Report{Load: Spread, Orders: 9}
	for _, hold := range []bool{true, false} {
		for _, stock := range []string{Plenty, Flash} {
			for i, customers := range []int{1, 16} {
				for _, strategy := range []string{"optimistic", `<"&'>`} {
					r.Results = append(r.Results, Result{Strategy: strategy, HoldOnOrder: hold, Stock: stock, Customers: customers, CompletedPerSecond: float64(i) * 123.4, P50: 0.3, P99: 98765})
				}
			}
		}
	}
	return r
}

func TestPlotIsWellFormed(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]Report{"whole": testReport(), "empty": {}} {
		d := xml.NewDecoder(strings.NewReader(r.plot()))
		bars := 0
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			start, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			if start.Name.Local == "title" {
				bars++
			}
			for _, a := range start.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") || strings.HasPrefix(a.Value, "-") {
					t.Errorf("%s: %s is %s", start.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
		if bars != len(r.Results)*len(drawn) {
			t.Errorf("%s: %d bars of %d results", name, bars, len(r.Results))
		}
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]float64{0: 1, 0.3: 0.4, 1: 1, 1.1: 2, 3: 4, 8: 8, 8.1: 10, 1234: 2000} {
		if got := roundUp(x); math.Abs(got-want) > want/1e9 {
			t.Errorf("the scale for %g ends at %g, want %g", x, got, want)
		}
	}
}

func TestTableHasARowForEachResult(t *testing.T) {
	t.Parallel()
	r := testReport()
	lines := strings.Split(strings.TrimSpace(r.markdown()), "\n")
	if len(lines) != 4+len(r.Results) || strings.Count(lines[2], "|") != strings.Count(lines[len(lines)-1], "|") {
		t.Errorf("%d lines:\n%s", len(lines), r.markdown())
	}
}
