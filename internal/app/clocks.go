package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/run"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// How far this machine's clock may be from that of a server. Deadlines and expiries are set and judged by Postgres' clock alone, but a
// machine or a server whose clock is that wrong is wrong in other things as well: certificates, logs, tokens, what people are shown.
const (
	noticedSkew = time.Second
	mostSkew    = 30 * time.Second
)

// errSkew is a clock that is too far from another to work with.
var errSkew = errors.New("the clocks are too far apart")

// clocks compares this machine's clock with those of the servers.
type clocks struct {
	now  func() time.Time // this machine's; tests move it
	skew *prometheus.GaugeVec
}

func newClocks(registry prometheus.Registerer) *clocks {
	c := &clocks{now: time.Now, skew: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "holdfast_clock_skew_seconds", Help: "How far the clock of a server is ahead of this machine's, when /readyz was last asked.",
	}, []string{"server"})}
	registry.MustRegister(c.skew)
	return c
}

// compare asks a server for its time. The answer is as old as half of what asking took, and that uncertain.
func (c *clocks) compare(server string, ask func() (time.Time, error)) error {
	began := c.now()
	theirs, err := ask()
	if err != nil {
		return err
	}
	took := c.now().Sub(began)
	skew := theirs.Sub(began.Add(took / 2))
	c.skew.WithLabelValues(server).Set(skew.Seconds())
	switch certain := skew.Abs() - took/2; {
	case certain > mostSkew:
		return fmt.Errorf("%w: that of %s is %s ahead of this machine's, and %s is the most", errSkew, server, skew.Round(time.Millisecond), mostSkew)
	case certain > noticedSkew:
		return web.Note(fmt.Errorf("the clock of %s is %s ahead of this machine's", server, skew.Round(time.Millisecond)))
	}
	return nil
}

// checkPostgresClock compares with the clock by which deadlines are judged.
func (s *server) checkPostgresClock(ctx context.Context) error {
	return s.clocks.compare("postgres", func() (at time.Time, err error) {
		err = s.db.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&at)
		return at, err
	})
}

// checkRedisClock compares with the clocks by which holds expire. A Redis that does not answer is no matter of clocks.
func (s *server) checkRedisClock(ctx context.Context) error {
	var mu sync.Mutex // the nodes of a cluster are asked at the same time
	var worst error
	_ = redisx.EachMaster(ctx, s.patient, func(ctx context.Context, node *redis.Client) error {
		err := s.clocks.compare("redis", func() (time.Time, error) { return node.Time(ctx).Result() })
		mu.Lock()
		defer mu.Unlock()
		if noted := (web.Noted{}); errors.Is(err, errSkew) || errors.As(err, &noted) && worst == nil {
			worst = err
		}
		return nil
	})
	return worst
}

// checkClocks is not ready while the clocks are too far apart, and notes what is worth a look.
func (s *server) checkClocks(ctx context.Context) error {
	postgres, redis := s.checkPostgresClock(ctx), s.checkRedisClock(ctx)
	if errors.Is(redis, errSkew) || postgres == nil {
		return redis
	}
	return postgres
}

const (
	clockInterval = time.Second            // between two looks at the servers' clocks
	clockWithin   = 300 * time.Millisecond // an answer that took longer says too little
)

// followClocks keeps the time by which deadlines and ids are made, and expiries in Redis judged, that of Postgres, until ctx ends.
func (s *server) followClocks(ctx context.Context) error {
	for run.Pause(ctx, clockInterval) == nil {
		s.lookAtClocks(ctx)
	}
	return nil
}

// lookAtClocks asks Postgres for its time, and Redis how far it is from that. What does not answer in time is as it was.
func (s *server) lookAtClocks(ctx context.Context) {
	began := time.Now()
	var theirs time.Time
	err := s.db.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&theirs)
	if took := time.Since(began); err == nil && took < clockWithin {
		clock.Set(theirs, began.Add(took/2))
	}
	ctx, cancel := context.WithTimeout(ctx, clockInterval)
	defer cancel()
	_ = redisx.EachMaster(ctx, s.patient, func(ctx context.Context, node *redis.Client) error {
		began := time.Now()
		theirs, err := node.Time(ctx).Result()
		took := time.Since(began)
		if err != nil || took >= clockWithin {
			return nil
		}
		ahead := clock.Now().Add(-took / 2).Sub(theirs)
		if ahead.Abs() < noticedSkew { // one clock decides what has expired: Redis' own, which is good enough
			ahead = 0
		}
		s.shifts.Set(node.Options().Addr, ahead)
		return nil
	})
}
