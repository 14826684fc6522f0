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
	reads  *gather.Batch[string, moment]
	saves  *gather.Batch[Change, int64]
	prices *gather.Batch[[]uuid.UUID, map[uuid.UUID]Product]
}

// Bounds of what is done together. Two batches at once keep Postgres busy while one of them waits for the disk.
const (
	togetherAtMost = 128
	togetherAtOnce = 2
	togetherWithin = 15 * time.Second // as long as a statement may take
)

func newCrowd(db *postgres.DB, catalogue Catalogue) *crowd {
	o := gather.Options{Most: togetherAtMost, AtOnce: togetherAtOnce, Within: togetherWithin, Together: postgres.Unavailable}
	return &crowd{
		reads: gather.New(o, func(ctx context.Context, customers []string) ([]moment, error) { return readOpen(ctx, db, customers) }),
		saves: gather.New(o, func(ctx context.Context, changes []Change) ([]int64, error) { return save(ctx, db, changes) }),
		prices: gather.New(o, func(ctx context.Context, asked [][]uuid.UUID) ([]map[uuid.UUID]Product, error) {
			return productsOf(ctx, catalogue, asked)
		}),
	}
}

// read gives the customer's open cart and the moment on Postgres' clock.
func (c *crowd) read(ctx context.Context, customer string) (Cart, time.Time, error) {
	m, err := c.reads.Do(ctx, customer)
	return m.cart, m.now, err
}

// save writes a change and gives the cart's new turn. It is errTurn, and nothing is written, if another writer was first.
func (c *crowd) save(ctx context.Context, ch Change) (turn int64, err error) {
	turn, err = c.saves.Do(ctx, ch)
	if err == nil && turn == 0 {
		err = errTurn
	}
	return turn, err
}

// products gives what the catalogue knows of products, and perhaps of others that were asked for at the same time.
func (c *crowd) products(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Product, error) {
	return c.prices.Do(ctx, ids)
}

func productsOf(ctx context.Context, catalogue Catalogue, asked [][]uuid.UUID) ([]map[uuid.UUID]Product, error) {
	wanted := map[uuid.UUID]bool{}
	for _, ids := range asked {
		for _, id := range ids {
			wanted[id] = true
		}
	}
	found, err := catalogue.Products(ctx, slices.Collect(maps.Keys(wanted)))
	if err != nil {
		return nil, err
	}
	return slices.Repeat([]map[uuid.UUID]Product{found}, len(asked)), nil
}
