package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// referenceStrategy is the way of the order that the references play: every strategy is measured beside the same.
const referenceStrategy = "optimistic"

// references are the rates of pgbench. All rows of a run share them: each is measured when it is first asked for.
type references map[string]measured // by the file of the steps that touch order lines

func (r references) measure(ctx context.Context, p *place, file string) (measured, error) {
	if m, done := r[file]; done {
		return m, nil
	}
	url, err := p.database(ctx, strings.TrimSuffix(file, ".sql"))
	if err != nil {
		return measured{}, err
	}
	m, err := p.reference(ctx, url, file)
	if err != nil {
		return measured{}, err
	}
	r[file] = m
	return m, nil
}

// reference is pgbench with our own SQL on a database of its own.
type reference struct {
	*place
	file    string // of the steps that touch order lines
	url     string
	script  string
	pgbench string
}

// measured is what a run of it came to.
type measured struct {
	TPS     float64            `json:"sagas_per_second"`
	Ratio   float64            `json:"ratio"` // ours divided by it
	Orders  int                `json:"orders"`
	Clients int                `json:"clients"`
	Script  string             `json:"script"`
	CPU     map[string]float64 `json:"cpu_seconds"`
}

// reference fills an empty, migrated database with the same catalogue, plays as many orders to warm up as the engine, and
// then so many that its rate is known.
func (p *place) reference(ctx context.Context, url, file string) (measured, error) {
	r := &reference{place: p, file: file, url: url}
	if err := r.prepare(ctx); err != nil {
		return measured{}, err
	}
	warm := p.warmUp()
	if _, _, err := r.play(ctx, 0, warm); err != nil {
		return measured{}, err
	}
	if err := p.checkpoint(ctx, r.url); err != nil {
		return measured{}, err
	}
	watch := p.watch(nil)
	before := watch.now()
	tps, seconds, err := r.play(ctx, warm, p.referenceOrders())
	if err != nil {
		return measured{}, err
	}
	used := watch.now()
	used["pgbench"], before["pgbench"] = seconds, 0
	return measured{TPS: rounded(tps, 1), Orders: p.referenceOrders(), Clients: p.Clients, Script: r.script, CPU: used.since(before)}, r.check(ctx, warm+p.referenceOrders())
}

// warmUp is how many orders are played before it counts: so many that every client has its share.
func (o Options) warmUp() int { return o.Clients * max(1, min(o.Orders/20, 500)/o.Clients) }

// referenceOrders is how many orders a reference plays while it is measured, the same number for each client.
func (o Options) referenceOrders() int {
	return o.Clients * max(1, min(o.Orders, o.References)/o.Clients)
}

func (r *reference) prepare(ctx context.Context) error {
	var err error
	if r.pgbench, err = postgresTool("pgbench"); err != nil {
		return err
	}
	text, err := script(r.Scripts, r.file, r.Lines)
	if err != nil {
		return err
	}
	r.script = filepath.Join(r.Dir, r.prefix+"-"+r.file)
	if err := os.WriteFile(r.script, []byte(text), 0o644); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, r.url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return r.load(ctx, conn)
}

// play runs so many orders from the first on. It gives sagas per second and the seconds that pgbench itself has computed.
func (r *reference) play(ctx context.Context, first, orders int) (tps, seconds float64, err error) {
	each := orders / r.Clients
	latencies := "--progress=60"
	if first == 0 { // the warm-up tells how long each statement takes, which costs something
		latencies = "--report-per-command"
	}
	cmd := exec.CommandContext(ctx, r.pgbench, latencies, "-n", "-M", "prepared", "-c", strconv.Itoa(r.Clients), "-j", strconv.Itoa(min(r.Clients, runtime.NumCPU())),
		"-t", strconv.Itoa(each), "-f", r.script, "-D", fmt.Sprintf("first=%d", first), "-D", fmt.Sprintf("per_client=%d", each), "-D", "i=0",
		"-D", "strategy="+referenceStrategy, r.url)
	out, err := cmd.CombinedOutput()
	log := fmt.Sprintf("%s-%s-%d.log", r.prefix, r.file, first)
	if err := os.WriteFile(filepath.Join(r.Dir, log), out, 0o644); err != nil {
		return 0, 0, err
	}
	if err != nil {
		return 0, 0, fmt.Errorf("pgbench %s: %w: %s", r.file, err, out[:min(len(out), 1000)])
	}
	found := tpsLine.FindSubmatch(out)
	if found == nil {
		return 0, 0, fmt.Errorf("pgbench %s: no tps in its answer: %s", r.file, out)
	}
	tps, err = strconv.ParseFloat(string(found[1]), 64)
	state := cmd.ProcessState
	return tps, (state.UserTime() + state.SystemTime()).Seconds(), err
}

var tpsLine = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(without initial connection time\)`)

// check proves that the reference did the same work.
func (r *reference) check(ctx context.Context, orders int) error {
	conn, err := pgx.Connect(ctx, r.url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var completed, lines, facts, heard, paid int
	err = conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM orders.view WHERE status = 'COMPLETED'), (SELECT count(*) FROM inventory.reservation_lines),
		(SELECT count(*) FROM shared.outbox), (SELECT count(*) FROM shared.inbox), (SELECT count(*) FROM payment.payments WHERE state = 'SUCCESS')`).
		Scan(&completed, &lines, &facts, &heard, &paid)
	if err != nil {
		return err
	}
	if completed != orders || lines != orders*r.Lines || facts != 5*orders || heard != 7*orders || paid != orders {
		return fmt.Errorf("%s: of %d orders %d completed and %d were paid, with %d lines, %d facts said and %d heard", r.file, orders, completed, paid, lines, facts, heard)
	}
	return nil
}

// load writes the catalogue and what the script reads: baskets to be taken in turn, and the ids of each order.
func (r *reference) load(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		CREATE SCHEMA bench;
		CREATE TABLE bench.baskets (n int PRIMARY KEY, customer text, print text, products uuid[], skus text[], names text[], quantities bigint[],
			prices bigint[], total bigint, lines text, created_body text, reserved_body text, processed_body text, updated_body text, completed_body text);
		CREATE TABLE bench.orders (n int PRIMARY KEY, basket int, key text, order_id uuid, f_created uuid, f_reserved uuid, f_processed uuid,
			f_updated uuid, f_completed uuid, movements uuid[])`)
	if err != nil {
		return err
	}
	if err := r.loadCatalogue(ctx, conn); err != nil {
		return err
	}
	if err := r.loadBaskets(ctx, conn); err != nil {
		return err
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"bench", "orders"},
		[]string{"n", "basket", "key", "order_id", "f_created", "f_reserved", "f_processed", "f_updated", "f_completed", "movements"},
		pgx.CopyFromSlice(r.warmUp()+r.referenceOrders(), func(n int) ([]any, error) { return r.ids(n), nil }))
	return err
}

// ids of one order and of the facts of its way.
func (r *reference) ids(n int) []any {
	created, reserved, processed, updated, completed := newID(), newID(), newID(), newID(), newID()
	movements := make([]uuid.UUID, r.Lines)
	for i := range movements {
		movements[i] = newID()
	}
	return []any{n, n % baskets, fmt.Sprintf("bench-%d", n), newID(), created, reserved, processed, updated, completed, movements}
}

func (r *reference) loadCatalogue(ctx context.Context, conn *pgx.Conn) error {
	ids := make([]uuid.UUID, len(r.shop.articles))
	for i, a := range r.shop.articles {
		var err error
		if ids[i], err = uuid.Parse(a.ID); err != nil {
			return err
		}
	}
	_, err := conn.CopyFrom(ctx, pgx.Identifier{"inventory", "products"}, []string{"id", "sku", "name", "unit_price_minor", "currency"},
		pgx.CopyFromSlice(len(ids), func(i int) ([]any, error) {
			a := r.shop.articles[i]
			return []any{ids[i], a.SKU, a.Name, a.Price, "GBP"}, nil
		}))
	if err != nil {
		return err
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"inventory", "stock"}, []string{"product_id", "available", "allocated"},
		pgx.CopyFromSlice(len(ids), func(i int) ([]any, error) { return []any{ids[i], int64(openingStock), int64(0)}, nil }))
	return err
}

func (r *reference) loadBaskets(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.CopyFrom(ctx, pgx.Identifier{"bench", "baskets"},
		[]string{"n", "customer", "print", "products", "skus", "names", "quantities", "prices", "total", "lines", "created_body", "reserved_body", "processed_body", "updated_body", "completed_body"},
		pgx.CopyFromSlice(baskets, func(n int) ([]any, error) {
			b, err := newBasket(n, r.shop.order(n))
			return []any{n, b.customer, b.print, b.products, b.skus, b.names, b.quantities, b.prices, b.total, b.lines, b.created, b.reserved, b.processed, b.updated, b.completed}, err
		}))
	return err
}

// postgresTool finds the newest of this machine.
func postgresTool(name string) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // the pattern is sound
	if len(found) > 0 {
		slices.Sort(found)
		return found[len(found)-1], nil
	}
	return exec.LookPath(name)
}
