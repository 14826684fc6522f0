package bench

import (
	"context"
	"errors"
	"fmt"
)

// saga measures whole sagas per second: an order of so many lines, from its POST until it is final. The engine is stopped
// before the references run, so that each has the machine to itself.
func (p *place) saga(ctx context.Context, strategy string) (Row, error) {
	program, err := pgbench()
	if err != nil {
		return Row{}, err
	}
	detail := map[string]any{
		"machine": machine(ctx, p.servers, program),
		"orders":  p.Orders, "lines": p.Lines, "concurrency": p.Concurrency, "products": p.Products, "seed": p.Seed, "server_flags": p.ServerFlags,
	}
	ours, err := p.ours(ctx, strategy, detail)
	if err != nil {
		return Row{}, fmt.Errorf("ours: %w", err)
	}
	set, err := p.beside(ctx, strategy, "set")
	if err != nil {
		return Row{}, err
	}
	rows, err := p.beside(ctx, strategy, "rows")
	if err != nil {
		return Row{}, err
	}
	set.Ratio, rows.Ratio = rounded(ours/set.TPS, 3), rounded(ours/rows.TPS, 3)
	detail["set_based"], detail["row_by_row"] = set, rows
	return compared(ours, set.TPS, "pgbench, our SQL for one order per step, set-based", "sagas/s", detail), nil
}

// beside runs a reference on a database of its own.
func (p *place) beside(ctx context.Context, strategy, name string) (measured, error) {
	url, err := p.database(ctx, name)
	if err != nil {
		return measured{}, err
	}
	return p.reference(ctx, url, strategy, name+".sql")
}

// ours gives sagas per second of the engine.
func (p *place) ours(ctx context.Context, strategy string, detail map[string]any) (rate float64, err error) {
	url, err := p.database(ctx, "ours")
	if err != nil {
		return 0, err
	}
	e, err := p.startEngine(ctx, url)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	d, err := newDriver(e.url, strategy, p.prefix, e.secret, p.Concurrency)
	if err != nil {
		return 0, err
	}
	if err := d.fill(ctx, p.shop); err != nil {
		return 0, err
	}
	if _, err := d.buy(ctx, p.shop, 0, p.warmUp(), p.Concurrency); err != nil {
		return 0, fmt.Errorf("warm up: %w", err)
	}
	if err := p.checkpoint(ctx, url); err != nil {
		return 0, err
	}
	watch := p.watch(watched{"server": e.server.cmd.Process.Pid, "sandbox": e.sandbox.cmd.Process.Pid})
	before := watch.now()
	run, err := d.buy(ctx, p.shop, p.warmUp(), p.Orders, p.Concurrency)
	if err != nil {
		return 0, err
	}
	cpu := watch.now().since(before)
	detail["seconds"], detail["latency_ms"], detail["cpu_seconds"] = rounded(run.seconds, 2), quantiles(run.took), cpu
	detail["told_to_try_again"] = d.retried.Load()
	detail["cpu_ms_per_saga"] = rounded(cpu["total"]*1000/float64(p.Orders), 3)
	return float64(p.Orders) / run.seconds, nil
}
