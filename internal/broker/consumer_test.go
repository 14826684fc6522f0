package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// TestConsumer has cases that follow one another on the same queues: making them costs more than most cases.
func TestConsumer(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	p := startPublisher(t, cfg)
	for _, c := range []struct {
		name  string
		holds func(*testing.T, Config, *Publisher)
	}{
		{"batches", takesWhatIsWaiting},
		{"packed", unpacks},
		{"poison", isolatesPoison},
		{"retries", retriesBlockNobody},
		{"outage", outagesBuryNothing},
		{"acknowledges", acknowledgesWhatIsHeard},
		{"slow", tellsSlowFactsFromASlowWorld},
	} {
		t.Run(c.name, func(t *testing.T) { c.holds(t, cfg, p) })
	}
}

func takesWhatIsWaiting(t *testing.T, cfg Config, p *Publisher) {
	facts := createdMany(300)
	if err := p.Publish(t.Context(), messages(cfg, facts)...); err != nil {
		t.Fatal(err)
	}
	e := &ears{}
	start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Batch: 50, Handle: e.hear}).Run)
	testkit.Eventually(t, 20*time.Second, func() error { return e.has(facts) })
	if diff := cmp.Diff(ids(facts), e.heard); diff != "" {
		t.Errorf("order of facts (-published +heard):\n%s", diff)
	}
	if most := slices.Max(e.batches); most < 2 || most > 50 {
		t.Errorf("largest batch has %d facts, want more than one and at most 50", most)
	}
	alone := created(1)
	if err := p.Publish(t.Context(), message(cfg, alone)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() error { return e.has([]event.Fact{alone}) })
}

func unpacks(t *testing.T, cfg Config, p *Publisher) {
	e, c := &ears{}, &coffin{}
	facts := createdMany(3)
	sick := event.Encode(facts[1])
	sick = []byte(strings.Replace(string(sick), `"specversion":"1.0"`, `"specversion":"9"`, 1))
	err := p.Publish(t.Context(),
		packed(cfg, event.Encode(facts[0]), sick, event.Encode(facts[2])),
		Message{ID: "junk", Exchange: cfg.Topology.Exchange(), Key: keyCreated, Body: []byte("junk\x00")},
		Message{ID: "none", Exchange: cfg.Topology.Exchange(), Key: keyCreated, Body: []byte("[]")},
		packed(cfg, event.Encode(created(4))),
	)
	if err != nil {
		t.Fatal(err)
	}
	start(t, NewUndertaker(cfg, c.keep).Run)
	stop := start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: e.hear}).Run)
	testkit.Eventually(t, 20*time.Second, func() error { return e.has([]event.Fact{facts[0], facts[2]}) })
	dead := c.waitFor(t, 2)
	if got := string(dead[0].Body); got != string(sick) {
		t.Errorf("dead letter holds %q, want the sick event alone", got)
	}
	if dead[0].Reason != ReasonUndecodable || dead[0].Module != "inventory" || dead[0].RoutingKey != keyCreated || dead[0].FirstError == "" {
		t.Errorf("dead letter %+v", dead[0])
	}
	if string(dead[1].Body) != "junk\x00" {
		t.Errorf("second dead letter holds %q", dead[1].Body)
	}
	stop()
	eventuallyDepth(t, cfg, cfg.Topology.Queue("inventory"), 0)
}

func isolatesPoison(t *testing.T, cfg Config, p *Publisher) {
	facts := createdMany(40)
	poison, panicking, old := facts[7], facts[11], facts[20]
	tooOld := errors.New("older than the inbox")
	e, c, before := &ears{}, &coffin{}, cfg.Metrics.module("inventory").buried.Load()
	e.refuse = func(f event.Fact) error {
		switch f.ID {
		case poison.ID:
			return errors.New("cannot digest \xff\x00")
		case panicking.ID:
			panic("boom")
		case old.ID:
			return fmt.Errorf("hear: %w", tooOld)
		}
		return nil
	}
	bodies := make([][]byte, 0, 10)
	for _, f := range facts[:10] {
		bodies = append(bodies, event.Encode(f))
	}
	if err := p.Publish(t.Context(), append(messages(cfg, facts[10:]), packed(cfg, bodies...))...); err != nil {
		t.Fatal(err)
	}
	start(t, NewUndertaker(cfg, c.keep).Run)
	stop := start(t, NewConsumer(cfg, p, Subscription{
		Module: "inventory", Handle: e.hear, Attempts: 3,
		Permanent: func(err error) bool { return errors.Is(err, tooOld) },
	}).Run)

	healthy := slices.DeleteFunc(slices.Clone(facts), func(f event.Fact) bool {
		return f.ID == poison.ID || f.ID == panicking.ID || f.ID == old.ID
	})
	testkit.Eventually(t, 20*time.Second, func() error { return e.has(healthy) })
	reasons := map[string]string{}
	attempts := map[string]int{}
	for _, d := range c.waitFor(t, 3) {
		reasons[d.FactID.String()], attempts[d.FactID.String()] = d.Reason, d.Attempts
		if d.Name != event.OrderCreated || d.LastError == "" {
			t.Errorf("dead letter %+v", d)
		}
		if facts, err := event.Split(d.Body); err != nil || len(facts) != 1 || facts[0].ID != d.FactID {
			t.Errorf("dead letter's body %q: %v", d.Body, err)
		}
	}
	want := map[string]string{poison.ID.String(): ReasonExhausted, panicking.ID.String(): ReasonExhausted, old.ID.String(): ReasonPermanent}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	if n := attempts[poison.ID.String()]; n != 3 {
		t.Errorf("%d attempts at the poison, want 3", n)
	}
	// A dead letter may be where it is kept before its consumer knows, and then it would come back.
	testkit.Eventually(t, 20*time.Second, func() bool { return cfg.Metrics.module("inventory").buried.Load() == before+3 })
	stop()
	eventuallyDepth(t, cfg, cfg.Topology.Queue("inventory"), 0)
}

// While a fact waits for its next attempt the others pass it.
func retriesBlockNobody(t *testing.T, cfg Config, p *Publisher) {
	stubborn := created(0)
	var open atomic.Bool
	e := &ears{refuse: func(f event.Fact) error {
		if f.ID == stubborn.ID && !open.Load() {
			return errors.New("not yet")
		}
		return nil
	}}
	stop := start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: e.hear, Attempts: 1000}).Run)
	if err := p.Publish(t.Context(), message(cfg, stubborn)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() bool { return e.called(stubborn.ID) > 0 })
	others := createdMany(50)
	if err := p.Publish(t.Context(), messages(cfg, others)...); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() error { return e.has(others) })
	open.Store(true)
	testkit.Eventually(t, 20*time.Second, func() error { return e.has([]event.Fact{stubborn}) })
	stop()
	eventuallyDepth(t, cfg, cfg.Topology.Queue("inventory"), 0)
}

// An outage is waited out: it counts as no attempt, however long it lasts.
func outagesBuryNothing(t *testing.T, cfg Config, p *Publisher) {
	var calls atomic.Int32
	e, c := &ears{}, &coffin{}
	handle := func(ctx context.Context, facts []event.Fact) error {
		if calls.Add(1) <= 5 {
			return fmt.Errorf("write: %w", syscall.ECONNREFUSED)
		}
		return e.hear(ctx, facts)
	}
	start(t, NewUndertaker(cfg, c.keep).Run)
	stop := start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: handle, Attempts: 2}).Run)
	facts := createdMany(10)
	if err := p.Publish(t.Context(), messages(cfg, facts)...); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() error { return e.has(facts) })
	stop()
	eventuallyDepth(t, cfg, cfg.Topology.Queue("inventory"), 0)
	if len(c.waitFor(t, 0)) != 0 {
		t.Error("an outage made dead letters")
	}
}

// A fact on which the module always runs out of time is a dead letter only once others have gone through.
func tellsSlowFactsFromASlowWorld(t *testing.T, cfg Config, p *Publisher) {
	slow := created(0)
	var tries atomic.Int32
	e, c := &ears{}, &coffin{}
	handle := func(ctx context.Context, facts []event.Fact) error {
		if slices.ContainsFunc(facts, func(f event.Fact) bool { return f.ID == slow.ID }) {
			tries.Add(1)
			<-ctx.Done()
			return ctx.Err()
		}
		return e.hear(ctx, facts)
	}
	start(t, NewUndertaker(cfg, c.keep).Run)
	start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: handle, Attempts: 2, Timeout: 20 * time.Millisecond}).Run)
	if err := p.Publish(t.Context(), message(cfg, slow)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() bool { return tries.Load() >= 4 })
	if len(c.waitFor(t, 0)) != 0 {
		t.Fatal("buried although nothing else went through")
	}
	testkit.Eventually(t, 2*time.Minute, func() error {
		if err := p.Publish(t.Context(), message(cfg, created(1))); err != nil {
			return err
		}
		if len(c.waitFor(t, 0)) == 0 {
			return errors.New("not buried yet")
		}
		return nil
	})
}

// What a consumer had in hand when it stopped is heard by the next one.
func acknowledgesWhatIsHeard(t *testing.T, cfg Config, p *Publisher) {
	facts := createdMany(20)
	if err := p.Publish(t.Context(), messages(cfg, facts)...); err != nil {
		t.Fatal(err)
	}
	entered := make(chan struct{}, 1)
	stop := start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: func(ctx context.Context, _ []event.Fact) error {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return ctx.Err()
	}}).Run)
	<-entered
	stop()
	e := &ears{}
	start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: e.hear}).Run)
	testkit.Eventually(t, 20*time.Second, func() error { return e.has(facts) })
}

func TestDeletedQueueComesBack(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	p := startPublisher(t, cfg)
	e := &ears{}
	start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: e.hear}).Run)
	before := created(1)
	if err := p.Publish(t.Context(), message(cfg, before)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() error { return e.has([]event.Fact{before}) })
	onChannel(t, cfg, func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(cfg.Topology.Queue("inventory"), false, false, false)
		return err
	})
	testkit.Eventually(t, 20*time.Second, func() error {
		f := created(2)
		if err := p.Publish(t.Context(), message(cfg, f)); err != nil {
			return err
		}
		return e.has([]event.Fact{f})
	})
}

// What no queue was bound to is not left lying: a module that should have had it is named, and the rest becomes dead letters.
func TestStraysAreSeenTo(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	anew := make(chan string, 100)
	cfg.Anew = func(queue string) { anew <- queue }
	p := startPublisher(t, cfg)
	testkit.Eventually(t, 20*time.Second, p.Ready)
	made := []string{<-anew, <-anew}
	slices.Sort(made)
	if diff := cmp.Diff([]string{cfg.Topology.Queue("inventory"), cfg.Topology.Queue("order")}, made); diff != "" {
		t.Errorf("queues that were made anew (-want +got):\n%s", diff)
	}
	onChannel(t, cfg, func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(cfg.Topology.Queue("inventory"), false, false, false)
		return err
	})
	nobody := message(cfg, created(1))
	nobody.Key = "nobody.order.created"
	newer := message(cfg, created(2)) // said by a newer version, which binds it to a module that this one has not
	newer.Key = "next.order.weighed"
	if err := p.Publish(t.Context(), message(cfg, created(0)), newer, nobody); err != nil {
		t.Fatal(err)
	}
	cfg.Bound = func(_ context.Context, key string) ([]string, bool, error) {
		return []string{"scales"}, key == newer.Key, nil
	}
	c := &coffin{}
	stop := start(t, NewStrayKeeper(cfg, c.keep).Run)
	if queue := <-anew; queue != cfg.Topology.Queue("inventory") {
		t.Errorf("%s is told of a stray of inventory", queue)
	}
	if queue := <-anew; queue != cfg.Topology.Queue("scales") {
		t.Errorf("%s is told of a stray of a newer version's module", queue)
	}
	if dead := c.waitFor(t, 1); dead[0].Module != ModuleUnrouted || dead[0].FactID.String() != nobody.ID || dead[0].Reason != ReasonPermanent {
		t.Errorf("dead letter %+v", dead[0])
	}
	stop()
	eventuallyDepth(t, cfg, cfg.Topology.Unrouted(), 0)
}
