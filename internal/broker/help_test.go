package broker

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(mortalVariable); spec != "" {
		os.Exit(beMortal(spec))
	}
	testkit.Main(m)
}

const keyCreated = "optimistic.order.created"

func newConfig(t *testing.T) Config {
	t.Helper()
	return configOn(testkit.NewBroker(t))
}

func configOn(env *testkit.Env) Config {
	return Config{
		mostPause: 200 * time.Millisecond, URL: env.RabbitURL, Log: env.Log, Metrics: NewMetrics(nil),
		Topology: Topology{Namespace: env.Namespace, Queues: map[string][]string{
			"order":     {"optimistic.stock.reserved"},
			"inventory": {keyCreated},
		}},
	}
}

// start runs a long-lived part until the test ends or the returned function is called, and waits for its end.
func start(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func startPublisher(t *testing.T, cfg Config) *Publisher {
	t.Helper()
	p := NewPublisher(cfg)
	start(t, p.Run)
	return p
}

func created(n int) event.Fact {
	return event.New(event.OrderCreated, "optimistic", uuid.Must(uuid.NewV7()), map[string]int{"n": n})
}

func createdMany(n int) []event.Fact {
	facts := make([]event.Fact, n)
	for i := range facts {
		facts[i] = created(i)
	}
	return facts
}

// message is a fact as it is published, alone.
func message(cfg Config, f event.Fact) Message {
	return Message{ID: f.ID.String(), Exchange: cfg.Topology.Exchange(), Key: f.RoutingKey(), ContentType: event.ContentType, Body: event.Encode(f)}
}

func messages(cfg Config, facts []event.Fact) []Message {
	all := make([]Message, len(facts))
	for i, f := range facts {
		all[i] = message(cfg, f)
	}
	return all
}

// packed is facts of one key in one message.
func packed(cfg Config, parts ...[]byte) Message {
	return Message{ID: uuid.NewString(), Exchange: cfg.Topology.Exchange(), Key: keyCreated, ContentType: event.BatchContentType, Body: event.Batch(parts)}
}

// onChannel does something to the broker that no part of the package would do.
func onChannel(t *testing.T, cfg Config, do func(*amqp.Channel) error) {
	t.Helper()
	conn, err := amqp.Dial(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := do(ch); err != nil {
		t.Fatal(err)
	}
}

// ears is a module that remembers what it heard.
type ears struct {
	mu      sync.Mutex
	heard   []uuid.UUID
	batches []int
	calls   map[uuid.UUID]int // that a fact was in, failed ones too
	refuse  func(event.Fact) error
}

func (e *ears) hear(_ context.Context, facts []event.Fact) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.calls == nil {
		e.calls = map[uuid.UUID]int{}
	}
	for _, f := range facts {
		e.calls[f.ID]++
	}
	for _, f := range facts {
		if e.refuse == nil {
			continue
		}
		if err := e.refuse(f); err != nil {
			return err
		}
	}
	e.batches = append(e.batches, len(facts))
	for _, f := range facts {
		e.heard = append(e.heard, f.ID)
	}
	return nil
}

func (e *ears) has(facts []event.Fact) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	heard := make(map[uuid.UUID]bool, len(e.heard))
	for _, id := range e.heard {
		heard[id] = true
	}
	for i, f := range facts {
		if !heard[f.ID] {
			return fmt.Errorf("fact %d of %d was not heard; heard %d", i, len(facts), len(e.heard))
		}
	}
	return nil
}

func (e *ears) called(id uuid.UUID) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[id]
}

func ids(facts []event.Fact) []uuid.UUID {
	all := make([]uuid.UUID, len(facts))
	for i, f := range facts {
		all[i] = f.ID
	}
	return all
}

// eventuallyDepth waits until a queue holds so many messages, none of them in a consumer's hands.
func eventuallyDepth(t *testing.T, cfg Config, queue string, want int) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, func() error {
		depths, err := Depths(t.Context(), cfg)
		if err != nil {
			return err
		}
		for _, d := range depths {
			if d.Queue == queue && d.Messages != want {
				return fmt.Errorf("%s holds %d messages, want %d", queue, d.Messages, want)
			}
		}
		return nil
	})
}

// coffin collects dead letters.
type coffin struct {
	mu   sync.Mutex
	dead []DeadLetter
}

func (c *coffin) keep(_ context.Context, d []DeadLetter) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = append(c.dead, d...)
	return nil
}

func (c *coffin) waitFor(t *testing.T, n int) []DeadLetter {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.dead) < n {
			return fmt.Errorf("%d dead letters, want %d", len(c.dead), n)
		}
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.dead)
}
