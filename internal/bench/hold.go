package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// holdClients is how many hold at the same time, ours and redis-benchmark's.
const holdClients = 50

// holdRow puts products into carts over HTTP, beside redis-benchmark running the same script. Customers want one of so many
// products.
func holdRow(name string, products int) measure {
	return measure{"hold/" + name, func(ctx context.Context, p *place) (Row, error) {
		p.Products, p.Lines = products, 1
		p.shop = newShop(p.Options)
		return p.hold(ctx)
	}}
}

func (p *place) hold(ctx context.Context) (Row, error) {
	detail := map[string]any{
		"machine": machine(ctx, p.servers, ""), "holds": p.Holds, "clients": holdClients, "products": p.Products, "customers": holders,
		"server_flags": p.ServerFlags,
	}
	ours, err := p.ourHolds(ctx, detail)
	if err != nil {
		return Row{}, fmt.Errorf("ours: %w", err)
	}
	bare, err := p.bareHolds(ctx)
	if err != nil {
		return Row{}, fmt.Errorf("redis-benchmark: %w", err)
	}
	detail["redis_benchmark"] = bare
	return compared(ours, bare.PerSecond, "redis-benchmark, the same script, 50 clients, no pipelining", "holds/s", detail), nil
}

// ourHolds gives holds per second of the engine.
func (p *place) ourHolds(ctx context.Context, detail map[string]any) (rate float64, err error) {
	e, _, err := p.open(ctx, "")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	h, err := newHolder(e, p.shop)
	if err != nil {
		return 0, err
	}
	warm := len(p.shop.articles) // each product is on the shelf then
	if p.Products == 1 {
		warm = holders / 10
	}
	if _, err := h.run(ctx, 0, warm); err != nil {
		return 0, fmt.Errorf("warm up: %w", err)
	}
	if err := p.checkpoint(ctx, e.database); err != nil {
		return 0, err
	}
	watch := p.watch(e.processes())
	before := watch.now()
	run, err := h.run(ctx, warm, p.Holds)
	if err != nil {
		return 0, err
	}
	detail["cpu_seconds_per_1000"] = perThousand(watch.now().since(before), p.Holds)
	detail["seconds"], detail["latency_ms"], detail["told_to_try_again"] = rounded(run.seconds, 2), quantiles(run.took), h.retried.Load()
	return float64(p.Holds) / run.seconds, p.checkHolds(ctx, e, h.units(warm+p.Holds))
}

func perThousand(seconds map[string]float64, n int) map[string]float64 {
	each := make(map[string]float64, len(seconds))
	for name, s := range seconds {
		each[name] = rounded(s*1000/float64(n), 3)
	}
	return each
}

// checkHolds proves that rows and shelf have all the units that were answered as held.
func (p *place) checkHolds(ctx context.Context, e *engine, units int64) error {
	conn, err := pgx.Connect(ctx, e.database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var rows, shelf int64
	err = conn.QueryRow(ctx, `SELECT coalesce(sum(l.quantity), 0) FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id
		WHERE l.held AND c.state = 'OPEN' AND c.expires_at > now() + interval '1 minute'`).Scan(&rows)
	if err != nil {
		return err
	}
	client, err := redisx.Open(p.servers.RedisURL(), redisx.Options{ReadTimeout: time.Minute})
	if err != nil {
		return err
	}
	defer client.Close()
	keys := redisx.Keys{Namespace: p.prefix}
	for _, a := range p.shop.articles {
		n, err := client.Get(ctx, keys.Product(a.uuid())[1]).Int64()
		if err != nil {
			return fmt.Errorf("units held of product %s: %w", a.SKU, err)
		}
		shelf += n
	}
	if rows != units || shelf != units {
		return fmt.Errorf("%d units were answered as held: the rows have %d and the shelf %d", units, rows, shelf)
	}
	return nil
}
