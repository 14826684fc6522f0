package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// mostNoted is how many products of one shard of the checkouts' index a run looks at; more have everything compared.
const mostNoted = 20_000

// compareCheckouts compares the products whose holds checkouts have marked lately: one that died has written no row that leads
// to them.
func (p *pass) compareCheckouts(ctx context.Context) error {
	calls := make([]redisx.Call, redisx.DueShards)
	for i := range calls {
		calls[i] = redisx.Command("ZRANGE", p.Keys.CheckoutShard(i), 0, mostNoted-1)
	}
	replies, err := p.Scripts.Run(ctx, calls)
	if err != nil {
		return err
	}
	var ids []uuid.UUID
	for _, r := range replies {
		if r.Err != nil && !wrongType(r.Err) {
			return fmt.Errorf("read the index of checkouts: %w", r.Err)
		}
		members, _ := r.Value.([]any)
		for _, m := range members {
			if id, err := uuid.Parse(word(m)); err == nil {
				ids = append(ids, id)
			}
		}
		p.restless = p.restless || len(members) == mostNoted
	}
	for some := range slices.Chunk(ids, page) {
		p.compared(len(some))
		if err := p.comparePage(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// forgetCheckouts takes those out of the index whose checkouts were over when they were compared. What is younger than the
// cooldown is looked at again by the next run.
func (p *pass) forgetCheckouts(ctx context.Context) error {
	if p.run.DryRun {
		return nil
	}
	until := strconv.FormatInt(clock.Now().Add(-time.Since(p.began)-p.Cooldown).UnixMilli(), 10)
	calls := make([]redisx.Call, redisx.DueShards)
	for i := range calls {
		calls[i] = redisx.Command("ZREMRANGEBYSCORE", p.Keys.CheckoutShard(i), "-inf", until)
	}
	replies, err := p.Scripts.Run(ctx, calls)
	for i, r := range replies {
		if wrongType(r.Err) {
			r.Err = p.Redis.Del(ctx, p.Keys.CheckoutShard(i)).Err()
		}
		err = errors.Join(err, r.Err)
	}
	return err
}
