package cart

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
)

var (
	noon  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	rules = Rules{TTL: 15 * time.Minute, MaxAge: time.Hour, MaxLines: 3, MaxQuantity: 1000}
	tea   = Product{ID: uuid.UUID{1}, SKU: "tea", UnitPriceMinor: 250, Currency: "GBP"}
	cup   = Product{ID: uuid.UUID{2}, SKU: "cup", UnitPriceMinor: 900, Currency: "GBP"}
)

func line(p Product, quantity int64) Line {
	return Line{ProductID: p.ID, Quantity: quantity, UnitPriceMinor: p.UnitPriceMinor, Currency: p.Currency, Held: true}
}

// cartOf is a cart whose first line came at noon and that was used then.
func cartOf(lines ...Line) Cart {
	return Cart{ID: uuid.UUID{9}, State: Open, Version: 4, Turn: 6, FirstLineAt: noon, ExpiresAt: noon.Add(rules.TTL), Lines: lines}
}

func TestSetIsAbsolute(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cart     Cart
		product  Product
		quantity int64
		after    []Line
		version  int64
		hold     []event.OrderLine
		lower    []event.OrderLine
		free     []uuid.UUID
	}{
		"first line":                          {cart: Cart{}, product: tea, quantity: 2, after: []Line{line(tea, 2)}, version: 1, hold: holds(tea, 2)},
		"another line":                        {cart: cartOf(line(tea, 2)), product: cup, quantity: 1, after: []Line{line(tea, 2), line(cup, 1)}, version: 5, hold: holds(cup, 1)},
		"more of a line":                      {cart: cartOf(line(tea, 2)), product: tea, quantity: 5, after: []Line{line(tea, 5)}, version: 5, hold: holds(tea, 5)},
		"less of a line":                      {cart: cartOf(line(tea, 2)), product: tea, quantity: 1, after: []Line{line(tea, 1)}, version: 5, lower: holds(tea, 1)},
		"less of a line that is not held":     {cart: cartOf(notHeldLine(tea, 2)), product: tea, quantity: 1, after: []Line{line(tea, 1)}, version: 5, hold: holds(tea, 1)},
		"the same":                            {cart: cartOf(line(tea, 2)), product: tea, quantity: 2, after: []Line{line(tea, 2)}, version: 4},
		"none of a line":                      {cart: cartOf(line(tea, 2), line(cup, 1)), product: tea, quantity: 0, after: []Line{line(cup, 1)}, version: 5, free: []uuid.UUID{tea.ID}},
		"none of what is not there":           {cart: cartOf(line(tea, 2)), product: cup, quantity: 0, after: []Line{line(tea, 2)}, version: 4},
		"the same of a line that is not held": {cart: cartOf(notHeldLine(tea, 2)), product: tea, quantity: 2, after: []Line{line(tea, 2)}, version: 4, hold: holds(tea, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ch, err := rules.Set(c.cart, c.product, c.quantity, noon.Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.after, ch.After.Lines); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.hold, ch.Hold); diff != "" {
				t.Errorf("goes on the shelf (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.lower, ch.Lower); diff != "" {
				t.Errorf("is left on the shelf (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.free, ch.Free); diff != "" {
				t.Errorf("comes off the shelf (-want +got):\n%s", diff)
			}
			if ch.After.Version != c.version {
				t.Errorf("version is %d, want %d", ch.After.Version, c.version)
			}
			if nothing := c.hold == nil && c.lower == nil && c.free == nil; ch.Nothing() != nothing {
				t.Errorf("Nothing() is %t, want %t", ch.Nothing(), nothing)
			}
		})
	}
}

func holds(p Product, quantity int64) []event.OrderLine {
	return []event.OrderLine{{ProductID: p.ID, Quantity: quantity}}
}

func notHeldLine(p Product, quantity int64) Line {
	l := line(p, quantity)
	l.Held = false
	return l
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	euro := Product{ID: uuid.UUID{3}, UnitPriceMinor: 100, Currency: "EUR"}
	dear := Product{ID: uuid.UUID{4}, UnitPriceMinor: math.MaxInt64 / 2, Currency: "GBP"}
	full := cartOf(line(tea, 1), line(cup, 1), Line{ProductID: uuid.UUID{5}, Quantity: 1, Currency: "GBP"})
	for name, c := range map[string]struct {
		cart     Cart
		product  Product
		quantity int64
		kind     fault.Kind
	}{
		"below zero":        {Cart{}, tea, -1, fault.InvalidRequest},
		"far below zero":    {Cart{}, tea, math.MinInt64, fault.InvalidRequest},
		"above the limit":   {Cart{}, tea, 1001, fault.LimitExceeded},
		"largest number":    {Cart{}, tea, math.MaxInt64, fault.LimitExceeded},
		"too many lines":    {full, euro, 1, fault.LimitExceeded},
		"another currency":  {cartOf(line(tea, 1)), euro, 1, fault.InvalidRequest},
		"total overflows":   {cartOf(line(tea, 1)), dear, 3, fault.LimitExceeded},
		"total is too much": {cartOf(line(tea, 1)), dear, 1, fault.LimitExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rules.Set(c.cart, c.product, c.quantity, noon)
			if !fault.Is(err, c.kind) {
				t.Errorf("error is %v, want %s", err, c.kind)
			}
			if f := fault.As(err); f != nil && f.Kind == fault.InvalidRequest && f.Status != 422 {
				t.Errorf("status is %d, want 422", f.Status)
			}
		})
	}
}

func TestAFullCartStillChangesItsLines(t *testing.T) {
	t.Parallel()
	full := cartOf(line(tea, 1), line(cup, 1), Line{ProductID: uuid.UUID{5}, Quantity: 1, Currency: "GBP"})
	if _, err := rules.Set(full, tea, 7, noon); err != nil {
		t.Error(err)
	}
}

func TestACartOfOneLineChangesItsCurrencyWithItsProduct(t *testing.T) {
	t.Parallel()
	tea := tea
	tea.Currency = "EUR"
	if _, err := rules.Set(cartOf(line(cup, 1)), tea, 2, noon); !fault.Is(err, fault.InvalidRequest) {
		t.Errorf("error is %v beside another line, want a refusal", err)
	}
	old := line(tea, 1)
	old.Currency = "GBP"
	if _, err := rules.Set(cartOf(old), tea, 2, noon); err != nil {
		t.Error(err)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	minutes := func(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Minute))) }
	aged := cartOf(line(tea, 1))
	aged.ExpiresAt = minutes(50)
	oldest := cartOf(line(tea, 1))
	oldest.ExpiresAt = minutes(60)
	for name, c := range map[string]struct {
		cart    Cart
		now     time.Time
		first   time.Time
		expires time.Time
		moved   bool
	}{
		"a first line begins it":              {Cart{}, minutes(3), minutes(3), minutes(18), true},
		"more than half is left":              {cartOf(line(tea, 1)), minutes(7), noon, minutes(15), false},
		"exactly half is left":                {cartOf(line(tea, 1)), minutes(7.5), noon, minutes(15), false},
		"less than half is left":              {cartOf(line(tea, 1)), minutes(8), noon, minutes(23), true},
		"never beyond its age":                {aged, minutes(48), noon, minutes(60), true},
		"as old as it gets":                   {oldest, minutes(59), noon, minutes(60), false},
		"expired: a new life":                 {cartOf(line(tea, 1)), minutes(15), minutes(15), minutes(30), true},
		"long expired and old: a new life":    {oldest, minutes(600), minutes(600), minutes(615), true},
		"to the millisecond, as Redis counts": {Cart{}, noon.Add(1234567 * time.Nanosecond), noon.Add(1234567 * time.Nanosecond), minutes(15).Add(time.Millisecond), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ch, err := rules.Set(c.cart, cup, 1, c.now)
			if err != nil {
				t.Fatal(err)
			}
			if !ch.After.FirstLineAt.Equal(c.first) {
				t.Errorf("first line at %s, want %s", ch.After.FirstLineAt, c.first)
			}
			if !ch.After.ExpiresAt.Equal(c.expires) || !ch.Until.Equal(c.expires) {
				t.Errorf("cart expires at %s and its holds at %s, want %s", ch.After.ExpiresAt, ch.Until, c.expires)
			}
			want := 1
			if c.moved {
				want = len(ch.After.Lines)
			}
			if len(ch.Hold) != want {
				t.Errorf("%d lines go on the shelf, want %d", len(ch.Hold), want)
			}
		})
	}
}

func TestLinesThatCannotBeHeldAgainAreMarked(t *testing.T) {
	t.Parallel()
	ch, err := rules.Set(cartOf(line(tea, 2)), cup, 1, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.mark(map[uuid.UUID]Short{tea.ID: {Available: 1}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Line{notHeldLine(tea, 2), line(cup, 1)}, ch.After.Lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if err := ch.mark(map[uuid.UUID]Short{cup.ID: {}}); !fault.Is(err, fault.OutOfStock) {
		t.Errorf("error is %v, want out-of-stock for the line that was asked for", err)
	}
}

func TestARetryPutsRightWhatTheTryBeforeLeft(t *testing.T) {
	t.Parallel()
	gone := uuid.UUID{7}
	c := cartOf(line(tea, 2), notHeldLine(cup, 1))
	ch := Change{Before: c, After: c.clone()}
	got := ch.again([]uuid.UUID{tea.ID, cup.ID, gone}, noon)
	if diff := cmp.Diff(holds(tea, 2), got.Hold); diff != "" {
		t.Errorf("goes on the shelf (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uuid.UUID{cup.ID, gone}, got.Free); diff != "" {
		t.Errorf("comes off the shelf (-want +got):\n%s", diff)
	}
	got = ch.again([]uuid.UUID{tea.ID}, noon.Add(time.Hour))
	if diff := cmp.Diff([]uuid.UUID{tea.ID}, got.Free); diff != "" || len(got.Hold) > 0 {
		t.Errorf("of an expired cart comes off the shelf (-want +got):\n%s", diff)
	}
}

func TestTheShelfNeverHasLessThanTheRows(t *testing.T) {
	t.Parallel()
	ch, err := rules.Set(cartOf(line(tea, 5), line(cup, 1)), tea, 2, noon.Add(10*time.Minute)) // the expiry moves
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append(holds(tea, 5), holds(cup, 1)...), ch.Hold); diff != "" {
		t.Errorf("on the shelf before the rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(holds(tea, 2), ch.Lower); diff != "" {
		t.Errorf("on the shelf after the rows (-want +got):\n%s", diff)
	}
}

func TestRemoveOfAllLinesEndsTheExpiry(t *testing.T) {
	t.Parallel()
	ch := Remove(cartOf(line(tea, 2), line(cup, 1)), tea.ID, cup.ID)
	if !ch.After.ExpiresAt.IsZero() || !ch.After.FirstLineAt.IsZero() || len(ch.After.Lines) > 0 || ch.After.Version != 5 {
		t.Errorf("cart is %+v, want none of its lines and no expiry at version 5", ch.After)
	}
	if ch := Remove(Cart{}, tea.ID); !ch.Nothing() {
		t.Error("to remove a line of no cart is something to do")
	}
}

func TestTotalsStopAtTheLargestNumber(t *testing.T) {
	t.Parallel()
	l := Line{Quantity: 1 << 40, UnitPriceMinor: 1 << 40}
	if got := Subtotal(l); got != math.MaxInt64 {
		t.Errorf("subtotal is %d", got)
	}
	if got := Total([]Line{l, l}); got != math.MaxInt64 {
		t.Errorf("total is %d", got)
	}
	if got := Total([]Line{line(tea, 2), line(cup, 1)}); got != 1400 {
		t.Errorf("total is %d, want 1400", got)
	}
}

func TestThePriceShownIsTheCatalogues(t *testing.T) {
	t.Parallel()
	c := cartOf(line(tea, 2), line(cup, 1))
	dearer := tea
	dearer.UnitPriceMinor = 300
	shown := reprice(&c, map[uuid.UUID]Product{tea.ID: dearer, cup.ID: cup})
	if diff := cmp.Diff([]Line{line(dearer, 2)}, shown); diff != "" {
		t.Errorf("newly shown (-want +got):\n%s", diff)
	}
	v := newView(c, map[uuid.UUID]Product{tea.ID: dearer, cup.ID: cup}, noon)
	if v.TotalMinor != 1500 || v.Items[0].SubtotalMinor != 600 || *v.Currency != "GBP" || !v.Items[0].Held {
		t.Errorf("view is %+v", v)
	}
	if v := newView(c, nil, noon.Add(time.Hour)); v.Items[0].Held {
		t.Error("a line of an expired cart is shown as held")
	}
}
