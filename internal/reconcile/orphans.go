package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// compareOrphans walks over Redis itself, for what no row leads to: copies of carts that are closed or gone, and products
// that are not in the catalogue. Which keys there are is asked of every node.
func (p *pass) compareOrphans(ctx context.Context) error {
	var one sync.Mutex // the nodes of a cluster are asked at once
	return p.scan(ctx, func(keys []string) error {
		one.Lock()
		defer one.Unlock()
		products, carts := p.sort(keys)
		if err := p.compareOrphanCarts(ctx, carts); err != nil {
			return err
		}
		return p.compareOrphanProducts(ctx, products)
	})
}

// scan hands out the keys of the namespace in portions.
func (p *pass) scan(ctx context.Context, do func(keys []string) error) error {
	node := func(ctx context.Context, client *redis.Client) error {
		for cursor := uint64(0); ; {
			keys, next, err := client.Scan(ctx, cursor, p.Keys.Namespace+":*", page).Result()
			if err != nil {
				return fmt.Errorf("scan Redis: %w", err)
			}
			if err := do(keys); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	return redisx.EachMaster(ctx, p.Redis, node)
}

// sort tells from their names the products and carts that keys belong to. Other keys are none of ours.
func (p *pass) sort(keys []string) (products, carts []uuid.UUID) {
	ofProducts := map[uuid.UUID]bool{}
	for _, key := range keys {
		kind, tagged, _ := strings.Cut(strings.TrimPrefix(key, p.Keys.Namespace+":"), ":")
		inner, ok := strings.CutPrefix(tagged, "{")
		inner, closed := strings.CutSuffix(inner, "}")
		id, err := uuid.Parse(inner)
		if !ok || !closed || err != nil {
			continue
		}
		switch kind {
		case "cart":
			carts = append(carts, id)
		case "stock", "reserved", "holds", "expiry", "owners", "loading":
			ofProducts[id] = true
		}
	}
	return slices.Collect(maps.Keys(ofProducts)), carts
}

// compareOrphanCarts compares the copies of those carts that are not open: the open ones have been compared.
func (p *pass) compareOrphanCarts(ctx context.Context, ids []uuid.UUID) error {
	closed, err := column(ctx, p.Postgres, `
		SELECT i.id FROM unnest($1::uuid[]) AS i(id) WHERE NOT EXISTS (SELECT FROM cart.carts c WHERE c.id = i.id AND c.state = 'OPEN')`, ids)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(closed, page) {
		if err := p.compareCartPage(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// compareOrphanProducts drops the keys of products that are in no book. Nobody writes to these: a product's row is there
// before its keys are.
func (p *pass) compareOrphanProducts(ctx context.Context, ids []uuid.UUID) error {
	if ids = p.known.without(ids); len(ids) == 0 {
		return nil
	}
	unknown, err := column(ctx, p.Postgres, `
		SELECT i.id FROM unnest($1::uuid[]) AS i(id) WHERE NOT EXISTS (SELECT FROM inventory.stock s WHERE s.product_id = i.id)`, ids)
	if err != nil || len(unknown) == 0 {
		return err
	}
	p.compared(len(unknown))
	calls, found := make([]redisx.Call, len(unknown)), make([]Difference, len(unknown))
	for i, id := range unknown {
		words := []any{"UNLINK"}
		for _, key := range p.Keys.Product(id) {
			words = append(words, key)
		}
		calls[i] = redisx.Command(words...)
		found[i] = Difference{Pair: pairStock, Key: "stock:{" + id.String() + "}", Redis: "keys of a product", Postgres: "no such product", Action: p.action(true)}
	}
	if !p.run.DryRun {
		replies, err := p.Scripts.Run(ctx, calls)
		for _, r := range replies {
			err = errors.Join(err, r.Err)
		}
		if err != nil {
			return fmt.Errorf("drop the keys of %d unknown products: %w", len(unknown), err)
		}
	}
	return p.differ(ctx, found)
}
