package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// laned is a topology with so many lanes, of which the first also has the keys of those that are not.
func laned(cfg Config, lanes int) Config {
	queues := map[string][]string{"inventory": {keyCreated}}
	lane := map[string]Lane{}
	for n := range 4 {
		to := fmt.Sprint("inventory.lane.", n)
		if n >= lanes {
			to = "inventory.lane.0"
		}
		queues[to] = append(queues[to], fmt.Sprint(keyCreated, ".", n))
		lane[to] = Lane{Module: "inventory"}
	}
	for n := 1; n < lanes; n++ {
		lane["inventory.lane.0"] = Lane{Module: "inventory", Not: append(lane["inventory.lane.0"].Not, fmt.Sprint(keyCreated, ".", n))}
	}
	cfg.Topology.Queues, cfg.Topology.Lanes = queues, lane
	return cfg
}

// toLane are facts for a lane.
func toLane(lane, n int) []event.Fact {
	facts := createdMany(n)
	for i := range facts {
		facts[i].Part = fmt.Sprint(lane)
	}
	return facts
}

// A lane has one consumer at a time: what the first has in its hands the second one is given when the first is gone, in the middle of
// its batch, and nothing before.
func TestALaneHasOneConsumerAtATime(t *testing.T) {
	t.Parallel()
	cfg := laned(newConfig(t), 2)
	p := startPublisher(t, cfg)
	if err := Declare(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	queue, facts := cfg.Topology.Queue("inventory.lane.1"), toLane(1, 20)
	busy := make(chan struct{}, 1)
	die := start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Queue: "inventory.lane.1", Handle: func(ctx context.Context, _ []event.Fact) error {
		busy <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}).Run)
	if err := p.Publish(t.Context(), messages(cfg, facts[:10])...); err != nil {
		t.Fatal(err)
	}
	<-busy
	second, err := openInflow(t.Context(), cfg, queue, 100, func(*link) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	if err := p.Publish(t.Context(), messages(cfg, facts[10:])...); err != nil {
		t.Fatal(err)
	}
	eventuallyDepth(t, cfg, queue, 0) // all of it is handed out
	die()
	for range facts {
		select {
		case d := <-second.buffered:
			if !d.Redelivered {
				t.Error("the second consumer of a lane was given what the first was not")
			}
		case <-time.After(time.Minute):
			t.Fatal("what the first had was not given to the second")
		}
	}
}

// There are fewer lanes than there were: what waits in the queue of one that is no more is heard, what is said to it afterwards comes
// to the first, and the queue goes. A queue that is in use is left alone. What cannot be heard is its module's dead letter.
func TestFormerLanesAreCleared(t *testing.T) {
	t.Parallel()
	before := laned(newConfig(t), 4)
	if err := Declare(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	p := startPublisher(t, before)
	waiting := toLane(3, 30)
	if err := p.Publish(t.Context(), messages(before, waiting)...); err != nil {
		t.Fatal(err)
	}
	now := laned(before, 3)
	if err := Declare(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	name := func(n int) string { return fmt.Sprint("inventory.lane.", n) }
	if n, err := CountSeries(t.Context(), now, 3, name); n != 1 || err != nil {
		t.Fatalf("%d former lanes, %v", n, err)
	}
	poison := errors.New("poison")
	heard, dead := &ears{}, &coffin{}
	heard.refuse = func(f event.Fact) error {
		if f.ID == waiting[7].ID {
			return poison
		}
		return nil
	}
	start(t, NewUndertaker(now, dead.keep).Run)
	former := Subscription{
		Module: "inventory", Queue: "inventory.lane.3", Handle: heard.hear, Batch: 4,
		Permanent: func(err error) bool { return errors.Is(err, poison) },
	}
	stop := start(t, NewConsumer(before, p, Subscription{Module: "inventory", Queue: "inventory.lane.3", Handle: func(ctx context.Context, _ []event.Fact) error {
		<-ctx.Done()
		return ctx.Err()
	}}).Run)
	eventuallyDepth(t, before, before.Topology.Queue("inventory.lane.3"), 0)
	if err := NewConsumer(now, p, former).Clear(t.Context()); err != nil || len(heard.batches) > 0 {
		t.Fatalf("a queue in use was cleared: %v, heard %d batches", err, len(heard.batches))
	}
	stop()
	testkit.Eventually(t, 20*time.Second, func() error {
		if err := NewConsumer(now, p, former).Clear(t.Context()); err != nil {
			return err
		}
		n, err := CountSeries(t.Context(), now, 3, name)
		if err == nil && n > 0 {
			err = errors.New("the queue is there still")
		}
		return err
	})
	if err := heard.has(append(waiting[:7:7], waiting[8:]...)); err != nil {
		t.Error(err)
	}
	if d := dead.waitFor(t, 1)[0]; d.Module != "inventory" || d.FactID != waiting[7].ID || !strings.HasSuffix(d.RoutingKey, ".3") {
		t.Errorf("dead letter %+v", d)
	}
	if err := NewConsumer(now, p, former).Clear(t.Context()); err != nil {
		t.Errorf("a queue that is not there: %v", err)
	}
	late := toLane(3, 1)
	if err := p.Publish(t.Context(), messages(now, late)...); err != nil {
		t.Fatal(err)
	}
	first := &ears{}
	start(t, NewConsumer(now, p, Subscription{Module: "inventory", Queue: "inventory.lane.0", Handle: first.hear}).Run)
	testkit.Eventually(t, 20*time.Second, func() error { return first.has(late) })
}
