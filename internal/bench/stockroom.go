package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// What the stockroom has: a cart for so many products, each with so many lines, and as much of each product.
const (
	productsPerCart = 20
	linesPerCart    = 4
	stocked         = 1000
)

// The moments of the stockroom: everything was changed long ago, and no cart expires while it is measured.
var (
	stockedAt   = time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	cartsExpire = time.Now().Add(6 * time.Hour).Truncate(time.Millisecond)
)

func (s *stockroom) carts() int { return s.Catalogue / productsPerCart }

// numbered is a UUIDv7 of that moment.
func numbered(at time.Time, kind byte, n int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16|0x7000)
	binary.BigEndian.PutUint64(id[8:], uint64(n)|uint64(kind)<<40|0x8000<<48)
	return id
}

func productID(n int) uuid.UUID { return numbered(stockedAt, 1, n) }
func cartID(n int) uuid.UUID    { return numbered(stockedAt, 2, n) }

// lineOf gives the product of a cart's line: those of one cart are far from each other.
func (s *stockroom) lineOf(cart, line int) int {
	return (cart*productsPerCart + line*(s.Catalogue/linesPerCart+1)) % s.Catalogue
}

// cartsOf gives the carts in which a product is.
func (s *stockroom) cartsOf() map[int][]int {
	carts := make(map[int][]int, s.carts()*linesPerCart)
	for c := range s.carts() {
		for l := range linesPerCart {
			p := s.lineOf(c, l)
			carts[p] = append(carts[p], c)
		}
	}
	return carts
}

// stockroom opens what the row needs.
func (p *place) stockroom(ctx context.Context) (*stockroom, error) {
	if p.Catalogue < leastCatalogue {
		return nil, fmt.Errorf("a catalogue of %d is too small: %d at least", p.Catalogue, leastCatalogue)
	}
	url, err := p.database(ctx, "stockroom")
	if err != nil {
		return nil, err
	}
	client, err := redisx.Open(p.servers.RedisURL(), redisx.Options{ReadTimeout: time.Minute})
	if err != nil {
		return nil, err
	}
	scripts := redisx.NewScripts(client, lua.Sources())
	scripts.Patience = time.Minute
	return &stockroom{place: p, url: url, redis: client, scripts: scripts, keys: redisx.Keys{Namespace: p.prefix}}, nil
}

func (s *stockroom) connect(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, s.url) }

func (s *stockroom) fillPostgres(ctx context.Context) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, table := range []struct {
		name    pgx.Identifier
		columns []string
		n       int
		row     func(n int) ([]any, error)
	}{
		{pgx.Identifier{"inventory", "products"}, []string{"id", "sku", "name", "unit_price_minor", "currency"}, s.Catalogue, func(n int) ([]any, error) {
			return []any{productID(n), fmt.Sprintf("R%07d", n), fmt.Sprintf("BENCH ARTICLE NUMBER %07d", n), int64(250), "GBP"}, nil
		}},
		{pgx.Identifier{"inventory", "stock"}, []string{"product_id", "available", "allocated", "changed_at"}, s.Catalogue, func(n int) ([]any, error) {
			return []any{productID(n), int64(stocked), int64(0), stockedAt}, nil
		}},
		{pgx.Identifier{"cart", "carts"}, []string{"id", "customer", "first_line_at", "expires_at", "changed_at"}, s.carts(), func(n int) ([]any, error) {
			return []any{cartID(n), fmt.Sprintf("bench-%d", n), stockedAt, cartsExpire, stockedAt}, nil
		}},
		{pgx.Identifier{"cart", "lines"}, []string{"cart_id", "product_id", "quantity", "unit_price_minor", "currency", "held"}, s.carts() * linesPerCart, func(n int) ([]any, error) {
			return []any{cartID(n / linesPerCart), productID(s.lineOf(n/linesPerCart, n%linesPerCart)), int64(2), int64(250), "GBP", true}, nil
		}},
	} {
		if _, err := conn.CopyFrom(ctx, table.name, table.columns, pgx.CopyFromSlice(table.n, table.row)); err != nil {
			return fmt.Errorf("%s: %w", table.name.Sanitize(), err)
		}
	}
	return nil
}

// fillRedis writes the keys, and then makes some of them wrong. It gives the number of differences.
func (s *stockroom) fillRedis(ctx context.Context) (drift int64, err error) {
	if err := s.load(ctx); err != nil {
		return 0, err
	}
	return s.spoil(ctx)
}

// loader is the token under which the benchmark loads products.
const loader = "bench"

// load puts every product and its holds on the shelf with the script that the engine does it with, and writes the carts' copies.
func (s *stockroom) load(ctx context.Context) error {
	carts := s.cartsOf()
	calls := make([]redisx.Call, 0, pipelined)
	for n := range s.Catalogue {
		id := productID(n)
		args := []any{loader, "", stocked, 1}
		for _, c := range carts[n] {
			args = append(args, cartID(c).String(), 2, cartsExpire.UnixMilli())
			calls = append(calls, redisx.Command("ZADD", s.keys.Due(id), "LT", cartsExpire.UnixMilli(), id.String()))
		}
		keys := s.keys.Product(id)
		calls = append(calls, redisx.Call{Script: lua.Open, Keys: keys, Args: []any{loader}}, redisx.Call{Script: lua.Load, Keys: keys, Args: args})
		var err error
		if calls, err = s.send(ctx, calls, pipelined); err != nil {
			return err
		}
	}
	for c := range s.carts() {
		args := []any{"whole", 1, cartsExpire.UnixMilli()}
		for l := range linesPerCart {
			args = append(args, productID(s.lineOf(c, l)).String(), 2)
		}
		var err error
		if calls, err = s.send(ctx, append(calls, redisx.Call{Script: lua.CartPut, Keys: []string{s.keys.Cart(cartID(c))}, Args: args}), pipelined); err != nil {
			return err
		}
	}
	_, err := s.send(ctx, calls, 1)
	return err
}

// send sends the calls once there are that many.
func (s *stockroom) send(ctx context.Context, calls []redisx.Call, least int) ([]redisx.Call, error) {
	if len(calls) < least {
		return calls, nil
	}
	replies, err := s.scripts.Run(ctx, calls)
	for _, r := range replies {
		err = errors.Join(err, r.Err)
	}
	return calls[:0], err
}

// drifted is how many products of each kind are made wrong; the least catalogue has room for them.
const (
	drifted        = 250
	leastCatalogue = 20_000
)

// spoil makes products wrong in four ways, each of another product, all over the catalogue: another stock, another sum, a
// hold that is lost, a hold of nobody.
func (s *stockroom) spoil(ctx context.Context) (int64, error) {
	var calls []redisx.Call
	step := s.carts() / drifted * productsPerCart // each is the first line of a cart
	for i := range drifted {
		at := func(n int) []string { return s.keys.Product(productID(i*step + n)) }
		calls = append(calls,
			redisx.Command("HSET", at(1)[0], "n", stocked-1),
			redisx.Command("INCRBY", at(2)[1], 1),
			redisx.Call{Script: lua.Release, Keys: at(0), Args: []any{cartID(i * step / productsPerCart).String()}},
			redisx.Call{Script: lua.Hold, Keys: at(3), Args: []any{numbered(stockedAt, 3, i).String(), 1, cartsExpire.UnixMilli()}})
	}
	_, err := s.send(ctx, calls, 1)
	return 4 * drifted, err
}
