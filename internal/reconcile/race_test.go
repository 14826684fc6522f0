package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// contested is a product that customers hold and release without a pause, while it is made wrong and repaired.
type contested struct {
	id     uuid.UUID
	steady uuid.UUID // a cart whose three units nobody touches but who makes the product wrong
	anchor uuid.UUID // a cart whose unit nobody touches: a product without holds that says some are held would be loaded anew
}

// TestDrillRepairRacesWithHolds: a repair never undoes and never doubles what a script does at the same time. Every customer
// looks after each call whether the shelf still has what the call was answered. Their rows are always young, so that what
// they have is never the reconciler's to judge.
func TestDrillRepairRacesWithHolds(t *testing.T) {
	t.Parallel()
	const stock = 1000
	rounds := testkit.Size(40, 5000)
	rng := rand.New(rand.NewPCG(testkit.Seed(t), 0))
	p := newPlace(t)
	products := make([]contested, testkit.Size(12, 40))
	for i := range products {
		products[i].id = p.product(stock)
		products[i].steady = p.cart(map[uuid.UUID]int64{products[i].id: 3})
		products[i].anchor = p.cart(map[uuid.UUID]int64{products[i].id: 1})
	}
	p.full()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var crowd sync.WaitGroup
	last := make([]map[uuid.UUID]string, len(products)) // what must be on the shelf at the end
	for i, c := range products {
		product, seed := c.id, rng.Uint64()
		id := p.cartRows(later, map[uuid.UUID]int64{product: 1})
		p.exec(`UPDATE cart.carts SET changed_at = now() + interval '1 hour' WHERE id = $1`, id)
		last[i] = map[uuid.UUID]string{c.steady: entryText(3, later), c.anchor: entryText(1, later)}
		crowd.Go(func() { last[i][id] = p.hammer(ctx, rand.New(rand.NewPCG(seed, 1)), id, product) })
	}
	tried, repaired, left := 0, 0, 0
	for repaired < rounds || left == 0 {
		for _, c := range products {
			p.makeWrong(rng, c)
		}
		run, err := p.reconciler.Reconcile(t.Context(), reconcile.Full, false)
		if err != nil {
			t.Fatal(err)
		}
		tried++
		for _, d := range run.Differences {
			switch d.Action {
			case reconcile.Repaired:
				repaired++
			case reconcile.Left:
				left++
			}
		}
	}
	stop()
	crowd.Wait()
	t.Logf("%d runs repaired %d and left %d", tried, repaired, left)
	p.full()
	p.agree()
	for i, c := range products {
		p.wantShelf(c.id, stock, last[i])
	}
}

// hammer holds, changes, extends and releases until it is stopped, and gives the entry that it has then ("" for none).
func (p *place) hammer(ctx context.Context, rng *rand.Rand, id, product uuid.UUID) string {
	entry, until := "", later
	for n := 0; ctx.Err() == nil; n++ {
		var err error
		switch quantity := 1 + rng.Int64N(9); {
		case rng.IntN(4) == 0:
			err = p.shelf.Release(p.Context(), id, []uuid.UUID{product})
			entry = ""
		case rng.IntN(4) == 0 && entry != "":
			until = until.Add(time.Second)
			_, err = p.shelf.Extend(p.Context(), id, []uuid.UUID{product}, until)
			units, _, _ := strings.Cut(entry, ":")
			entry = units + ":" + strconv.FormatInt(until.UnixMilli(), 10)
		default:
			var answers []inventory.Answer
			answers, err = p.shelf.Hold(p.Context(), id, []event.OrderLine{{ProductID: product, Quantity: quantity}}, until)
			if err == nil && answers[0].Held { // it is refused while what was made wrong leaves too little
				entry = entryText(quantity, until)
			}
		}
		if err != nil {
			p.Errorf("call %d of %s: %v", n, id, err)
			return entry
		}
		got, err := p.client.HGet(p.Context(), p.keys.Product(product)[2], id.String()).Result()
		if err != nil && !errors.Is(err, redis.Nil) || got != entry {
			p.Errorf("after call %d the shelf has %q for %s, want %q: %v", n, got, id, entry, err)
			return entry
		}
	}
	return entry
}

// makeWrong makes a product wrong in one of four ways, three of them behind the scripts' back.
func (p *place) makeWrong(rng *rand.Rand, c contested) {
	p.Helper()
	switch keys := p.keys.Product(c.id); rng.IntN(4) {
	case 0:
		p.redis("HINCRBY", keys[0], "n", "-1")
	case 1:
		p.redis("INCRBY", keys[1], "4")
	case 2:
		p.release(c.steady, c.id)
	case 3:
		p.hold(idMade(earlier), c.id, 2, later)
	}
}

// wantShelf checks a product against the books and the holds that there must be.
func (p *place) wantShelf(product uuid.UUID, stock int64, holds map[uuid.UUID]string) {
	p.Helper()
	keys := p.keys.Product(product)
	var sum int64
	got := p.entries(product)
	for id, entry := range holds {
		if got[id.String()] != entry {
			p.Errorf("product %s: the shelf has %q for %s, want %q", product, got[id.String()], id, entry)
		}
		delete(got, id.String())
		units, _, _ := strings.Cut(entry, ":")
		n, _ := strconv.ParseInt(units, 10, 64)
		sum += n
	}
	if len(got) > 0 {
		p.Errorf("product %s: held by nobody: %v", product, keysOf(got))
	}
	reserved, err := p.client.Get(p.Context(), keys[1]).Int64()
	if n := p.hash(keys[0])["n"]; err != nil || reserved != sum || n != fmt.Sprint(stock) {
		p.Errorf("product %s: stock %s with %d held, want %d with %d: %v", product, n, reserved, stock, sum, err)
	}
}
