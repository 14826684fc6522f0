package bench

import (
	"context"
	"errors"
	"fmt"
)

func sagaRow(strategy string) measure {
	return measure{"saga/" + strategy, func(ctx context.Context, p *place) (Row, error) { return p.saga(ctx, strategy) }}
}

// saga measures whole sagas per second: an order of so many lines, from its POST until it is final. The engine is stopped
// before the references run, so that each has the machine to itself.
func (p *place) saga(ctx context.Context, strategy string) (Row, error) {
	program, err := postgresTool("pgbench")
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
	set, err := p.references.measure(ctx, p, "set.sql")
	if err != nil {
		return Row{}, err
	}
	rows, err := p.references.measure(ctx, p, "rows.sql")
	if err != nil {
		return Row{}, err
	}
	set.Ratio, rows.Ratio = rounded(ours/set.TPS, 3), rounded(ours/rows.TPS, 3)
	detail["set_based"], detail["row_by_row"] = set, rows
	return compared(ours, set.TPS, "pgbench, our SQL for one order per step, set-based", "sagas/s", detail), nil
}

// ours gives sagas per second of the engine.
func (p *place) ours(ctx context.Context, strategy string, detail map[string]any) (rate float64, err error) {
	e, d, err := p.open(ctx, strategy)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	if _, err := d.buy(ctx, p.shop, 0, p.warmUp(), p.Concurrency); err != nil {
		return 0, fmt.Errorf("warm up: %w", err)
	}
	if err := p.checkpoint(ctx, e.database); err != nil {
		return 0, err
	}
	watch := p.watch(e.processes())
	before := watch.now()
	run, err := d.buy(ctx, p.shop, p.warmUp(), p.Orders, p.Concurrency)
	if err != nil {
		return 0, err
	}
	cpu := watch.now().since(before)
	detail["seconds"], detail["latency_ms"], detail["cpu_seconds"] = rounded(run.seconds, 2), quantiles(run.took), cpu
	detail["told_to_try_again"] = d.retried.Load()
	detail["cpu_ms_per_saga"] = perSaga(cpu, p.Orders)
	return float64(p.Orders) / run.seconds, nil
}

// perSaga turns processor seconds of so many sagas into the milliseconds of one, by process.
func perSaga(seconds map[string]float64, sagas int) map[string]float64 {
	ms := make(map[string]float64, len(seconds))
	for name, s := range seconds {
		ms[name] = rounded(s*1000/float64(sagas), 3)
	}
	return ms
}
