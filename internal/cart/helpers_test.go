package cart_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/cart"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// shop is a cart module on a real database, with inventory's real catalogue and shelf.
type shop struct {
	*testing.T
	env    *testkit.Env
	client redis.UniversalClient
	rules  cart.Rules
	keys   redisx.Keys
	shelf  *inventory.Shelf
	books  *inventory.Service
	carts  *cart.Service
	hooks  hooks
}

// hooks let a test do something in the middle of this instance's next call to the shelf.
type hooks struct{ beforeHold, afterHold, beforeRelease, afterRelease atomic.Pointer[func()] }

func once(hook *atomic.Pointer[func()]) {
	if do := hook.Swap(nil); do != nil {
		(*do)()
	}
}

var usual = cart.Rules{TTL: 15 * time.Minute, MaxAge: time.Hour, MaxLines: 2000, MaxQuantity: 1_000_000}

func newShop(t *testing.T, rules cart.Rules) *shop {
	t.Helper()
	return newShopOn(t, testkit.New(t), rules)
}

// onEach runs a test on a single node of Redis and on a cluster.
func onEach(t *testing.T, rules cart.Rules, test func(t *testing.T, s *shop)) {
	t.Helper()
	testkit.OnEach(t, func(t *testing.T, env *testkit.Env) { test(t, newShopOn(t, env, rules)) })
}

func newShopOn(t *testing.T, env *testkit.Env, rules cart.Rules) *shop {
	t.Helper()
	return newShopWith(t, env, rules, redisx.Options{ReadTimeout: 10 * time.Second, DialTimeout: 10 * time.Second}) // however busy the machine is
}

func newShopWith(t *testing.T, env *testkit.Env, rules cart.Rules, patience redisx.Options) *shop {
	t.Helper()
	client, err := redisx.Open(env.RedisURL, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	s := &shop{T: t, env: env, client: client, rules: rules, keys: redisx.Keys{Namespace: env.Namespace}}
	scripts := redisx.NewScripts(client, lua.Sources())
	scripts.Patience = max(scripts.Patience, patience.ReadTimeout)
	s.shelf = inventory.NewShelf(env.DB, scripts, s.keys, holders{s}, noOrders{}, env.Log)
	s.books = inventory.New(env.DB, noOrders{}, s.shelf, env.Log)
	s.carts = cart.New(env.DB, scripts, s.keys, shelf{s.shelf, &s.hooks}, catalogue{s.books}, rules, env.Log)
	return s
}

// instance is another instance of the same shop.
func (s *shop) instance() *shop { return newShopOn(s.T, s.env, s.rules) }

// The ports, as app ties them.

type noOrders struct{}

func (noOrders) Lines(context.Context, pgx.Tx, []uuid.UUID) (map[uuid.UUID]event.Order, error) {
	return nil, nil
}

// holders are live carts, and bought ones as their orders.
type holders struct{ s *shop }

func (h holders) InCarts(ctx context.Context, products, after []uuid.UUID, most int) ([]inventory.LiveHold, map[uuid.UUID]uuid.UUID, error) {
	live, ends, err := h.s.carts.LiveHolds(ctx, products, after, most)
	return shelved(live), ends, err
}

func shelved(live []cart.LiveHold) []inventory.LiveHold {
	holds := make([]inventory.LiveHold, len(live))
	for i, l := range live {
		holds[i] = inventory.LiveHold{HoldID: l.CartID, Customer: l.Customer, ProductID: l.ProductID, Quantity: l.Quantity, ExpiresAt: l.ExpiresAt}
	}
	return holds
}

func (h holders) OnOrder(ctx context.Context, products []uuid.UUID, after uuid.UUID, most int) ([]inventory.LiveHold, uuid.UUID, bool, error) {
	holds, err := h.bought(ctx, `c.order_id > $2 ORDER BY c.order_id LIMIT $3`, products, after, most)
	if len(holds) < most || err != nil {
		return holds, after, false, err
	}
	return holds, holds[most-1].OrderID, true, nil
}

func (h holders) Of(ctx context.Context, hold uuid.UUID, products []uuid.UUID) ([]inventory.LiveHold, error) {
	live, err := h.s.carts.Holds(ctx, hold, products)
	if err != nil {
		return nil, err
	}
	bought, err := h.bought(ctx, `c.id = $2`, products, hold)
	return append(shelved(live), bought...), err
}

func (h holders) bought(ctx context.Context, which string, args ...any) ([]inventory.LiveHold, error) {
	rows, err := h.s.env.DB.Query(ctx, `
SELECT c.id, c.order_id, l.product_id, l.quantity, now() + interval '1 hour'
FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id WHERE l.product_id = ANY ($1) AND c.state = 'BOUGHT' AND `+which, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (l inventory.LiveHold, err error) {
		err = row.Scan(&l.HoldID, &l.OrderID, &l.ProductID, &l.Quantity, &l.ExpiresAt)
		return l, err
	})
}

func (holders) HoldsOf(context.Context, []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	return map[uuid.UUID]uuid.UUID{}, nil
}

type catalogue struct{ books *inventory.Service }

func (c catalogue) Products(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]cart.Product, error) {
	found, err := c.books.Products(ctx, ids)
	products := make(map[uuid.UUID]cart.Product, len(found))
	for id, p := range found {
		products[id] = cart.Product{ID: id, SKU: p.SKU, Name: p.Name, UnitPriceMinor: p.UnitPriceMinor, Currency: p.Currency, CutAt: p.CutAt}
	}
	return products, err
}

type shelf struct {
	shelf *inventory.Shelf
	hooks *hooks
}

func (s shelf) Hold(ctx context.Context, by cart.Holder, lines []event.OrderLine, until time.Time) (map[uuid.UUID]cart.Short, error) {
	once(&s.hooks.beforeHold)
	answers, err := s.shelf.HoldFor(ctx, inventory.Holder{HoldID: by.CartID, Customer: by.Customer, Buying: by.Checkout != "", Checkout: by.Checkout, Back: by.Back}, lines, until)
	once(&s.hooks.afterHold)
	if errors.Is(err, inventory.ErrPast) {
		return nil, fmt.Errorf("%w: %w", cart.ErrPast, err)
	}
	short := map[uuid.UUID]cart.Short{}
	for i, a := range answers {
		if !a.Held {
			short[lines[i].ProductID] = cart.Short{Available: a.Available, Limit: a.Limit}
		}
	}
	return short, err
}

func (s shelf) Extend(ctx context.Context, by cart.Holder, lines []event.OrderLine, until time.Time) (cart.NotExtended, error) {
	products := make([]uuid.UUID, len(lines))
	for i, l := range lines {
		products[i] = l.ProductID
	}
	not := cart.NotExtended{Cut: map[uuid.UUID]cart.Short{}}
	answers, err := s.shelf.ExtendFor(ctx, inventory.Holder{HoldID: by.CartID, Checkout: by.Checkout}, products, until)
	for i, a := range answers {
		switch {
		case a.Outcome == inventory.Cut:
			not.Cut[products[i]] = cart.Short{Available: a.Quantity}
		case a.Outcome == inventory.Expired:
			not.Expired = append(not.Expired, products[i])
		case a.Outcome == inventory.Missing || a.Quantity < lines[i].Quantity:
			not.Lost = append(not.Lost, products[i])
		}
	}
	return not, err
}

func (s shelf) Covered(ctx context.Context, cartID uuid.UUID, products []uuid.UUID) (map[uuid.UUID]int64, error) {
	return s.shelf.Covered(ctx, cartID, products)
}

func (s shelf) EndIfOver(ctx context.Context, cartID uuid.UUID, products []uuid.UUID) ([]uuid.UUID, error) {
	return s.shelf.EndIfOver(ctx, cartID, products)
}

func (s shelf) UndoCheckout(ctx context.Context, cartID uuid.UUID, checkout string, products []uuid.UUID) error {
	return s.shelf.UndoCheckout(ctx, cartID, checkout, products)
}

func (s shelf) Release(ctx context.Context, cartID uuid.UUID, products []uuid.UUID) error {
	once(&s.hooks.beforeRelease)
	defer once(&s.hooks.afterRelease)
	return s.shelf.Release(ctx, cartID, products)
}

// product puts a product into the catalogue.
func (s *shop) product(stock int64) uuid.UUID {
	s.Helper()
	return s.products(inventory.NewProduct{Product: inventory.Product{SKU: uuid.NewString(), Name: "Tea", UnitPriceMinor: 250, Currency: "GBP"}, Stock: stock})[0]
}

func (s *shop) products(products ...inventory.NewProduct) []uuid.UUID {
	s.Helper()
	made, err := s.books.Upsert(s.Context(), products)
	if err != nil {
		s.Fatal(err)
	}
	ids := make([]uuid.UUID, len(made))
	for i, p := range made {
		ids[i] = p.ID
	}
	return ids
}

// put sets a line and fails the test if it is refused.
func (s *shop) put(customer string, product uuid.UUID, quantity int64) cart.View {
	s.Helper()
	v, err := s.carts.Put(s.Context(), customer, product, quantity)
	if err != nil {
		s.Fatalf("put %d of %s for %s: %v", quantity, product, customer, err)
	}
	return v
}

func (s *shop) get(customer string) cart.View {
	s.Helper()
	v, err := s.carts.Get(s.Context(), customer)
	if err != nil {
		s.Fatal(err)
	}
	return v
}

// checkout buys the cart's time until an hour from now.
func (s *shop) checkout(customer string) (cart.Basket, error) {
	return s.carts.Checkout(s.Context(), customer, nil, time.Now().Add(time.Hour))
}

// buy takes a basket for a new order.
func (s *shop) buy(b cart.Basket) error {
	return s.env.DB.InTx(s.Context(), func(tx pgx.Tx) error {
		return s.carts.Take(s.Context(), tx, b.CartID, b.Version, uuid.Must(uuid.NewV7()))
	})
}

// onShelf reads from Redis itself what is held of a product at the moment, by hold.
func (s *shop) onShelf(product uuid.UUID) map[uuid.UUID]int64 {
	s.Helper()
	held := map[uuid.UUID]int64{}
	for id, h := range s.entries(product) {
		if h.until.After(time.Now()) {
			held[id] = h.quantity
		}
	}
	return held
}

type entry struct {
	quantity int64
	until    time.Time
}

func (s *shop) entries(product uuid.UUID) map[uuid.UUID]entry {
	s.Helper()
	all, err := s.env.Redis.HGetAll(s.Context(), s.keys.Product(product)[2]).Result()
	if err != nil {
		s.Fatal(err)
	}
	entries := make(map[uuid.UUID]entry, len(all))
	for id, text := range all {
		quantity, rest, _ := strings.Cut(text, ":")
		until, _, _ := strings.Cut(rest, ":") // the owner may be behind it
		n, err1 := strconv.ParseInt(quantity, 10, 64)
		ms, err2 := strconv.ParseInt(until, 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			s.Fatalf("entry %q: %v", text, err)
		}
		entries[uuid.MustParse(id)] = entry{n, time.UnixMilli(ms)}
	}
	return entries
}

// rows reads from Postgres itself what open carts hold of a product, by cart.
func (s *shop) rows(product uuid.UUID) map[uuid.UUID]int64 {
	s.Helper()
	rows, err := s.env.DB.Query(s.Context(), `
SELECT l.cart_id, l.quantity FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id
WHERE l.product_id = $1 AND l.held AND c.state = 'OPEN' AND c.expires_at > now()`, product)
	if err != nil {
		s.Fatal(err)
	}
	held := map[uuid.UUID]int64{}
	var id uuid.UUID
	var quantity int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &quantity}, func() error { held[id] = quantity; return nil }); err != nil {
		s.Fatal(err)
	}
	return held
}

func (s *shop) firstLineAt(cartID uuid.UUID) (at time.Time) {
	s.Helper()
	if err := s.env.DB.QueryRow(s.Context(), `SELECT first_line_at FROM cart.carts WHERE id = $1`, cartID).Scan(&at); err != nil {
		s.Fatal(err)
	}
	return at
}

// age lets a cart, its holds left alone, have come and expired so much earlier.
func (s *shop) age(cartID uuid.UUID, by time.Duration) {
	s.Helper()
	s.exec(`UPDATE cart.carts SET first_line_at = first_line_at - $2::interval, expires_at = expires_at - $2::interval WHERE id = $1`, cartID, by)
}

// exec changes the database behind the module's back.
func (s *shop) exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.env.DB.Exec(s.Context(), sql, args...); err != nil {
		s.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("error is %v, want %s", err, kind)
	}
}
