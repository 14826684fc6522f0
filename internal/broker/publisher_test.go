package broker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"
)

func TestDeclareIsRepeatable(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	for range 2 {
		if err := Declare(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	depths, err := Depths(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(depths) != 4 {
		t.Errorf("%d queues, want two modules, dead and unrouted: %+v", len(depths), depths)
	}
	cfg.Topology.Queues["payment"] = nil
	depths, err = Depths(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range depths {
		if missing := strings.HasSuffix(d.Queue, ".payment"); d.Missing != missing {
			t.Errorf("%s: missing is %v", d.Queue, d.Missing)
		}
	}
}

func TestPublishReachesWhoIsBound(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	p := startPublisher(t, cfg)
	if err := p.Publish(t.Context(), messages(cfg, createdMany(3000))...); err != nil { // more than the window
		t.Fatal(err)
	}
	eventuallyDepth(t, cfg, cfg.Topology.Queue("inventory"), 3000)
	eventuallyDepth(t, cfg, cfg.Topology.Queue("order"), 0)
	if err := p.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

func TestNobodyBoundIsCaught(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	p := startPublisher(t, cfg)
	m := message(cfg, created(1))
	m.Key = "nobody.order.created"
	if err := p.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	eventuallyDepth(t, cfg, cfg.Topology.Unrouted(), 1)
}

// A message that is returned was acknowledged as well: the ack must not be believed.
func TestReturnedMessageIsNotConfirmed(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	p := startPublisher(t, cfg)
	lost := message(cfg, created(1))
	lost.Exchange, lost.Key = "", cfg.Topology.Queue("not-yet-there")
	r, err := p.Send(t.Context(), lost)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 { // others pass
		if err := p.Publish(t.Context(), message(cfg, created(i))); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := r.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("message to a missing queue: %v, want no confirm", err)
	}
	onChannel(t, cfg, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(lost.Key, false, true, false, false, amqp.Table{"x-expires": 60_000})
		return err
	})
	if err := r.Wait(t.Context()); err != nil {
		t.Fatalf("message to a queue that is there by now: %v", err)
	}
}

func TestUnpublishable(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	p := startPublisher(t, cfg)
	for name, spoil := range map[string]func(*Message){
		"huge body": func(m *Message) { m.Body = make([]byte, MaxBody+1) },
		"long key":  func(m *Message) { m.Key = strings.Repeat("k", 256) },
		"no id":     func(m *Message) { m.ID = "" },
	} {
		m := message(cfg, created(1))
		spoil(&m)
		if err := p.Publish(t.Context(), m); !errors.Is(err, ErrUnpublishable) {
			t.Errorf("%s: %v, want ErrUnpublishable", name, err)
		}
	}
	big := message(cfg, created(1))
	big.Body = make([]byte, 10<<20)
	if err := p.Publish(t.Context(), big); err != nil {
		t.Errorf("10 MiB: %v", err)
	}
}

func TestStoppedPublisherSaysSo(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	cfg.URL = "amqp://127.0.0.1:1/" // nobody listens
	p := NewPublisher(cfg)
	stop := start(t, p.Run)
	r, err := p.Send(t.Context(), message(cfg, created(1)))
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := r.Wait(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("wait: %v, want ErrStopped", err)
	}
	if err := p.Publish(t.Context(), message(cfg, created(1))); !errors.Is(err, ErrStopped) {
		t.Errorf("publish: %v, want ErrStopped", err)
	}
	if p.Ready() == nil {
		t.Error("a stopped publisher is ready")
	}
}

// Instances that start at the same moment make the queues once: none is answered an error, and each queue takes what it is sent.
func TestManyDeclareAtOnce(t *testing.T) {
	t.Parallel()
	for range 2 {
		cfg := newConfig(t)
		cfg.Topology.Queues = map[string][]string{"a": {keyCreated}, "b": {keyCreated}, "c": {keyCreated}, "d": {keyCreated}}
		var all errgroup.Group
		for range 4 {
			all.Go(func() error { return Declare(t.Context(), cfg) })
		}
		if err := all.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := startPublisher(t, cfg).Publish(t.Context(), message(cfg, created(1))); err != nil {
			t.Fatal(err)
		}
	}
}

// Of several nodes one that is away is passed over, by whoever connects; and when all are away each is named.
func TestSeveralNodes(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	cfg.URL = "amqp://127.0.0.1:1/, " + cfg.URL + ",amqp://127.0.0.1:2/"
	if err := startPublisher(t, cfg).Publish(t.Context(), message(cfg, created(1))); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := Depths(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	cfg.URL = "amqp://127.0.0.1:1/,amqp://127.0.0.1:2/"
	_, err := Depths(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), ":1") || !strings.Contains(err.Error(), ":2") {
		t.Errorf("nobody is there: %v", err)
	}
}
