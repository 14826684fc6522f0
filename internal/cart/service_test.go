package cart_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/cart"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestPutSetsAndIsTheSameTwice(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea, cup := s.product(10), s.product(10)
	first := s.put("ann", tea, 2)
	if first.ID == nil || first.Version != 1 || first.TotalMinor != 500 || *first.Currency != "GBP" || !first.Items[0].Held {
		t.Errorf("first answer is %+v", first)
	}
	if diff := cmp.Diff(first, s.put("ann", tea, 2)); diff != "" {
		t.Errorf("the same call changed something (-first +second):\n%s", diff)
	}
	second := s.put("ann", cup, 3)
	if !second.ExpiresAt.Equal(*first.ExpiresAt) {
		t.Errorf("a new line moved the expiry from %s to %s", first.ExpiresAt, second.ExpiresAt)
	}
	third := s.put("ann", tea, 1)
	if third.Version != 3 || third.TotalMinor != 1000 || len(third.Items) != 2 || third.Items[0].ProductID != tea {
		t.Errorf("answer is %+v, want version 3 with both lines in their order", third)
	}
	if diff := cmp.Diff(third, s.get("ann")); diff != "" {
		t.Errorf("GET shows something else (-put +get):\n%s", diff)
	}
	if diff := cmp.Diff(map[uuid.UUID]int64{*first.ID: 1}, s.onShelf(tea)); diff != "" {
		t.Errorf("on the shelf (-want +got):\n%s", diff)
	}
	if got := s.entries(cup)[*first.ID].until; !got.Equal(*first.ExpiresAt) {
		t.Errorf("the hold ends at %s, the cart at %s", got, first.ExpiresAt)
	}
}

func TestRemoveGivesBackAtOnce(t *testing.T) {
	onEach(t, usual, func(t *testing.T, s *shop) {
		tea, cup, pot := s.product(5), s.product(5), s.product(5)
		for _, p := range []uuid.UUID{tea, cup, pot} {
			s.put("ann", p, 5)
		}
		if v := s.put("ann", tea, 0); len(v.Items) != 2 || v.Version != 4 {
			t.Errorf("after 0 of a line the cart is %+v", v)
		}
		s.put("bob", tea, 5)
		for range 2 { // the second has nothing to do
			if err := s.carts.Remove(t.Context(), "ann", cup); err != nil {
				t.Error(err)
			}
		}
		s.put("bob", cup, 5)
		if err := s.carts.Clear(t.Context(), "ann"); err != nil {
			t.Error(err)
		}
		s.put("bob", pot, 5)
		v := s.get("ann")
		if len(v.Items) != 0 || v.ExpiresAt != nil || v.Currency != nil || v.TotalMinor != 0 || v.Version != 6 {
			t.Errorf("an emptied cart is shown as %+v", v)
		}
		if err := s.carts.Clear(t.Context(), "nobody"); err != nil {
			t.Errorf("to empty the cart of a customer who has none: %v", err)
		}
	})
}

func TestACustomerWithoutACart(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	if diff := cmp.Diff(cart.View{Items: []cart.Item{}}, s.get("ann")); diff != "" {
		t.Errorf("empty cart (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(cart.View{Items: []cart.Item{}}, s.put("ann", s.product(1), 0)); diff != "" {
		t.Errorf("after nothing of a product (-want +got):\n%s", diff)
	}
	_, err := s.checkout("ann")
	wantKind(t, err, fault.CartEmpty)
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	rules := usual
	rules.MaxLines = 2
	s := newShop(t, rules)
	ids := s.products(
		inventory.NewProduct{Product: inventory.Product{SKU: "a", Name: "A", UnitPriceMinor: 1, Currency: "GBP"}, Stock: 10},
		inventory.NewProduct{Product: inventory.Product{SKU: "b", Name: "B", UnitPriceMinor: inventory.MaxPrice, Currency: "GBP"}, Stock: 2_000_000},
		inventory.NewProduct{Product: inventory.Product{SKU: "c", Name: "C", UnitPriceMinor: 1, Currency: "EUR"}, Stock: 10},
	)
	before := s.put("ann", ids[0], 4)
	for name, c := range map[string]struct {
		product  uuid.UUID
		quantity int64
		kind     fault.Kind
	}{
		"no such product":       {uuid.New(), 1, fault.NotFound},
		"less than none":        {ids[0], -5, fault.InvalidRequest},
		"far less than none":    {ids[0], math.MinInt64, fault.InvalidRequest},
		"too many":              {ids[0], 1_000_001, fault.LimitExceeded},
		"the largest number":    {ids[0], math.MaxInt64, fault.LimitExceeded},
		"more than there are":   {ids[0], 11, fault.OutOfStock},
		"two currencies":        {ids[2], 1, fault.InvalidRequest},
		"an unpayable total":    {ids[1], 1_000_000, fault.LimitExceeded},
		"none of no such thing": {uuid.New(), 0, fault.NotFound},
	} {
		_, err := s.carts.Put(t.Context(), "ann", c.product, c.quantity)
		if !fault.Is(err, c.kind) {
			t.Errorf("%s: error is %v, want %s", name, err, c.kind)
		}
		if f := fault.As(err); f != nil && f.Kind == fault.OutOfStock && (f.Available == nil || *f.Available != 10) {
			t.Errorf("%s: available is %v, want 10, the cart's own included", name, f.Available)
		}
	}
	s.put("ann", ids[1], 1)
	_, err := s.carts.Put(t.Context(), "ann", s.product(1), 1)
	wantKind(t, err, fault.LimitExceeded)
	if diff := cmp.Diff(before.Items[0], s.get("ann").Items[0]); diff != "" {
		t.Errorf("a refused call changed the line (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(map[uuid.UUID]int64{*before.ID: 4}, s.onShelf(ids[0])); diff != "" {
		t.Errorf("a refused call changed the shelf (-want +got):\n%s", diff)
	}
}

func TestCartsBelongToTheirCustomers(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(10)
	ann := s.put("ann", tea, 1)
	bob := s.put("bob", tea, 2)
	odd := s.put(`bob'; DROP TABLE cart.carts; --`, tea, 3)
	if *ann.ID == *bob.ID || *bob.ID == *odd.ID {
		t.Error("two customers have one cart")
	}
	if err := s.carts.Clear(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ann, s.get("ann")); diff != "" {
		t.Errorf("another's call changed the cart (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(map[uuid.UUID]int64{*ann.ID: 1, *odd.ID: 3}, s.onShelf(tea)); diff != "" {
		t.Errorf("on the shelf (-want +got):\n%s", diff)
	}
}

func TestALineRemembersThePriceLastShown(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(10)
	before := s.put("ann", tea, 2)
	s.exec(`UPDATE inventory.products SET unit_price_minor = 300, name = 'Better tea' WHERE id = $1`, tea)
	remembered := func() (price int64) {
		t.Helper()
		if err := s.env.DB.QueryRow(t.Context(), `SELECT unit_price_minor FROM cart.lines WHERE product_id = $1`, tea).Scan(&price); err != nil {
			t.Fatal(err)
		}
		return price
	}
	if got := remembered(); got != 250 {
		t.Errorf("the line remembers %d before the new price was shown, want 250", got)
	}
	v := s.get("ann")
	if v.TotalMinor != 600 || v.Items[0].Name != "Better tea" || v.Version != before.Version {
		t.Errorf("shown is %+v, want the new price and the same version", v)
	}
	if got := remembered(); got != 300 {
		t.Errorf("the line remembers %d after the new price was shown, want 300", got)
	}
}

func TestLimitOfLines(t *testing.T) {
	t.Parallel()
	rules := usual
	rules.MaxLines = 50
	s := newShop(t, rules)
	list := make([]inventory.NewProduct, rules.MaxLines+1)
	for i := range list {
		list[i] = inventory.NewProduct{Product: inventory.Product{SKU: uuid.NewString(), Name: "N", UnitPriceMinor: 1, Currency: "GBP"}, Stock: 1}
	}
	ids := s.products(list...)
	for _, id := range ids[:rules.MaxLines] {
		s.put("ann", id, 1)
	}
	_, err := s.carts.Put(t.Context(), "ann", ids[rules.MaxLines], 1)
	wantKind(t, err, fault.LimitExceeded)
	if len(s.onShelf(ids[rules.MaxLines])) != 0 {
		t.Error("the line too many holds its units")
	}
}

func TestTheExpiryMovesForAllLinesAndNotBeyondTheAge(t *testing.T) {
	rules := usual
	rules.TTL, rules.MaxAge = 2*time.Second, 3*time.Second
	onEach(t, rules, func(t *testing.T, s *shop) {
		tea, cup := s.product(10), s.product(10)
		first := s.put("ann", tea, 2)
		began := s.firstLineAt(*first.ID)
		moved := func() bool { return s.put("ann", cup, 1).ExpiresAt.After(*first.ExpiresAt) }
		testkit.Eventually(t, 20*time.Second, moved)
		v := s.get("ann")
		for _, p := range []uuid.UUID{tea, cup} {
			if got := s.entries(p)[*v.ID].until; !got.Equal(*v.ExpiresAt) {
				t.Errorf("a hold ends at %s, the cart at %s", got, v.ExpiresAt)
			}
		}
		testkit.Eventually(t, 20*time.Second, func() bool { // used all the time, and yet it ends and begins anew
			v := s.put("ann", cup, 1)
			now := s.firstLineAt(*v.ID)
			if v.ExpiresAt.Sub(now) > rules.MaxAge {
				t.Errorf("the cart lives %s after its first line", v.ExpiresAt.Sub(now))
			}
			return now.After(began)
		})
		if v.Version != s.get("ann").Version {
			t.Error("a new expiry is a new version")
		}
	})
}
