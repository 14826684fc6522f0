package cart

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/gather"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// crowd does what many calls on carts need of Postgres at the same time with one statement, so that one commit, one fsync and
// one round trip serve all of them. Each call is answered when its own rows are committed.
type crowd struct {
	reads *gather.Batch[question, moment]
	saves *gather.Batch[Change, int64]
}

// question is what a call wants to know: the open cart of a customer and, if priced, the products of its lines and one more.
type question struct {
	customer string
	priced   bool
	product  uuid.UUID // zero: no other than those of the lines
}

// Bounds of what is done together.
const (
	togetherAtMost = 128
	togetherWithin = 15 * time.Second // as long as a statement may take
)

func newCrowd(db *postgres.DB, catalogue Catalogue) *crowd {
	o := gather.Options{Most: togetherAtMost, Within: togetherWithin, Together: postgres.Unavailable}
	return &crowd{
		reads: gather.New(o, func(ctx context.Context, asked []question) ([]moment, error) {
			return answer(ctx, db, catalogue, asked)
		}),
		saves: gather.New(o, func(ctx context.Context, changes []Change) ([]int64, error) { return save(ctx, db, changes) }),
	}
}

// read answers a question.
func (c *crowd) read(ctx context.Context, q question) (moment, error) { return c.reads.Do(ctx, q) }

// save writes a change and gives the cart's new turn. It is errTurn, and nothing is written, if another writer was first.
func (c *crowd) save(ctx context.Context, ch Change) (turn int64, err error) {
	turn, err = c.saves.Do(ctx, ch)
	if err == nil && turn == 0 {
		err = errTurn
	}
	return turn, err
}

// answer answers the questions with a statement for the carts and one for the products.
func answer(ctx context.Context, db *postgres.DB, catalogue Catalogue, asked []question) ([]moment, error) {
	customers := make([]string, len(asked))
	for i, q := range asked {
		customers[i] = q.customer
	}
	moments, err := readOpen(ctx, db, customers)
	if err != nil {
		return nil, err
	}
	wanted := map[uuid.UUID]bool{}
	for i, q := range asked {
		if !q.priced {
			continue
		}
		if q.product != uuid.Nil {
			wanted[q.product] = true
		}
		for _, l := range moments[i].cart.Lines {
			wanted[l.ProductID] = true
		}
	}
	if len(wanted) == 0 {
		return moments, nil
	}
	products, err := catalogue.Products(ctx, slices.Collect(maps.Keys(wanted)))
	if err != nil {
		return nil, err
	}
	for i := range moments {
		moments[i].products = products
	}
	return moments, nil
}
