package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/relay"
)

// running is a relay with its publisher.
type running struct {
	relay    *relay.Relay
	registry *prometheus.Registry
	cancel   context.CancelFunc
	parts    *errgroup.Group
}

// start starts a relay that packs so many facts into a message, 0 for as many as it does by itself.
func (m *mailroom) start(ctx context.Context, pack int, cfg broker.Config) (*running, error) {
	r := &running{registry: prometheus.NewRegistry()}
	publisher := broker.NewPublisher(cfg)
	var err error
	r.relay, err = relay.New(relay.Options{
		Mode: m.mode, DB: m.db, PostgresURL: m.url, Publisher: publisher, Topology: cfg.Topology, PackFacts: pack,
		Lease: lease.New(m.db, m.Log, uuid.NewString(), 0), Log: m.Log, Registerer: r.registry,
		Quarantine: func(_ context.Context, d []broker.DeadLetter) error {
			return fmt.Errorf("%d facts cannot be published", len(d))
		},
	})
	if err != nil {
		return nil, err
	}
	m.db.OnCommit = r.relay.Ring
	ctx, r.cancel = context.WithCancel(ctx)
	r.parts = &errgroup.Group{}
	r.parts.Go(func() error { return publisher.Run(ctx) })
	r.parts.Go(func() error { return r.relay.Run(ctx) })
	return r, nil
}

func (r *running) stop() error {
	r.cancel()
	return r.parts.Wait()
}

// reads waits until the relay reads the outbox.
func (r *running) reads(ctx context.Context) error { return r.await(ctx, "leading", 1) }

// confirms waits until the broker has confirmed so many facts.
func (r *running) confirms(ctx context.Context, facts int) error {
	return r.await(ctx, "facts_total", float64(facts))
}

// await waits for a metric of the relay.
func (r *running) await(ctx context.Context, name string, least float64) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		value, err := r.metric("holdfast_relay_" + name)
		if err != nil || value >= least {
			return err
		}
		if time.Since(began) > 2*patience {
			return fmt.Errorf("the relay's %s is %v, not %v", name, value, least)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *running) metric(name string) (float64, error) {
	families, err := r.registry.Gather()
	for _, f := range families {
		if f.GetName() == name {
			one := f.GetMetric()[0]
			return one.GetCounter().GetValue() + one.GetGauge().GetValue(), nil
		}
	}
	return 0, err
}

// trickle commits facts at a rate, one by one, and tells how long after its commit each was delivered, in milliseconds.
func (m *mailroom) trickle(ctx context.Context, rate float64) (map[string]float64, error) {
	// RabbitMQ is busy for seconds with what went through it before, and nothing tells when it is done; a start has nothing left to do.
	rabbit := m.servers.Rabbit()
	if err := errors.Join(rabbit.Stop(), rabbit.Start(ctx)); err != nil {
		return nil, err
	}
	r, err := m.start(ctx, 0, m.cfg)
	if err != nil {
		return nil, err
	}
	n := max(1, int(rate*trickleTime.Seconds()))
	facts := m.facts(n)
	committed := make([]atomic.Int64, n)
	at := make(map[uuid.UUID]int, n)
	for i, f := range facts {
		at[f.ID] = i
	}
	var took []time.Duration
	var g errgroup.Group
	listening := make(chan struct{})
	g.Go(func() (err error) {
		took, err = m.listen(ctx, listening, at, committed)
		return err
	})
	<-listening
	// Postgres decodes once more what was read before, since the last moment in which it noted what was under way, and polling
	// repeats what was published since the mark was last noted.
	if err := errors.Join(r.reads(ctx), m.caughtUp(ctx, r)); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	err = m.commitAt(ctx, rate, facts, committed)
	if err == nil {
		err = g.Wait()
	}
	return quantiles(took), errors.Join(err, r.stop())
}

// caughtUp says one fact and waits until everything up to it is published.
func (m *mailroom) caughtUp(ctx context.Context, r *running) error {
	if err := m.say(ctx, m.facts(1)); err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if s, err := r.relay.Status(ctx); err != nil || s.Rows == 0 {
			return err
		}
	}
}

// writers are connections that commit at the same time.
const writers = 16

// commitAt commits facts, as many in a transaction as those that are drained, evenly spread over time, and notes when each was known
// to be committed.
func (m *mailroom) commitAt(ctx context.Context, rate float64, facts []event.Fact, committed []atomic.Int64) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range writers {
		g.Go(func() error {
			for to := int(next.Add(factsPerTx)); to-factsPerTx < len(facts); to = int(next.Add(factsPerTx)) {
				i := to - factsPerTx
				to = min(to, len(facts))
				time.Sleep(time.Until(began.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
				if err := m.say(ctx, facts[i:to]); err != nil {
					return err
				}
				for now := time.Now().UnixNano(); i < to; i++ {
					committed[i].Store(now)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// listen takes deliveries until every fact was there. One that was quicker than the answer to its commit took no time.
func (m *mailroom) listen(ctx context.Context, listening chan<- struct{}, at map[uuid.UUID]int, committed []atomic.Int64) ([]time.Duration, error) {
	var begin sync.Once
	defer begin.Do(func() { close(listening) })
	conn, err := amqp.Dial(m.cfg.URL)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	deliveries, err := ch.ConsumeWithContext(ctx, m.cfg.Topology.Queue(sink), "", true, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	begin.Do(func() { close(listening) })
	arrived := make(map[int]int64, len(at))
	for len(arrived) < len(at) {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return nil, errors.New("the consumer was cancelled")
			}
			now := time.Now().UnixNano()
			facts, err := event.Split(d.Body)
			if err != nil {
				return nil, err
			}
			for _, f := range facts {
				if i, ok := at[f.ID]; ok && arrived[i] == 0 {
					arrived[i] = now
				}
			}
		case <-time.After(patience):
			return nil, fmt.Errorf("%d of %d facts were delivered", len(arrived), len(at))
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	took := make([]time.Duration, 0, len(arrived))
	for i, there := range arrived {
		took = append(took, time.Duration(max(0, there-committed[i].Load())))
	}
	return took, nil
}

// waiting tells the memory of this process while very many facts wait for a broker that is away.
func (m *mailroom) waiting(ctx context.Context) (map[string]any, error) {
	if err := m.multiply(ctx, m.FactsWaiting); err != nil {
		return nil, err
	}
	cfg, err := m.away()
	if err != nil {
		return nil, err
	}
	runtime.GC()
	before := heap()
	r, err := m.start(ctx, 0, cfg)
	if err != nil {
		return nil, err
	}
	if err := r.reads(ctx); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	most := before
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < waitingTime && ctx.Err() == nil; <-tick.C {
		most = max(most, heap())
	}
	s, err := r.relay.Status(ctx)
	if err == nil && m.FactsWaiting > 0 && s.Rows == 0 {
		err = errors.New("no facts wait")
	}
	return map[string]any{"facts": m.FactsWaiting, "heap_mb_before": before, "heap_mb_most": most}, errors.Join(err, r.stop())
}

// heap is what this process has on its heap, garbage included, in MB.
func heap() float64 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return rounded(float64(s.HeapInuse)/(1<<20), 1)
}
