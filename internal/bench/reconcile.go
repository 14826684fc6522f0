package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// reconcileRow compares a whole catalogue in Redis with Postgres, beside the bare reading of the same keys and rows.
func reconcileRow() measure {
	return measure{"reconcile/full", func(ctx context.Context, p *place) (Row, error) { return p.reconcile(ctx) }}
}

// longRun is how long a full run may take that the driver waits for.
const longRun = 10 * time.Minute

// stockroom is the catalogue, the carts and the Redis of the row.
type stockroom struct {
	*place
	url     string // of the database
	redis   redis.UniversalClient
	scripts *redisx.Scripts
	keys    redisx.Keys
}

// repairs is what the server says of a run.
type repairs struct {
	Seconds                     float64
	Compared, Drifted, Repaired int64
	Everything                  bool
}

// reconcile measures a full run through the operators' API, with drift to be found, and proves by a second one that all of it
// was repaired.
func (p *place) reconcile(ctx context.Context) (row Row, err error) {
	room, err := p.stockroom(ctx)
	if err != nil {
		return Row{}, err
	}
	defer room.redis.Close()
	began := time.Now()
	if err := room.fillPostgres(ctx); err != nil {
		return Row{}, fmt.Errorf("fill Postgres: %w", err)
	}
	p.ServerFlags = append(p.ServerFlags[:len(p.ServerFlags):len(p.ServerFlags)], "--reconcile-interval=0s") // no runs but those asked for
	e, err := p.startEngine(ctx, room.url)                                                                   // first: it has a Redis that it does not know forget what is in it
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	drift, err := room.fillRedis(ctx)
	if err != nil {
		return Row{}, fmt.Errorf("fill Redis: %w", err)
	}
	detail := map[string]any{
		"machine": machine(ctx, p.servers, ""), "products": p.Catalogue, "carts": room.carts(), "drift_planted": drift,
		"server_flags": p.ServerFlags, "fill_seconds": rounded(time.Since(began).Seconds(), 1),
	}
	if err := p.checkpoint(ctx, room.url); err != nil {
		return Row{}, err
	}
	pipeline, keys, err := room.pipeline(ctx)
	if err != nil {
		return Row{}, fmt.Errorf("pipeline: %w", err)
	}
	scan, err := room.scan(ctx)
	if err != nil {
		return Row{}, fmt.Errorf("scan: %w", err)
	}
	seconds, err := room.ours(ctx, e, drift, detail)
	if err != nil {
		return Row{}, fmt.Errorf("ours: %w", err)
	}
	detail["seconds"] = map[string]float64{"ours": rounded(seconds, 2), "redis_pipeline": rounded(pipeline, 2), "sql_scan": rounded(scan, 2)}
	detail["keys"], detail["keys_per_second"] = keys, rounded(float64(keys)/seconds, 0)
	all := float64(p.Catalogue)
	return compared(all/seconds, all/(pipeline+scan), "bare Redis pipeline of the same keys, then bare SQL scan of the same rows", "products/s", detail), nil
}

// ours runs the engine: once with the drift, which is what counts, and once without.
func (s *stockroom) ours(ctx context.Context, e *engine, drift int64, detail map[string]any) (seconds float64, err error) {
	d, err := newDriver(e.url, "", s.prefix, e.secret, 1, longRun)
	if err != nil {
		return 0, err
	}
	server := e.server.cmd.Process.Pid
	detail["rss_mb_before"] = rss(server, "VmRSS")
	forgetPeak(server)
	watch := s.watch(watched{"server": server})
	before := watch.now()
	began := time.Now()
	first, err := d.reconcile(ctx)
	if err != nil {
		return 0, err
	}
	seconds = time.Since(began).Seconds()
	detail["cpu_seconds"], detail["rss_mb_peak"] = watch.now().since(before), rss(server, "VmHWM")
	second, err := d.reconcile(ctx)
	if err != nil {
		return 0, err
	}
	detail["drift_found"], detail["drift_repaired"], detail["compared"] = first.Drifted, first.Repaired, first.Compared
	detail["seconds_without_drift"] = rounded(second.Seconds, 2)
	if first.Drifted != drift || first.Repaired != drift || second.Drifted != 0 {
		return 0, fmt.Errorf("of %d differences %d were found and %d repaired, and %d were left", drift, first.Drifted, first.Repaired, second.Drifted)
	}
	return seconds, nil
}

// rss gives a figure of a process' memory in MB: VmRSS as it is, VmHWM the most it was.
func rss(pid int, name string) float64 {
	var kB float64
	if _, err := fmt.Sscan(field(fmt.Sprintf("/proc/%d/status", pid), name), &kB); err != nil {
		return 0
	}
	return rounded(kB/1024, 1)
}

// forgetPeak has the kernel count a process' largest memory from here on. Where it cannot, the peak is that of the whole life.
func forgetPeak(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200)
}

// pipelined is how many commands the bare pipeline sends at once.
const pipelined = 2000

// pipeline reads every key of products and carts with plain commands, and gives the seconds and the number of keys.
func (s *stockroom) pipeline(ctx context.Context) (seconds float64, keys int, err error) {
	pipe := s.redis.Pipeline()
	began := time.Now()
	flush := func(least int) error {
		if pipe.Len() < least {
			return nil
		}
		keys += pipe.Len()
		_, err := pipe.Exec(ctx)
		if errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	}
	for i := range s.Catalogue {
		k := s.keys.Product(productID(i))
		pipe.HMGet(ctx, k[0], "n", "v")
		pipe.Get(ctx, k[1])
		pipe.HGetAll(ctx, k[2])
		pipe.ZCard(ctx, k[3])
		if err := flush(pipelined); err != nil {
			return 0, 0, err
		}
	}
	for i := range s.carts() {
		pipe.HGetAll(ctx, s.keys.Cart(cartID(i)))
		if err := flush(pipelined); err != nil {
			return 0, 0, err
		}
	}
	err = flush(1)
	return time.Since(began).Seconds(), keys, err
}

// scan reads every row that is compared, each table once.
func (s *stockroom) scan(ctx context.Context) (float64, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	began := time.Now()
	for _, sql := range []string{
		`SELECT product_id, available, version, changed_at FROM inventory.stock`,
		`SELECT l.product_id, l.cart_id, l.quantity, c.expires_at FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id WHERE c.state = 'OPEN'`,
		`SELECT c.id, c.turn, c.expires_at, l.product_id, l.quantity FROM cart.carts c JOIN cart.lines l ON l.cart_id = c.id WHERE c.state = 'OPEN'`,
		`SELECT l.product_id, o.hold_id, l.quantity, o.deadline FROM orders.orders o JOIN orders.lines l ON l.order_id = o.id WHERE o.status IN ('CREATED', 'PROCESSING', 'ENDING')`,
	} {
		rows, err := conn.Query(ctx, sql)
		if err != nil {
			return 0, err
		}
		for rows.Next() {
			if _, err := rows.Values(); err != nil {
				return 0, err
			}
		}
		if err := rows.Err(); err != nil {
			return 0, fmt.Errorf("%s: %w", sql, err)
		}
	}
	return time.Since(began).Seconds(), nil
}
