package inventory_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

func TestReserveTakesAllLinesOrNone(t *testing.T) {
	s := newShop(t)
	p := s.sell(10, 3)
	have, want := s.created(line(p[0], 4), line(p[1], 3)), s.created(line(p[0], 1), line(p[1], 1))
	s.reserve(have, want)
	s.wantBooks(p[0], 6, 4)
	s.wantBooks(p[1], 0, 3)
	s.wantConserved()
	s.wantSaid(have, event.StockReserved)
	s.wantSaid(want, event.StockFailed)

	order, _ := event.Decode[event.Order](have)
	for _, tt := range []struct {
		heard event.Fact
		lines []event.StockLine
	}{
		{have, []event.StockLine{{ProductID: p[0], Quantity: 4, Available: 6, Version: 3}, {ProductID: p[1], Quantity: 3, Version: 3}}},
		{want, []event.StockLine{{ProductID: p[1], Quantity: 1, Version: 3}}},
	} {
		said := s.said(tt.heard.OrderID)[0]
		got, err := event.Decode[event.OrderStock](said)
		if err != nil {
			t.Fatal(err)
		}
		heard, _ := event.Decode[event.Order](tt.heard)
		if diff := cmp.Diff(event.OrderStock{HoldID: heard.HoldID, Lines: tt.lines, Terms: order.Terms}, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", said.Name, diff)
		}
		if said.Cause != tt.heard.ID || said.Strategy != tt.heard.Strategy {
			t.Errorf("%s is caused by %s in %s", said.Name, said.Cause, said.Strategy)
		}
	}
}

func TestReserveAsksForLinesThatAFactDoesNotCarry(t *testing.T) {
	s := newShop(t)
	p := s.sell(5)
	order := s.created(line(p[0], 2), line(p[0], 1)) // one product in two lines is one line
	s.reserve(paid(order))
	s.wantBooks(p[0], 2, 3)
	got, err := event.Decode[event.OrderStock](s.said(order.OrderID)[0])
	if err != nil {
		t.Fatal(err)
	}
	want, _ := event.Decode[event.Order](order)
	if got.HoldID != want.HoldID || got.Terms != want.Terms || len(got.Lines) != 1 {
		t.Errorf("said %+v of %+v", got, want)
	}
}

func TestHearingAgainDoesNothing(t *testing.T) {
	s := newShop(t)
	p := s.sell(10)
	order := s.created(line(p[0], 4))
	s.reserve(order, order)
	s.reserve(order)
	s.reserve(paid(order)) // another fact that asks for the same
	s.wantBooks(p[0], 6, 4)
	end := ending(order)
	s.release(end, end, ending(order))
	s.release(end)
	s.release(ending(order))
	s.wantBooks(p[0], 10, 0)
	s.reserve(paid(order)) // what was given back is not taken again
	s.wantBooks(p[0], 10, 0)
	s.wantSaid(order, event.StockReserved, event.StockReleased)
	s.wantConserved()
}

func TestReleaseBeforeReserveLeavesNothingToTake(t *testing.T) {
	s := newShop(t)
	p := s.sell(10)
	order := s.created(line(p[0], 4))
	s.release(ending(order))
	s.reserve(order)
	s.release(ending(order))
	s.wantBooks(p[0], 10, 0)
	s.wantSaid(order, event.StockReleased)
	said, err := event.Decode[event.OrderStock](s.said(order.OrderID)[0])
	if err != nil || len(said.Lines) != 0 {
		t.Errorf("released %+v, %v", said.Lines, err)
	}
	s.wantConserved()
}

func TestReleaseOfWhatWasOutOfStockSaysNothing(t *testing.T) {
	s := newShop(t)
	p := s.sell(1)
	order := s.created(line(p[0], 2), line(uuid.Must(uuid.NewV7()), 1)) // the second product does not exist
	s.reserve(order)
	s.release(ending(order))
	s.wantSaid(order, event.StockFailed)
	said, err := event.Decode[event.OrderStock](s.said(order.OrderID)[0])
	if err != nil || len(said.Lines) != 2 {
		t.Errorf("could not be had: %+v, %v", said.Lines, err)
	}
	s.wantBooks(p[0], 1, 0)
}

// What cannot be read or done has no effect at all, for none of the batch.
func TestAPoisonousFactSpoilsItsBatchAlone(t *testing.T) {
	s := newShop(t)
	p := s.sell(10)
	good := s.created(line(p[0], 1))
	unknown := paid(s.created(line(p[0], 1)))
	unknown.OrderID = uuid.Must(uuid.NewV7())
	nobody := s.created(line(p[0], 1))
	nobody.OrderID = uuid.Nil
	broken := s.created(line(p[0], 1))
	broken.Data = []byte(`{"lines":7}`)
	for name, bad := range map[string]event.Fact{
		"no order": nobody, "order unknown": unknown, "not its shape": broken,
		"negative": s.created(line(p[0], -5)), "zero": s.created(line(p[0], 0)), "no product": s.created(line(uuid.Nil, 1)),
	} {
		if err := s.books.Reserve(t.Context(), []event.Fact{good, bad}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if n := s.one(`SELECT count(*) FROM shared.inbox`); n != 0 {
		t.Errorf("%d facts are in the inbox", n)
	}
	s.reserve(good)
	s.wantBooks(p[0], 9, 1)
}

// Many consumers, many at once, each fact twice and in any order: exactly the units that there are are taken.
func TestTheLastUnitsAreTakenOnce(t *testing.T) {
	s := newShop(t)
	p := s.sell(10, 1_000_000)
	var facts []event.Fact
	for range 200 {
		facts = append(facts, s.created(line(p[0], 1), line(p[1], 3)))
	}
	s.atOnce(8, facts, func(ctx context.Context, batch []event.Fact) error { return s.books.Reserve(ctx, batch) })
	s.wantBooks(p[0], 0, 10)
	s.wantBooks(p[1], 1_000_000-30, 30)
	s.wantConserved()
	counts := map[event.Name]int{}
	for _, f := range facts {
		for _, name := range names(s.said(f.OrderID)) {
			counts[name]++
		}
	}
	if diff := cmp.Diff(map[event.Name]int{event.StockReserved: 10, event.StockFailed: 190}, counts); diff != "" {
		t.Error(diff)
	}
}

// atOnce hands every fact twice, shuffled, in batches of random sizes, to several callers of a verb.
func (s *shop) atOnce(callers int, facts []event.Fact, verb func(context.Context, []event.Fact) error) {
	s.t.Helper()
	var all []event.Fact
	all = append(append(all, facts...), facts...)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	batches := make(chan []event.Fact)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for batch := range batches {
				if err := verb(s.t.Context(), batch); err != nil {
					s.t.Error(err)
				}
			}
		})
	}
	for len(all) > 0 {
		n := min(1+rand.IntN(20), len(all))
		batches <- all[:n]
		all = all[n:]
	}
	close(batches)
	wg.Wait()
}

// Reserving and giving up the same orders at the same time, in any order and any number of copies: each order says what it
// must exactly once, and at the end nothing is held.
func TestReserveAndReleaseMeetInAnyOrder(t *testing.T) {
	s := newShop(t)
	p := s.sell(60, 60, 60, 60)
	var orders, ends []event.Fact
	for range 60 {
		at := rand.Perm(4)
		f := s.created(line(p[at[0]], 1), line(p[at[1]], 2), line(p[at[2]], 1))
		orders, ends = append(orders, f), append(ends, ending(f))
	}
	isEnd := map[uuid.UUID]bool{}
	for _, f := range ends {
		isEnd[f.ID] = true
	}
	s.atOnce(6, append(append([]event.Fact{}, orders...), ends...), func(ctx context.Context, batch []event.Fact) error {
		var ask, end []event.Fact
		for _, f := range batch {
			if isEnd[f.ID] {
				end = append(end, f)
			} else {
				ask = append(ask, f)
			}
		}
		if err := s.books.Release(ctx, end); err != nil {
			return err
		}
		return s.books.Reserve(ctx, ask)
	})
	for _, id := range p {
		s.wantBooks(id, 60, 0)
	}
	s.wantConserved()
	for _, f := range orders {
		said := names(s.said(f.OrderID)) // transactions that met may have their numbers in either order
		slices.Sort(said)
		if got := fmt.Sprint(said); got != "[stock.released]" && got != "[stock.released stock.reserved]" && got != "[stock.failed]" {
			t.Errorf("order %s said %s", f.OrderID, got)
		}
	}
}

// The guard of the stock row holds even where somebody changes it without the lock.
func TestNothingElseMakesStockNegative(t *testing.T) {
	s := newShop(t)
	p := s.sell(3)
	_, err := s.env.DB.Exec(t.Context(), `UPDATE inventory.stock SET available = available - 4 WHERE product_id = $1`, p[0])
	if postgres.Code(err) != "23514" {
		t.Errorf("the schema let the stock go below zero: %v", err)
	}
	_, err = s.env.DB.Exec(t.Context(), `
		INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, order_id, fact_id) VALUES ($1, $2, 'reserve', 4, 1, $2, $2)`, p[0], uuid.New())
	if postgres.Code(err) != "23514" {
		t.Errorf("the schema let an order add units: %v", err)
	}
}

// counting counts what is sent to Postgres.
type counting struct{ statements atomic.Int64 }

func (c *counting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.statements.Add(1)
	return ctx
}
func (c *counting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *counting) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (c *counting) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {
	c.statements.Add(1)
}
func (c *counting) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// 64 orders of 25 lines take the same statements as one order of one line.
func TestABatchTakesTheStatementsOfOne(t *testing.T) {
	s := newShop(t)
	stock := make([]int64, 400)
	for i := range stock {
		stock[i] = 1_000_000
	}
	p := s.sell(stock...)
	config, err := pgxpool.ParseConfig(s.env.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	counted := &counting{}
	config.ConnConfig.Tracer = counted
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s.books = inventory.New(&postgres.DB{Pool: pool}, s.orders, s.shelf, s.env.Log)

	s.reserve(s.created(line(p[0], 1)))
	one := counted.statements.Load()
	facts := make([]event.Fact, 64)
	for i := range facts {
		lines := make([]event.OrderLine, 25)
		for j, at := range rand.Perm(len(p))[:25] {
			lines[j] = line(p[at], 1+rand.Int64N(5))
		}
		facts[i] = s.created(lines...)
	}
	counted.statements.Store(0)
	start := time.Now()
	s.reserve(facts...)
	t.Logf("64 orders of 25 lines: %v", time.Since(start))
	if many := counted.statements.Load(); many != one {
		t.Errorf("one order took %d statements, 64 orders took %d", one, many)
	}
	ends := make([]event.Fact, len(facts))
	for i, f := range facts {
		ends[i] = ending(f)
	}
	s.release(ends[0])
	counted.statements.Store(0)
	s.release(ends[1])
	one = counted.statements.Load()
	counted.statements.Store(0)
	s.release(ends[2:]...)
	if many := counted.statements.Load(); many != one {
		t.Errorf("the end of one order took %d statements, of 62 it took %d", one, many)
	}
	s.wantConserved()
}
