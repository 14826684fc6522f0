package inventory

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// If a row is not as it was read, in spite of its lock, nothing of the batch is written.
func TestAChangeUnderTheLockIsNoticed(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	p := uuid.Must(uuid.NewV7())
	_, err := env.DB.Exec(t.Context(), `
		WITH made AS (INSERT INTO inventory.products (id, sku, name, unit_price_minor, currency) VALUES ($1, 's', 'n', 1, 'GBP') RETURNING id)
		INSERT INTO inventory.stock (product_id, available, allocated, version) SELECT id, 10, 0, 7 FROM made`, p)
	if err != nil {
		t.Fatal(err)
	}
	order, fact := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	for _, version := range []int64{6, 8, 7} {
		books := openBooks([]Stock{{ProductID: p, Available: 10, Version: version}})
		books.take(order, fact, []event.OrderLine{{ProductID: p, Quantity: 3}})
		err := env.DB.InTx(t.Context(), func(tx pgx.Tx) error { return post(t.Context(), tx, books, posting{}) })
		if (err == nil) != (version == 7) {
			t.Errorf("version 7 was read as %d: %v", version, err)
		}
	}
	var available, movements int64
	err = env.DB.QueryRow(t.Context(), `SELECT available, (SELECT count(*) FROM inventory.movements) FROM inventory.stock`).Scan(&available, &movements)
	if err != nil || available != 7 || movements != 1 {
		t.Errorf("%d available, %d movements, %v", available, movements, err)
	}
}

// A hold whose order is decided is over, also where it still comes as its cart's; one that comes twice counts once.
func TestShelveTakesEachLiveHoldOnce(t *testing.T) {
	t.Parallel()
	p, sold, bought, cart, order := uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()
	soon, late := time.UnixMilli(1_000), time.UnixMilli(2_000)
	taken, gathering, other := uuid.New(), uuid.New(), uuid.New() // its lane has taken p, and the other one has not yet
	stock := map[uuid.UUID]*shelved{p: {available: 10, version: 1}, other: {available: 10, version: 1}}
	shelve(stock, []LiveHold{
		{HoldID: sold, ProductID: p, Quantity: 1, ExpiresAt: late},
		{HoldID: bought, ProductID: p, Quantity: 2, ExpiresAt: soon},
		{HoldID: cart, ProductID: p, Quantity: 3, ExpiresAt: soon},
		{HoldID: cart, ProductID: uuid.New(), Quantity: 3, ExpiresAt: soon},
		{HoldID: uuid.New(), ProductID: p, Quantity: 0, ExpiresAt: soon},
		{HoldID: uuid.New(), ProductID: p, Quantity: 1},
		{HoldID: sold, OrderID: order, ProductID: p, Quantity: 1, ExpiresAt: late},
		{HoldID: bought, OrderID: uuid.New(), ProductID: p, Quantity: 2, ExpiresAt: late},
		{HoldID: taken, OrderID: gathering, ProductID: p, Quantity: 7, ExpiresAt: late},
		{HoldID: taken, OrderID: gathering, ProductID: other, Quantity: 7, ExpiresAt: late},
	}, map[[2]uuid.UUID]bool{{order, uuid.Nil}: true, {gathering, p}: true})
	var units int64
	for _, h := range stock[p].holds {
		units += h.Quantity
		if h.HoldID == bought && !h.ExpiresAt.Equal(late) {
			t.Error("the earlier of two expiries was taken")
		}
	}
	if units != 5 || len(stock[p].holds) != 2 || len(stock[other].holds) != 1 {
		t.Errorf("shelved %+v and %+v", stock[p].holds, stock[other].holds)
	}
}
