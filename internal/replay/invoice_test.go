package replay

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const fewProducts = "sku,name,unit_price_minor,units_sold\na,LAMP,100,5\nb,\"CUP, BLUE\",250,9\nz,NEVER ASKED FOR,1,0\n"

// Rows out of order, an invoice in two places, one sku twice on it, a guest with the number of a customer's invoice.
const fewOrders = `invoice,customer,ts,sku,quantity,unit_price_minor,country
3,c1,2011-01-03T10:00:00Z,a,1,100,UK
1,c1,2011-01-01T10:00:00Z,a,2,100,UK
2,,2011-01-02T10:00:00Z,b,4,250,UK
1,c1,2011-01-01T10:00:00Z,b,1,250,UK
1,c1,2011-01-01T10:00:00Z,a,3,100,UK
1,,2011-01-04T10:00:00Z,new,7,90,UK
4,c2,2011-01-05T10:00:00Z,new,7,80,UK
`

func few(t *testing.T) Options {
	t.Helper()
	o := Defaults()
	o.Products, o.Orders = written(t, "p.csv", fewProducts), written(t, "o.csv", fewOrders)
	return o
}

func TestLoadGroupsSumsAndOrders(t *testing.T) {
	t.Parallel()
	o := few(t)
	o.Limit = 4
	s, err := load(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.invoices {
		s.invoices[i].plan = plan{}
	}
	day := func(d int) time.Time { return time.Date(2011, 1, d, 10, 0, 0, 0, time.UTC) }
	want := []invoice{
		{number: "1", customer: "c1", at: day(1), lines: []line{{"a", 5}, {"b", 1}}},
		{number: "2", at: day(2), lines: []line{{"b", 4}}},
		{number: "3", customer: "c1", at: day(3), lines: []line{{"a", 1}}},
		{number: "1", at: day(4), lines: []line{{"new", 7}}},
	}
	if diff := cmp.Diff(want, s.invoices, compare); diff != "" {
		t.Error(diff)
	}
	if s.lines != 5 {
		t.Errorf("%d lines, want 5", s.lines)
	}
}

func TestStockIsAFactorOfTheDemandThatIsPlayed(t *testing.T) {
	t.Parallel()
	o := few(t)
	o.Limit, o.StockFactor = 4, 0.5
	s, err := load(o)
	if err != nil {
		t.Fatal(err)
	}
	want := []product{
		{sku: "a", name: "LAMP", price: 100, stock: 3, line: 2},
		{sku: "b", name: "CUP, BLUE", price: 250, stock: 3, line: 3},
		{sku: "z", name: "NEVER ASKED FOR", price: 1, line: 4},
		{sku: "new", name: "new", price: 80, stock: 4},
	}
	if diff := cmp.Diff(want, s.products, compare); diff != "" {
		t.Error(diff)
	}
}

func TestLoadRefusesNothingToPlay(t *testing.T) {
	t.Parallel()
	o := few(t)
	o.Orders = written(t, "none.csv", "invoice,customer,ts,sku,quantity\nC1,a,2011-01-01T10:00:00Z,a,-1\n")
	if _, err := load(o); err == nil {
		t.Error("a file without an order was taken")
	}
}
