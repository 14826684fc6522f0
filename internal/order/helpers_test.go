package order_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var mug = order.Product{ID: uuid.MustParse("01930000-0000-7000-8000-000000000001"), SKU: "MUG", Name: "Mug", UnitPriceMinor: 1275, Currency: "GBP"}

// shop fills order's ports: one product, everything can be held, nobody is locked out.
type shop struct {
	basket  order.Basket
	holding error // of HoldAll
	gone    int   // holds that are not there when they are to be refreshed
	held    *int  // counts the calls of HoldAll

	refreshed *[]order.Hold // gathers what is to be refreshed
}

func (shop) Products(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]order.Product, error) {
	found := map[uuid.UUID]order.Product{}
	if slices.Contains(ids, mug.ID) {
		found[mug.ID] = mug
	}
	return found, nil
}

func (s shop) Checkout(context.Context, string, *int64, time.Time) (order.Basket, error) {
	return s.basket, nil
}

func (shop) GiveUp(context.Context, order.Basket) {}

func (shop) ShowPrices(context.Context, uuid.UUID, []order.Line, string) error { return nil }

func (shop) Take(context.Context, pgx.Tx, order.Basket, uuid.UUID) error { return nil }

func (s shop) HoldAll(context.Context, uuid.UUID, string, []order.Item, time.Time) ([]order.Short, error) {
	if s.held != nil {
		*s.held++
	}
	return nil, s.holding
}
func (shop) Release(context.Context, uuid.UUID, []uuid.UUID) error { return nil }
func (s shop) Refresh(_ context.Context, holds []order.Hold) (int, error) {
	if s.refreshed != nil {
		*s.refreshed = append(*s.refreshed, holds...)
	}
	return s.gone, nil
}

func (shop) Lock(context.Context, string, string) (func(), bool, error) {
	return func() {}, true, nil
}
func (shop) Choose(asked string) (string, bool) { return "optimistic", asked == "" }
func (shop) PaysFirst(string) bool              { return false }

var limits = order.Limits{MaxLines: 10, MaxQuantity: 1000, TimeOut: time.Hour, HoldOnOrder: true, KeyLife: time.Hour}

func newService(t *testing.T, env *testkit.Env, s shop, timeOut time.Duration) *order.Service {
	t.Helper()
	limits := limits
	limits.TimeOut = timeOut
	return order.New(env.DB, order.Ports{Catalogue: s, Carts: s, Holds: s, Locks: s, Strategies: s}, limits, env.Log)
}

func purchase(key string, quantity int64) order.Purchase {
	return order.Purchase{
		Customer: "alice", Key: key, Fingerprint: slices.Repeat([]byte{byte(quantity)}, 32), PaymentMethod: "pm_ok",
		Items: []order.Item{{ProductID: mug.ID, Quantity: quantity}},
	}
}

func place(t *testing.T, s *order.Service, key string) uuid.UUID {
	t.Helper()
	id, _, err := s.Place(t.Context(), purchase(key, 2))
	if err != nil {
		t.Fatal(err)
	}
	return id
}
