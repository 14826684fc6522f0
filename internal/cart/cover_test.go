package cart_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

func (s *shop) cut(product uuid.UUID, quantity int64) {
	s.Helper()
	if _, err := s.books.Restock(s.Context(), product, -quantity, "broken"); err != nil {
		s.Fatal(err)
	}
}

// held are the lines of a customer's cart that are shown as held.
func (s *shop) held(customer string) (held []bool) {
	s.Helper()
	for _, item := range s.get(customer).Items {
		held = append(held, item.Held)
	}
	return held
}

// Of carts that hold more than there is those that check out first are served. The others are told what is left, and keep cart
// and holds; what they are shown is what a checkout would say.
func TestACheckoutIsToldWhatIsLeftOfUnitsThatWereTakenAway(t *testing.T) {
	onEach(t, usual, func(t *testing.T, s *shop) {
		tea, cup := s.product(5), s.product(5)
		s.put("ann", cup, 1)
		s.put("ann", tea, 3)
		s.put("bob", tea, 2)
		s.cut(tea, 2)
		if diff := cmp.Diff([]bool{true, true}, s.held("ann")); diff != "" {
			t.Errorf("nobody has checked out: %s", diff)
		}
		basket, err := s.checkout("bob")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]bool{true, false}, s.held("ann")); diff != "" {
			t.Errorf("two of three are promised to bob: %s", diff)
		}
		before := []map[uuid.UUID]entry{s.entries(tea), s.entries(cup)}
		_, err = s.checkout("ann")
		var refused *fault.Error
		if !errors.As(err, &refused) || refused.Kind != fault.OutOfStock || len(refused.Lines) != 1 {
			t.Fatalf("ann's checkout: %v", err)
		}
		if l := refused.Lines[0]; l.ProductID != tea.String() || *l.Requested != 3 || *l.Available != 1 || *refused.Available != 1 {
			t.Errorf("ann is told %+v", l)
		}
		if diff := cmp.Diff(before, []map[uuid.UUID]entry{s.entries(tea), s.entries(cup)}, cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("a refused checkout changed the holds (-before +after):\n%s", diff)
		}
		s.put("ann", tea, 1) // what is left
		if _, err := s.checkout("ann"); err != nil {
			t.Errorf("a checkout of what is left: %v", err)
		}
		s.giveUp(basket)
	})
}

// A line of which there is not enough any more can be made smaller, and the units are somebody else's then; renewing the cart's
// time takes nothing from it.
func TestALineThatIsNotCoveredCanBeMadeSmaller(t *testing.T) {
	t.Parallel()
	rules := usual
	rules.TTL = 4 * time.Second // a use of the cart after two seconds moves its expiry
	s := newShop(t, rules)
	tea, cup := s.product(5), s.product(5)
	s.put("bob", tea, 2)
	id := *s.put("ann", tea, 3).ID
	s.cut(tea, 3)
	if v := s.put("ann", tea, 2); !v.Items[0].Held {
		t.Error("two of two, with nobody promised any, are shown as not held")
	}
	if diff := cmp.Diff(s.rows(tea), s.onShelf(tea)); diff != "" {
		t.Errorf("(-rows +shelf):\n%s", diff)
	}
	s.age(id, 3*time.Second)
	s.put("ann", cup, 1)
	if diff := cmp.Diff(int64(2), s.rows(tea)[id]); diff != "" {
		t.Errorf("the line that is not covered is held no more by its row: %s", diff)
	}
	_, err := s.carts.Put(t.Context(), "ann", tea, 3)
	wantKind(t, err, fault.OutOfStock)
}

// However many check out at once, while units are being taken away: what is there once the operator has his answer is sold, and no more
// is promised from then on.
func TestManyCheckoutsOfUnitsThatAreTakenAway(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	const carts, left = 24, 9
	tea := s.product(carts)
	for i := range carts {
		s.put(name(i), tea, 1)
	}
	var all sync.WaitGroup
	var served atomic.Int64
	instances := []*shop{s, s.instance(), s.instance()}
	s.cut(tea, carts-left)
	for i := range carts {
		all.Go(func() {
			basket, err := instances[i%3].carts.Checkout(t.Context(), name(i), nil, time.Now().Add(time.Hour))
			if err == nil {
				served.Add(1)
				err = s.buy(basket)
			} else if fault.Is(err, fault.OutOfStock) {
				err = nil
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if served.Load() != left {
		t.Errorf("%d of %d were served with %d units", served.Load(), carts, left)
	}
}

func name(i int) string { return "customer-" + uuid.NewSHA1(uuid.Nil, []byte{byte(i)}).String() }
