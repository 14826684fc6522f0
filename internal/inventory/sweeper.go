package inventory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// Sweeper cleans expired holds out of Redis. Nothing depends on it but memory: an expired hold counts for nobody whether it
// is there or not. Any number of instances may run; each product that is due is marked by one of them. What one that dies in
// the middle has marked another takes an interval later.
type Sweeper struct {
	// Doubt is called, when set, when a part of the index was lost: everything is to be compared.
	Doubt func()

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
	if err := s.findLost(ctx); err != nil {
		return 0, fmt.Errorf("sweep: %w", err)
	}
	mark, dead := markAt(now)+rand.Int64N(markPrecision), markAt(now.Add(-s.every))
	for shard := range redisx.DueShards {
		for {
			found, n, err := s.batch(ctx, s.keys.DueShard(shard), mark, dead)
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

// witness is in every part of the index, for ever: a part without it was lost, or is new.
const witness = "whole"

// findLost puts the witness where it is not, and throws away what is no index.
func (s *Sweeper) findLost(ctx context.Context) error {
	calls := make([]redisx.Call, redisx.DueShards)
	for shard := range calls {
		calls[shard] = redisx.Command("ZADD", s.keys.DueShard(shard), "NX", "+inf", witness)
	}
	replies, err := s.scripts.Run(ctx, calls)
	if err != nil {
		return err
	}
	lost := 0
	var spoilt []redisx.Call
	for shard, r := range replies {
		switch {
		case r.Err != nil && strings.HasPrefix(r.Err.Error(), "WRONGTYPE"):
			spoilt = append(spoilt, redisx.Command("UNLINK", s.keys.DueShard(shard)), calls[shard])
			lost++
		case r.Err != nil:
			return r.Err
		case r.Value != int64(0):
			lost++
		}
	}
	if lost > 0 && s.Doubt != nil {
		s.log.InfoContext(ctx, "parts of the index of expiring holds are new, or were lost", "parts", lost)
		s.Doubt()
	}
	return all(ctx, s.scripts, "make the index anew", spoilt)
}

// A mark is later than any expiry, greater the later its sweeper began, and hardly ever that of two sweepers: if it is, both
// clean, and one forgets what the other has put back already.
const (
	leastMark     = 4_500_000_000_000_000 // what take.lua knows marks by
	markPrecision = 1000                  // marks of one ms
)

func markAt(t time.Time) int64 { return leastMark + t.UnixMilli()*markPrecision }

// batch marks products in the index first, puts those back that have something left, and forgets those that are marked still:
// a hold that is taken at the same time has brought its product back already.
func (s *Sweeper) batch(ctx context.Context, due string, mark, dead int64) (found int, dropped int64, err error) {
	taken, err := s.scripts.One(ctx, redisx.Call{Script: lua.Take, Keys: []string{due}, Args: []any{sweepBatch, mark, dead}})
	ids, _ := taken.([]any)
	if err != nil || len(ids) == 0 {
		return 0, 0, err
	}
	var calls []redisx.Call
	var products []string
	for _, id := range ids {
		text, _ := id.(string)
		if p, err := uuid.Parse(text); err == nil { // what is no product is forgotten
			calls, products = append(calls, redisx.Call{Script: lua.Sweep, Keys: s.keys.Product(p)}), append(products, text)
		}
	}
	replies, err := s.scripts.Run(ctx, calls)
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
	return len(ids), dropped, s.forget(ctx, back, due, mark)
}

// forget puts products back into the index, and drops the rest of what has that mark only when that is done.
func (s *Sweeper) forget(ctx context.Context, back []redisx.Call, due string, mark int64) error {
	for _, calls := range [][]redisx.Call{back, {redisx.Command("ZREMRANGEBYSCORE", due, mark, mark)}} {
		replies, err := s.scripts.Run(ctx, calls)
		for _, r := range replies {
			err = errors.Join(err, r.Err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
