package inventory

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// Sweeper cleans expired holds out of Redis. Nothing depends on it but memory: an expired hold counts for nobody whether it
// is there or not. Any number of instances may run; each product that is due is taken by one of them. If one dies in the
// middle, what it had taken is cleaned with the product's next use.
type Sweeper struct {
	client  redis.UniversalClient
	scripts *redisx.Scripts
	keys    redisx.Keys
	every   time.Duration
	log     *slog.Logger
}

// NewSweeper makes a sweeper that looks every so often.
func NewSweeper(client redis.UniversalClient, scripts *redisx.Scripts, keys redisx.Keys, every time.Duration, log *slog.Logger) *Sweeper {
	return &Sweeper{client: client, scripts: scripts, keys: keys, every: every, log: log}
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	for {
		dropped, err := s.Sweep(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.log.WarnContext(ctx, "sweep", "error", err)
		case dropped > 0:
			s.log.DebugContext(ctx, "sweep", "dropped", dropped)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// sweepBatch is how many products one pipeline cleans: at most 100 entries each, some 10 ms of Redis' time.
const sweepBatch = 100

// Sweep drops what has expired by now and says how many entries that were.
func (s *Sweeper) Sweep(ctx context.Context) (dropped int64, err error) {
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("sweep: %w", err)
	}
	for shard := range redisx.DueShards {
		for {
			found, n, err := s.batch(ctx, s.keys.DueShard(shard), now.UnixMilli())
			dropped += n
			if err != nil {
				return dropped, fmt.Errorf("sweep shard %d: %w", shard, err)
			}
			if found < sweepBatch {
				break
			}
		}
	}
	return dropped, nil
}

// batch takes products out of the index first and puts them back by what is left of them, so that a hold that is taken at
// the same time is not forgotten.
func (s *Sweeper) batch(ctx context.Context, due string, now int64) (found int, dropped int64, err error) {
	ids, err := s.client.ZRangeByScore(ctx, due, &redis.ZRangeBy{Min: "-inf", Max: strconv.FormatInt(now, 10), Count: sweepBatch}).Result()
	if err != nil || len(ids) == 0 {
		return 0, 0, err
	}
	take := make([]redisx.Call, len(ids))
	for i, id := range ids {
		take[i] = redisx.Command("ZREM", due, id)
	}
	taken, err := s.scripts.Run(ctx, take)
	if err != nil {
		return 0, 0, err
	}
	var mine []redisx.Call
	var products []string
	for i, id := range ids {
		p, err := uuid.Parse(id)
		if number([]any{taken[i].Value}, 0) == 1 && err == nil {
			mine, products = append(mine, redisx.Call{Script: lua.Sweep, Keys: s.keys.Product(p)}), append(products, id)
		}
	}
	replies, err := s.scripts.Run(ctx, mine)
	if err != nil {
		return len(ids), 0, err
	}
	var back []redisx.Call
	for i, r := range replies {
		answer, err := listOf(r)
		if err != nil {
			return len(ids), dropped, fmt.Errorf("product %s: %w", products[i], err)
		}
		dropped += max(0, number(answer, 0))
		if next := number(answer, 1); next > 0 {
			back = append(back, redisx.Command("ZADD", due, "LT", next, products[i]))
		}
	}
	_, err = s.scripts.Run(ctx, back)
	return len(ids), dropped, err
}
