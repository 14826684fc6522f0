package inventory_test

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// checkPatience bounds the search for an order that explains one product's history.
const checkPatience = 2 * time.Minute

func explains(history []porcupine.Operation) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(shelfModel, withTime(history), checkPatience)
}

// check fails the test if what was answered of some product cannot have been answered by a shelf that does one thing at a time.
func check(t *testing.T, histories map[uuid.UUID][]porcupine.Operation) {
	t.Helper()
	if t.Failed() { // a call without an answer may or may not have been done: there is nothing to explain
		t.FailNow()
	}
	work := make(chan uuid.UUID)
	var checkers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		checkers.Go(func() {
			for p := range work {
				if is := explains(histories[p]); is != porcupine.Ok {
					t.Errorf("the history of %s, %d acts, is %s", p, len(histories[p]), is)
				}
			}
		})
	}
	for p := range histories {
		work <- p
	}
	close(work)
	checkers.Wait()
}

// wantSums holds what is stored as reserved against the sum of the entries.
func (c *crowd) wantSums() {
	c.t.Helper()
	for _, b := range c.books {
		keys := c.keys.Product(b.product)
		stored, err := c.redis.Get(c.t.Context(), keys[1]).Int64()
		if err != nil {
			c.t.Fatal(err)
		}
		entries, err := c.redis.HVals(c.t.Context(), keys[2]).Result()
		if err != nil {
			c.t.Fatal(err)
		}
		for _, entry := range entries {
			quantity, _, _ := strings.Cut(entry, ":")
			n, err := strconv.ParseInt(quantity, 10, 64)
			if err != nil {
				c.t.Fatal(err)
			}
			stored -= n
		}
		if stored != 0 {
			c.t.Errorf("reserved of %s differs by %d from its entries", b.product, stored)
		}
	}
}

// What concurrent clients are told about holds is what a shelf would say that does one thing at a time, and at which time
// passes for everybody at once: over many products, and in short windows on one that all of them want.
func TestDrillHoldsAreLinearizable(t *testing.T) {
	seed := testkit.Seed(t)
	onEach(t, func(t *testing.T, s *shop) {
		acts, products, windows := testkit.Size(1_500, 1_000_000), testkit.Size(20, 1000), testkit.Size(4, 1000)
		if strings.Contains(s.env.RedisURL, ",") {
			acts, windows = testkit.Size(1_500, 100_000), testkit.Size(4, 100)
		}
		spread := newCrowd(s, products)
		started := time.Now()
		histories := spread.act(seed, int64(acts), 10)
		acted := time.Since(started)
		check(t, histories)
		spread.wantSums()
		t.Logf("%d acts on %d products in %v, explained in %v", spread.done.Load(), products, acted, time.Since(started)-acted)
		hot := newCrowd(s, windows)
		started = time.Now()
		for i, b := range hot.books { // each window has a product of its own, so that what it begins with is known
			one := &crowd{shop: s, books: []*book{b}}
			check(t, one.act(seed+uint64(i), 160, 1))
			hot.done.Add(one.done.Load())
		}
		t.Logf("%d acts in %d windows on one hot product each in %v", hot.done.Load(), windows, time.Since(started))
	})
}

// What must not be explained: the same histories as they would be if a unit had been given back twice, or sold twice.
func TestAPlantedFaultIsFound(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		b := newCrowd(s, 1)
		c, ctx := b.client(1, 1), t.Context()
		mine, others := b.books[0].shared[0], b.books[0].shared[1]
		do := func(id uuid.UUID, quantity int64) {
			call := time.Now().UnixNano()
			p, until := b.books[0].product, in(time.Hour)
			a := act{product: p, verb: doHold, id: id, quantity: quantity, until: until.UnixMilli()}
			got := s.hold(id, until, line(p, quantity))
			c.record(call, []act{a}, []told{{held: got[0].Held, units: got[0].Available}})
		}
		release := func(id uuid.UUID) {
			call := time.Now().UnixNano()
			if err := s.shelf.Release(ctx, id, []uuid.UUID{b.books[0].product}); err != nil {
				t.Fatal(err)
			}
			c.record(call, []act{{product: b.books[0].product, verb: doRelease, id: id}}, []told{{}})
		}
		c.history = append(c.history, porcupine.Operation{Input: act{verb: doLoad, quantity: opening, version: 1}, Call: 0, Output: told{}, Return: 1})
		do(others, 7)
		do(mine, 4)
		release(mine)
		release(mine)
		if err := c.read(ctx, b.books); err != nil {
			t.Fatal(err)
		}
		do(mine, 6)
		if is := explains(c.history); is != porcupine.Ok {
			t.Fatalf("what happened is %s", is)
		}
		planted := func(name string, at int, change func(*told)) {
			history := append([]porcupine.Operation{}, c.history...)
			answer := history[at].Output.(told)
			change(&answer)
			if answer == history[at].Output.(told) {
				t.Fatalf("%s: nothing was changed", name)
			}
			history[at].Output = answer
			if is := explains(history); is != porcupine.Illegal {
				t.Errorf("%s is %s", name, is)
			}
		}
		planted("a release that gives back twice", len(c.history)-2, func(a *told) { a.units += 4 })
		planted("a hold beyond the stock", len(c.history)-1, func(a *told) { a.held = true })
		planted("a hold beyond the stock, with room for it", len(c.history)-1, func(a *told) { a.held, a.units = true, 6 })
	})
}
