package broker

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A fact that waits for what it is about counts no attempt, however often it is tried, and is shown to wait. Once it waits in vain, its
// attempts count.
func TestUnseenFactsWait(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	p := startPublisher(t, cfg)
	var appears atomic.Bool
	appears.Store(true)
	early, ghost, unseen := created(0), created(1), errors.New("not in the books")
	var there atomic.Bool
	e, c := &ears{refuse: func(f event.Fact) error {
		if f.ID == ghost.ID || f.ID == early.ID && !there.Load() {
			return unseen
		}
		return nil
	}}, &coffin{}
	start(t, NewUndertaker(cfg, c.keep).Run)
	start(t, NewConsumer(cfg, p, Subscription{
		Module: "inventory", Handle: e.hear, Attempts: 2,
		MayAppear: func(first, last error) bool {
			return appears.Load() && errors.Is(first, unseen) && errors.Is(last, unseen)
		},
	}).Run)
	if err := p.Publish(t.Context(), messages(cfg, []event.Fact{early, ghost})...); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() error {
		var shown dto.Metric
		if err := cfg.Metrics.unseen.WithLabelValues("inventory").Write(&shown); err != nil {
			return err
		}
		if n := cfg.Metrics.module("inventory").unseen.Load(); shown.GetGauge().GetValue() != 2 || n != 2 || e.called(early.ID) < 5 || e.called(ghost.ID) < 5 {
			return fmt.Errorf("%v and %d wait, after %d and %d calls", shown.GetGauge().GetValue(), n, e.called(early.ID), e.called(ghost.ID))
		}
		return nil
	})
	there.Store(true)
	testkit.Eventually(t, 20*time.Second, func() error { return e.has([]event.Fact{early}) })
	if len(c.waitFor(t, 0)) != 0 {
		t.Error("a fact that waits became a dead letter")
	}
	appears.Store(false)
	if dead := c.waitFor(t, 1); dead[0].FactID != ghost.ID || dead[0].Reason != ReasonExhausted {
		t.Errorf("dead: %+v", dead)
	}
	testkit.Eventually(t, 20*time.Second, func() bool { return cfg.Metrics.module("inventory").unseen.Load() == 0 })
}
