package broker

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/run"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// The broker dies and freezes while messages are on their way: every one that was promised is heard.
func TestPublishingSurvivesTheBroker(t *testing.T) {
	t.Parallel()
	env, servers := testkit.PrivateBroker(t)
	cfg := configOn(env)
	cfg.confirmWithin = time.Second
	p := startPublisher(t, cfg)
	e := &ears{}
	start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: e.hear}).Run)

	s := &sender{}
	began := time.Now()
	stop := start(t, func(ctx context.Context) error { return s.run(ctx, cfg, p) })
	s.progress(t)
	// RabbitMQ 3.10 forgets a quorum queue whose node is killed in the first seconds of its life.
	testkit.Eventually(t, 20*time.Second, func() bool { return time.Since(began) > 5*time.Second })
	servers.Rabbit().Kill()
	testkit.Eventually(t, 20*time.Second, func() bool { return p.Ready() != nil })
	if err := servers.Rabbit().Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.progress(t)
	servers.Rabbit().Pause()
	testkit.Eventually(t, 20*time.Second, func() bool { return p.Ready() != nil })
	servers.Rabbit().Resume()
	s.progress(t)
	brokerAlarm(t, servers.Rabbit().PID(), p, s)
	brokenQueue(t, cfg, servers.Rabbit().PID())
	stop()
	testkit.Eventually(t, 2*time.Minute, func() error { return e.has(s.confirmed()) })
}

// brokerAlarm makes RabbitMQ stop taking messages for longer than a confirm may take. The publisher holds still, on the same
// connection, and goes on when the alarm is over.
func brokerAlarm(t *testing.T, pid int, p *Publisher, s *sender) {
	t.Helper()
	testkit.RabbitMemory(t, pid, "{absolute, 1}")
	testkit.Eventually(t, 20*time.Second, func() bool { return p.Ready() != nil && strings.Contains(p.Ready().Error(), "blocked") })
	began, from := time.Now(), len(s.confirmed())
	testkit.Eventually(t, 20*time.Second, func() bool { return time.Since(began) > p.cfg.confirmWithin+time.Second })
	if why := p.Ready(); why == nil || !strings.Contains(why.Error(), "blocked") {
		t.Errorf("under the alarm the publisher is %v, want blocked", why)
	}
	if n := len(s.confirmed()); n > from+50 {
		t.Errorf("%d messages were confirmed under the alarm", n-from)
	}
	testkit.RabbitMemory(t, pid, "0.4")
	s.progress(t)
}

// brokenQueue leaves of a queue only its record, while somebody consumes from it and others publish to it and to a sound one. It is
// made anew, told to those who know what was in it, and all that is published arrives.
func brokenQueue(t *testing.T, cfg Config, pid int) {
	t.Helper()
	anew := make(chan string, 100)
	cfg.Topology.Namespace += "b"
	cfg.Topology.Queues = map[string][]string{"inventory": {keyCreated}, "order": {keyCreated}}
	cfg.unusable = 200 * time.Millisecond
	cfg.Metrics, cfg.Anew = NewMetrics(nil), func(queue string) { anew <- queue }
	p, broken, sound := startPublisher(t, cfg), &ears{}, &ears{}
	start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: broken.hear}).Run)
	start(t, NewConsumer(cfg, p, Subscription{Module: "order", Handle: sound.hear}).Run)
	before := createdMany(10)
	if err := p.Publish(t.Context(), messages(cfg, before)...); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() error { return errors.Join(broken.has(before), sound.has(before)) })
	for len(anew) > 0 {
		<-anew
	}
	testkit.BreakQueue(t, pid, cfg.Topology.Queue("inventory"))
	after := createdMany(10)
	if err := p.Publish(t.Context(), messages(cfg, after)...); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() error { return errors.Join(broken.has(after), sound.has(after)) })
	if queue := <-anew; queue != cfg.Topology.Queue("inventory") || len(anew) > 0 {
		t.Errorf("%s was made anew and %d others, want the broken one alone", queue, len(anew))
	}
}

// sender publishes all the time and remembers what was confirmed.
type sender struct {
	mu    sync.Mutex
	facts []event.Fact
}

func (s *sender) run(ctx context.Context, cfg Config, p *Publisher) error {
	for run.Pause(ctx, 5*time.Millisecond) == nil { // the broker is to be hurt, not the machine
		facts := createdMany(20)
		if err := p.Publish(ctx, messages(cfg, facts)...); err != nil {
			return nil //nolint:nilerr // the test is over
		}
		s.mu.Lock()
		s.facts = append(s.facts, facts...)
		s.mu.Unlock()
	}
	return nil
}

func (s *sender) confirmed() []event.Fact {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.facts
}

func (s *sender) progress(t *testing.T) {
	t.Helper()
	from := len(s.confirmed())
	testkit.Eventually(t, 2*time.Minute, func() bool { return len(s.confirmed()) >= from+200 })
}

// The network swallows everything, or only what the broker says, or ends all connections: every fact that was promised is heard.
func TestPublishingSurvivesTheNetwork(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	there, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	way := testkit.NewProxy(t, there.Host)
	cfg.URL = strings.Replace(cfg.URL, there.Host, way.Addr(), 1)
	cfg.confirmWithin = time.Second
	p := startPublisher(t, cfg)
	e, s := &ears{}, &sender{}
	start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: e.hear}).Run)
	stop := start(t, func(ctx context.Context) error { return s.run(ctx, cfg, p) })
	s.progress(t)
	for name, strike := range map[string]func(){"black hole": way.Cut, "no answers": way.Mute} {
		strike()
		testkit.Eventually(t, 20*time.Second, func() error {
			if p.Ready() == nil {
				return errors.New(name + " is not noticed")
			}
			return nil
		})
		way.Heal()
		way.Drop()
		s.progress(t)
	}
	way.Drop()
	s.progress(t)
	stop()
	testkit.Eventually(t, 2*time.Minute, func() error { return e.has(s.confirmed()) })
}
