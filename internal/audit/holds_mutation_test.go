package audit_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// heldProduct is a product of which a cart holds three units and an order under way two, as Redis has it.
type heldProduct struct {
	keys                []string // stock, reserved, holds, expiry
	cart, order         string   // hold ids
	cartEnds, orderEnds int64    // ms
}

const buyer = "somebody who holds"

// cartEntry and orderEntry are what it has in holds.
func (p heldProduct) cartEntry() string {
	return fmt.Sprintf("3:%d:%s", p.cartEnds, redisx.Owner(buyer))
}

func (p heldProduct) orderEntry() string {
	return fmt.Sprintf("2:%d:%s:order:0", p.orderEnds, redisx.Owner(buyer))
}

// holdMutations change one part of a product in Redis.
var holdMutations = []struct {
	name string
	do   func(p heldProduct) []any
	why  string // it may go unnamed: why
}{
	{"units of the stock", func(p heldProduct) []any { return []any{"HSET", p.keys[0], "n", 11} }, ""},
	{"version of the stock", func(p heldProduct) []any { return []any{"HSET", p.keys[0], "v", 2} }, ""},
	{"more units marked", func(p heldProduct) []any { return []any{"HSET", p.keys[0], "m", 3} }, ""},
	{"fewer units marked", func(p heldProduct) []any { return []any{"HSET", p.keys[0], "m", 0} }, ""},
	{"no word of units that are marked", func(p heldProduct) []any { return []any{"HDEL", p.keys[0], "m"} }, "they are counted when it matters"},
	{"sequence", func(p heldProduct) []any { return []any{"HSET", p.keys[0], "seq", 77} }, "any number that has not been there before"},
	{"loader", func(p heldProduct) []any { return []any{"HSET", p.keys[0], "load", "token"} }, "means nothing once the product is loaded"},
	{"sum", func(p heldProduct) []any { return []any{"SET", p.keys[1], 6} }, ""},
	{"no sum", func(p heldProduct) []any { return []any{"DEL", p.keys[1]} }, ""},
	{"quantity of a cart", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.cart, fmt.Sprintf("4:%d", p.cartEnds)}
	}, ""},
	{"quantity of an order", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.order, fmt.Sprintf("1:%d::order:0", p.orderEnds)}
	}, ""},
	{"later end of a cart", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.cart, fmt.Sprintf("3:%d", p.cartEnds+60_000)}
	}, ""},
	{"sooner end of a cart", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.cart, fmt.Sprintf("3:%d", p.cartEnds-60_000)}
	}, ""},
	{"later end of an order", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.order, fmt.Sprintf("2:%d::order:0", p.orderEnds+3_600_000)}
	}, ""},
	{"sooner end of an order", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.order, fmt.Sprintf("2:%d::order:0", p.orderEnds-300_000)}
	}, ""},
	{"owner of a cart's", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.cart, fmt.Sprintf("3:%d:%s", p.cartEnds, redisx.Owner("somebody else"))}
	}, ""},
	{"owner of an order's", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.order, fmt.Sprintf("2:%d:%s:order:0", p.orderEnds, redisx.Owner("somebody else"))}
	}, ""},
	{"no owner", func(p heldProduct) []any { return []any{"HSET", p.keys[2], p.cart, fmt.Sprintf("3:%d", p.cartEnds)} }, "kept only while limits for customers are on"},
	{"mark of an order on a cart's", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.cart, fmt.Sprintf("3:%d::order:%d", p.cartEnds, p.cartEnds)}
	}, ""},
	{"mark of a checkout that is over on a cart's", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.cart, fmt.Sprintf("3:%d::token:%d", p.cartEnds, p.cartEnds)}
	}, ""},
	{"no mark on an order's", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.order, fmt.Sprintf("2:%d", p.orderEnds)}
	}, ""},
	{"another mark on an order's", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.order, fmt.Sprintf("2:%d::token:0", p.orderEnds)}
	}, "what made it keeps the checkout's token"},
	{"time to go back to", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.order, fmt.Sprintf("2:%d::order:%d", p.orderEnds, p.cartEnds)}
	}, "of use while a checkout may come to nothing; nobody takes an order's mark away"},
	{"a later time to go back to", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.order, fmt.Sprintf("2:%d::order:%d", p.orderEnds, p.orderEnds+1)}
	}, ""},
	{"an entry of no form", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], p.cart, fmt.Sprintf("3:%d:short", p.cartEnds)}
	}, ""},
	{"no entry of a cart", func(p heldProduct) []any { return []any{"HDEL", p.keys[2], p.cart} }, ""},
	{"no entry of an order", func(p heldProduct) []any { return []any{"HDEL", p.keys[2], p.order} }, ""},
	{"an entry of nobody", func(p heldProduct) []any {
		return []any{"HSET", p.keys[2], uuid.NewString(), fmt.Sprintf("1:%d", p.cartEnds)}
	}, ""},
	{"date by which it ends", func(p heldProduct) []any { return []any{"ZADD", p.keys[3], p.cartEnds - 1000, p.cart} }, ""},
	{"no date by which it ends", func(p heldProduct) []any { return []any{"ZREM", p.keys[3], p.order} }, ""},
	{"a date of nothing", func(p heldProduct) []any { return []any{"ZADD", p.keys[3], p.cartEnds, uuid.NewString()} }, ""},
	{"no dates", func(p heldProduct) []any { return []any{"DEL", p.keys[3]} }, ""},
}

// write puts the product into Redis as the rows say.
func (p heldProduct) write(b *broken) {
	b.Helper()
	b.redis(append([]any{"DEL"}, any(p.keys[0]), p.keys[1], p.keys[2], p.keys[3])...)
	b.redis("HSET", p.keys[0], "n", 10, "v", 1, "seq", 5, "m", 2)
	b.redis("SET", p.keys[1], 5)
	b.redis("HSET", p.keys[2], p.cart, p.cartEntry(), p.order, p.orderEntry())
	b.redis("ZADD", p.keys[3], p.cartEnds, p.cart, p.orderEnds, p.order)
}

// heldProducts makes products that a cart each and one order under way hold, in the rows.
func (b *broken) heldProducts(n int) map[uuid.UUID]heldProduct {
	b.Helper()
	order, hold := uuid.Must(uuid.NewV7()), uuid.New()
	b.exec(`INSERT INTO orders.orders SELECT (jsonb_populate_record(o, jsonb_build_object('id', $2::uuid, 'customer', $3::text, 'hold_id', $4::uuid, 'status', 'PROCESSING',
		'payment_status', 'UNKNOWN', 'failure_reason', NULL, 'ended_at', NULL, 'deadline', now() + interval '1 hour'))).* FROM orders.orders o WHERE id = $1`,
		b.id(declined), order, buyer, hold)
	products := map[uuid.UUID]heldProduct{}
	for range n {
		product, cart := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
		b.exec(`INSERT INTO inventory.products SELECT (jsonb_populate_record(p, jsonb_build_object('id', $2::uuid, 'sku', $2::text))).* FROM inventory.products p WHERE id = $1`,
			b.id(plenty), product)
		b.exec(`INSERT INTO inventory.stock (product_id, available, allocated, version) VALUES ($1, 10, 0, 1)`, product)
		b.exec(`INSERT INTO cart.carts (id, customer, first_line_at, expires_at, changed_at) VALUES ($1, $2, now(), date_trunc('milliseconds', now() + interval '1 hour'), now() - interval '1 hour')`, cart, buyer)
		b.exec(`INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held) VALUES ($1, $2, 3, 1, 'GBP', true)`, cart, product)
		b.exec(`INSERT INTO orders.lines SELECT (jsonb_populate_record(l, jsonb_build_object('order_id', $2::uuid, 'product_id', $3::uuid, 'quantity', 2))).* FROM orders.lines l WHERE order_id = $1`,
			b.id(declined), order, product)
		p := heldProduct{keys: b.keys().Product(product)[:4], cart: cart.String(), order: hold.String()}
		if err := b.db.QueryRow(b.Context(), `SELECT (extract(epoch FROM c.expires_at) * 1000)::bigint, (extract(epoch FROM o.deadline + interval '1 minute') * 1000)::bigint
			FROM cart.carts c, orders.orders o WHERE c.id = $1 AND o.id = $2`, cart, order).Scan(&p.cartEnds, &p.orderEnds); err != nil {
			b.Fatal(err)
		}
		b.redis("HSET", b.keys().Cart(cart), "version", 1, "expires", p.cartEnds, product.String(), 3)
		p.write(b)
		products[product] = p
	}
	return products
}

// Every part of what Redis has of a product is changed, each on a product of its own, and the auditor names it; what it does not name says
// why.
func TestEveryPartOfAHoldIsAudited(t *testing.T) {
	t.Parallel()
	s := sell(t)
	s.env.DB.Close() // a database that is in use cannot be copied
	b := &broken{T: t, shop: s, db: s.copyOf(t)}
	b.Options = s.options(t, b.db)
	b.Namespace = s.copyOfRedis(t)
	b.Ledgers = []audit.Ledger{{URL: "http://127.0.0.1:1", APIKey: apiKey}} // so that an order may be under way
	const atOnce = 8                                                        // a verdict shows ten rows of a rule
	b.free("orders.orders")
	b.free("cart.carts")
	b.exec(`DROP INDEX cart.carts_one_open`)
	products := b.heldProducts(atOnce)
	ids := make([]uuid.UUID, 0, atOnce)
	for id := range products {
		ids = append(ids, id)
	}
	if named := b.namedProducts(); len(named) > 0 {
		t.Fatalf("named before anything was changed: %v", named)
	}
	for some := range slices.Chunk(holdMutations, atOnce) {
		want := map[uuid.UUID]string{}
		for i, m := range some {
			b.redis(m.do(products[ids[i]])...)
			if m.why == "" {
				want[ids[i]] = m.name
			}
		}
		got := b.namedProducts()
		names := map[uuid.UUID]string{}
		for id := range got {
			names[id] = some[slices.Index(ids, id)].name
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("(-ought to be named +named): %s\n%v", diff, got)
		}
		for _, p := range products {
			p.write(b)
		}
	}
}

// namedProducts are the products that an audit names, with what it says of them.
func (b *broken) namedProducts() map[uuid.UUID]string {
	b.Helper()
	report := run(b.T, b.Options)
	v := verdict(b, report, "R1")
	if v.Verdict == audit.Skipped {
		b.Fatalf("R1 is skipped: %s", strings.Join(report.Waiting, ", "))
	}
	named := map[uuid.UUID]string{}
	for _, row := range v.Rows {
		var d struct {
			Rule string    `json:"rule"`
			Key  uuid.UUID `json:"key"`
		}
		if err := json.Unmarshal(row, &d); err != nil {
			b.Fatal(err)
		}
		named[d.Key] += d.Rule + "; "
	}
	return named
}
