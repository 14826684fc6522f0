package reconcile_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// place is a shop's Redis and Postgres, which agree until a test makes them differ. The rows of carts and orders are written
// by the tests; the shelf is inventory's own.
type place struct {
	*testing.T
	env        *testkit.Env
	client     redis.UniversalClient // with patience, however busy the machine is
	keys       redisx.Keys
	scripts    *redisx.Scripts
	books      *inventory.Service
	shelf      *inventory.Shelf
	reconciler *reconcile.Reconciler
	cooldown   time.Duration
}

// cooldown of the tests. What is to be judged is made old by back-dating its rows.
const cooldown = 60 * time.Millisecond

func newPlace(t *testing.T) *place {
	t.Helper()
	return newPlaceOn(t, testkit.New(t))
}

// onEach runs a test on a single node of Redis and on a cluster.
func onEach(t *testing.T, test func(t *testing.T, p *place)) {
	t.Helper()
	testkit.OnEach(t, func(t *testing.T, env *testkit.Env) { test(t, newPlaceOn(t, env)) })
}

// cases runs what is done to a place, one after the other, each of which leaves the place as its test wants it: a place costs
// more than what most cases do in it.
func cases[C any](p *place, all map[string]C, test func(p *place, name string, c C)) {
	for name, c := range all {
		p.Run(name, func(t *testing.T) {
			here := *p
			here.T = t
			test(&here, name, c)
		})
	}
}

func newPlaceOn(t *testing.T, env *testkit.Env) *place {
	t.Helper()
	client, err := redisx.Open(env.RedisURL, redisx.Options{ReadTimeout: 5 * time.Second, DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	p := &place{T: t, cooldown: cooldown, env: env, client: client, keys: redisx.Keys{Namespace: env.Namespace}, scripts: redisx.NewScripts(client, lua.Sources())}
	p.scripts.Patience = 5 * time.Second
	p.shelf = inventory.NewShelf(env.DB, p.scripts, p.keys, holders{p}, noOrders{}, env.Log)
	p.books = inventory.New(env.DB, noOrders{}, p.shelf, env.Log)
	p.reconciler = p.instance(time.Hour)
	return p
}

// instance is another instance of the reconciler.
func (p *place) instance(interval time.Duration) *reconcile.Reconciler {
	return reconcile.New(p.options(interval))
}

// goes has a reconciler run by its schedule until the test ends.
func (p *place) goes(r *reconcile.Reconciler) {
	ctx, stop := context.WithCancel(p.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	p.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			p.Error(err)
		}
	})
}

func (p *place) options(interval time.Duration) reconcile.Options {
	return reconcile.Options{
		Postgres: p.env.DB, Redis: p.client, Scripts: p.scripts, Keys: p.keys, Shelf: p.shelf, Log: p.env.Log,
		Lease: lease.New(p.env.DB, p.env.Log, uuid.NewString(), 0), Interval: interval, Cooldown: p.cooldown, Patience: 3 * time.Second,
	}
}

type noOrders struct{}

func (noOrders) Lines(context.Context, pgx.Tx, []uuid.UUID) (map[uuid.UUID]event.Order, error) {
	return nil, nil
}

// holders are the rows of open carts, for the loader.
type holders struct{ p *place }

func (h holders) InCarts(ctx context.Context, products, after []uuid.UUID, most int) ([]inventory.LiveHold, map[uuid.UUID]uuid.UUID, error) {
	var page []inventory.LiveHold
	ends := map[uuid.UUID]uuid.UUID{}
	for i, p := range products {
		live, err := h.live(ctx, `l.product_id = $1 AND l.cart_id > $2 ORDER BY l.cart_id LIMIT $3`, p, after[i], most)
		if err != nil {
			return nil, nil, err
		}
		if len(live) == most {
			ends[p] = live[most-1].HoldID
		}
		page = append(page, live...)
	}
	return page, ends, nil
}

func (h holders) OnOrder(context.Context, []uuid.UUID, uuid.UUID, int) ([]inventory.LiveHold, uuid.UUID, bool, error) {
	return nil, uuid.Nil, false, nil
}

func (h holders) Of(ctx context.Context, hold uuid.UUID, products []uuid.UUID) ([]inventory.LiveHold, error) {
	return h.live(ctx, `l.cart_id = $1 AND l.product_id = ANY($2)`, hold, products)
}

func (h holders) live(ctx context.Context, which string, args ...any) ([]inventory.LiveHold, error) {
	rows, err := h.p.env.DB.Query(ctx, `
		SELECT l.cart_id, l.product_id, l.quantity, c.expires_at FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id
		WHERE l.held AND c.state = 'OPEN' AND c.expires_at > now() AND `+which, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (inventory.LiveHold, error) {
		var l inventory.LiveHold
		err := row.Scan(&l.HoldID, &l.ProductID, &l.Quantity, &l.ExpiresAt)
		return l, err
	})
}

func (holders) HoldsOf(context.Context, []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	return map[uuid.UUID]uuid.UUID{}, nil
}

// product makes one, old enough to be judged, that is on the shelf.
func (p *place) product(stock int64) uuid.UUID {
	p.Helper()
	made, err := p.books.Upsert(p.Context(), []inventory.NewProduct{{
		Product: inventory.Product{SKU: uuid.NewString(), Name: "Tea", UnitPriceMinor: 250, Currency: "GBP"}, Stock: stock,
	}})
	if err != nil {
		p.Fatal(err)
	}
	id := made[0].ID
	p.exec(`UPDATE inventory.stock SET changed_at = now() - interval '1 minute' WHERE product_id = $1`, id)
	p.load(id)
	return id
}

func (p *place) load(product uuid.UUID) {
	p.Helper()
	if err := p.shelf.Load(p.Context(), []uuid.UUID{product}); err != nil {
		p.Fatal(err)
	}
}

// An hour from now and an hour ago, to the millisecond as Redis counts.
var (
	later   = time.Now().Add(time.Hour).Truncate(time.Millisecond)
	earlier = time.Now().Add(-time.Hour).Truncate(time.Millisecond)
)

// cartRows writes the rows of an open cart, changed a minute ago.
func (p *place) cartRows(expires time.Time, lines map[uuid.UUID]int64) uuid.UUID {
	p.Helper()
	id := uuid.Must(uuid.NewV7())
	p.exec(`
		INSERT INTO cart.carts (id, customer, turn, first_line_at, expires_at, changed_at)
		VALUES ($1, $2, 3, $3::timestamptz - interval '1 hour', $3, now() - interval '1 minute')`, id, id.String(), expires)
	for product, quantity := range lines {
		p.exec(`INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held) VALUES ($1, $2, $3, 250, 'GBP', true)`,
			id, product, quantity)
	}
	return id
}

// cart writes a live cart into both places.
func (p *place) cart(lines map[uuid.UUID]int64) uuid.UUID {
	p.Helper()
	id := p.cartRows(later, lines)
	args := []any{"whole", 3, later.UnixMilli()}
	for product, quantity := range lines {
		p.hold(id, product, quantity, later)
		args = append(args, product.String(), quantity)
	}
	p.run(redisx.Call{Script: lua.CartPut, Keys: []string{p.keys.Cart(id)}, Args: args})
	return id
}

// order writes an order that was made a minute ago, is under way, and holds one line.
func (p *place) order(product uuid.UUID, quantity int64) uuid.UUID {
	p.Helper()
	id := uuid.Must(uuid.NewV7())
	p.exec(`
		INSERT INTO orders.orders (id, customer, strategy, hold_id, status, payment_status, inventory_status, total_minor, currency,
			payment_method, deadline, created_at)
		VALUES ($1, 'ann', 'optimistic', $1, 'CREATED', 'NOT_STARTED', 'NOT_STARTED', $2, 'GBP', 'pm_ok', $3, now() - interval '1 minute')`,
		id, 250*quantity, later)
	p.exec(`INSERT INTO orders.lines (order_id, product_id, sku, name, quantity, unit_price_minor) VALUES ($1, $2, 'sku', 'Tea', $3, 250)`,
		id, product, quantity)
	p.promise(id, product, quantity, later.Add(time.Minute))
	return id
}

// promise holds for an order.
func (p *place) promise(id, product uuid.UUID, quantity int64, until time.Time) {
	p.Helper()
	p.hold(id, product, quantity, until)
	p.redis("HSET", p.keys.Product(product)[2], id.String(), entryText(quantity, until)+"::order:0")
	p.redis("HINCRBY", p.keys.Product(product)[0], "m", quantity)
}

// taken lets inventory have decided on an order that long ago.
func (p *place) taken(order uuid.UUID, ago time.Duration) {
	p.Helper()
	p.exec(`INSERT INTO inventory.reservations (order_id, state, decided_by, decided_at) VALUES ($1, 'RESERVED', $1, now() - $2::interval)`, order, ago)
}

func (p *place) hold(id, product uuid.UUID, quantity int64, until time.Time) {
	p.Helper()
	answers, err := p.shelf.Hold(p.Context(), id, []event.OrderLine{{ProductID: product, Quantity: quantity}}, until)
	if err != nil || !answers[0].Held {
		p.Fatalf("hold %d of %s: %v %v", quantity, product, answers, err)
	}
}

func (p *place) release(id, product uuid.UUID) {
	p.Helper()
	if err := p.shelf.Release(p.Context(), id, []uuid.UUID{product}); err != nil {
		p.Fatal(err)
	}
}

func (p *place) run(call redisx.Call) {
	p.Helper()
	if _, err := p.scripts.One(p.Context(), call); err != nil {
		p.Fatal(err)
	}
}

// redis runs a plain command, behind everybody's back.
func (p *place) redis(words ...any) {
	p.Helper()
	if err := p.env.Redis.Do(p.Context(), words...).Err(); err != nil {
		p.Fatal(err)
	}
}

func (p *place) exec(sql string, args ...any) {
	p.Helper()
	if _, err := p.env.DB.Exec(p.Context(), sql, args...); err != nil {
		p.Fatal(err)
	}
}

// full compares everything and repairs.
func (p *place) full() reconcile.Run {
	p.Helper()
	return p.reconcile(reconcile.Full, false)
}

func (p *place) reconcile(scope reconcile.Scope, dryRun bool) reconcile.Run {
	p.Helper()
	run, err := p.reconciler.Reconcile(p.Context(), scope, dryRun)
	if err != nil {
		p.Fatal(err)
	}
	return run
}

// want checks what a run found, as "pair action" of every difference in order.
func (p *place) want(run reconcile.Run, found ...string) {
	p.Helper()
	got := []string{}
	for _, d := range run.Differences {
		got = append(got, d.Pair+" "+string(d.Action))
	}
	slices.Sort(got)
	slices.Sort(found)
	if !slices.Equal(got, found) || int(run.Drifted) != len(found) {
		p.Errorf("found %v (%d), want %v: %+v", got, run.Drifted, found, run.Differences)
	}
}

// agree checks that a run finds nothing more.
func (p *place) agree() {
	p.Helper()
	p.want(p.full())
}

// available is what can be held of a product, as the shelf says.
func (p *place) available(product uuid.UUID) int64 {
	p.Helper()
	free, err := p.shelf.Available(p.Context(), []uuid.UUID{product})
	if err != nil {
		p.Fatal(err)
	}
	return free[product]
}

// entries are the holds of a product in Redis, as stored.
func (p *place) entries(product uuid.UUID) map[string]string {
	p.Helper()
	return p.hash(p.keys.Product(product)[2])
}

func (p *place) hash(key string) map[string]string {
	p.Helper()
	all, err := p.env.Redis.HGetAll(p.Context(), key).Result()
	if err != nil {
		p.Fatal(err)
	}
	return all
}

// everything is all that Redis has under the namespace, by DUMP.
func (p *place) everything() map[string]string {
	p.Helper()
	var one sync.Mutex // the nodes of a cluster are asked at once
	all := map[string]string{}
	err := redisx.EachMaster(p.Context(), p.env.Redis, func(ctx context.Context, node *redis.Client) error {
		one.Lock()
		defer one.Unlock()
		keys, err := node.Keys(ctx, p.env.Namespace+":*").Result()
		for _, key := range keys {
			dump, failed := node.Dump(ctx, key).Result()
			all[key], err = dump, errors.Join(err, failed)
		}
		return err
	})
	if err != nil {
		p.Fatal(err)
	}
	return all
}

func entryText(quantity int64, until time.Time) string {
	return strconv.FormatInt(quantity, 10) + ":" + strconv.FormatInt(until.UnixMilli(), 10)
}

func keysOf[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
