package relay

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	dto "github.com/prometheus/client_model/go"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// patience is what a test waits for anything, on a machine that does much else.
const patience = 40 * time.Second

// bench is a place with a publisher and a listener on everything that is published.
type bench struct {
	*testkit.Env
	cfg       broker.Config
	publisher *broker.Publisher
	heard     *ears
	put       *shelf
	log       *lines
	proxy     *testkit.Proxy // between publisher and broker, or nil
}

func newBench(t *testing.T, env *testkit.Env) *bench {
	t.Helper()
	b := &bench{Env: env, heard: &ears{}, put: &shelf{}, log: &lines{}}
	b.cfg = broker.Config{URL: env.RabbitURL, Log: env.Log, Topology: broker.Topology{
		Namespace: env.Namespace, Queues: map[string][]string{"view": {"#"}},
	}}
	b.publisher = broker.NewPublisher(b.cfg)
	start(t, b.publisher.Run)
	start(t, broker.NewConsumer(b.cfg, b.publisher, broker.Subscription{Module: "view", Batch: 1000, Handle: b.heard.hear}).Run)
	return b
}

// again is the same bench for another case: its own relays log, and put aside, for themselves.
func (b *bench) again() *bench {
	anew := *b
	anew.put, anew.log = &shelf{}, &lines{}
	return &anew
}

// rung lets every commit ring a relay, which has not been started yet, for the length of a test.
func (b *bench) rung(t *testing.T, r *Relay) {
	t.Helper()
	b.DB.OnCommit = r.Ring
	t.Cleanup(func() { b.DB.OnCommit = nil })
}

// behindProxy is the same bench with a publisher of its own that reaches the broker over a network that can be cut. What it
// publishes is heard as before.
func (b *bench) behindProxy(t *testing.T) *bench {
	t.Helper()
	far := *b
	u, err := url.Parse(b.RabbitURL)
	if err != nil {
		t.Fatal(err)
	}
	far.proxy = testkit.NewProxy(t, u.Host)
	u.Host = far.proxy.Addr()
	far.cfg.URL = u.String()
	far.publisher = broker.NewPublisher(far.cfg)
	start(t, far.publisher.Run)
	return &far
}

// relay makes an instance of its own.
func (b *bench) relay(t *testing.T, mode Mode) *Relay {
	t.Helper()
	r, err := New(Options{
		Mode: mode, DB: b.DB, PostgresURL: b.PostgresURL, Publisher: b.publisher, Topology: b.cfg.Topology,
		Lease: lease.New(b.DB, b.Log, uuid.NewString(), 2*time.Second), PollInterval: time.Second, SenderTimeout: 2 * time.Second,
		Log: slog.New(slog.NewMultiHandler(b.Log.Handler(), slog.NewTextHandler(b.log, nil))), Quarantine: b.put.keep,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.markEvery = 100 * time.Millisecond
	return r
}

// start runs a long-lived part until the test ends or stop is called, and waits for its end.
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

// startLeading starts an instance and waits until it reads.
func startLeading(t *testing.T, r *Relay) (stop func()) {
	t.Helper()
	stop = start(t, r.Run)
	testkit.Eventually(t, patience, r.leading.Load)
	return stop
}

func fact() event.Fact {
	return event.New(event.OrderCreated, "optimistic", uuid.Must(uuid.NewV7()), event.Order{Customer: "ada"})
}

func facts(n int) []event.Fact {
	all := make([]event.Fact, n)
	for i := range all {
		all[i] = fact()
	}
	return all
}

// say appends facts in one transaction.
func (b *bench) say(t *testing.T, facts ...event.Fact) {
	t.Helper()
	if err := b.trySay(t.Context(), facts...); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) trySay(ctx context.Context, facts ...event.Fact) error {
	return b.DB.InTx(ctx, func(tx pgx.Tx) error { return outbox.Append(ctx, tx, facts...) })
}

// ears remembers the facts that were published, each at its first hearing.
type ears struct {
	mu     sync.Mutex
	heard  []uuid.UUID
	copies map[uuid.UUID]int
}

func (e *ears) hear(_ context.Context, facts []event.Fact) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.copies == nil {
		e.copies = map[uuid.UUID]int{}
	}
	for _, f := range facts {
		if e.copies[f.ID]++; e.copies[f.ID] == 1 {
			e.heard = append(e.heard, f.ID)
		}
	}
	return nil
}

func (e *ears) has(facts []event.Fact) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, f := range facts {
		if e.copies[f.ID] == 0 {
			return fmt.Errorf("fact %d of %d was not published; %d were", i, len(facts), len(e.heard))
		}
	}
	return nil
}

// heardNone wants none of the facts to have been published.
func (b *bench) heardNone(t *testing.T, facts []event.Fact) {
	t.Helper()
	for _, f := range facts {
		if b.heard.has([]event.Fact{f}) == nil {
			t.Fatalf("fact %s was published", f.ID)
		}
	}
}

// times is how often a fact was heard.
func (e *ears) times(f event.Fact) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.copies[f.ID]
}

// onBroker does something to the broker as somebody else would.
func (b *bench) onBroker(t *testing.T, do func(*amqp.Channel) error) {
	t.Helper()
	conn, err := amqp.Dial(b.RabbitURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err == nil {
		err = do(ch)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (e *ears) wait(t *testing.T, facts ...event.Fact) {
	t.Helper()
	testkit.Eventually(t, patience, func() error { return e.has(facts) })
}

// order gives those of the facts that were published, in the order of their first hearing.
func (e *ears) order(facts []event.Fact) []uuid.UUID {
	wanted := make(map[uuid.UUID]bool, len(facts))
	for _, f := range facts {
		wanted[f.ID] = true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(e.heard), func(id uuid.UUID) bool { return !wanted[id] })
}

func ids(facts []event.Fact) []uuid.UUID {
	all := make([]uuid.UUID, len(facts))
	for i, f := range facts {
		all[i] = f.ID
	}
	return all
}

// shelf keeps what was put aside.
type shelf struct {
	mu   sync.Mutex
	dead []broker.DeadLetter
}

func (s *shelf) keep(_ context.Context, d []broker.DeadLetter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = append(s.dead, d...)
	return nil
}

func (s *shelf) letters() []broker.DeadLetter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.dead)
}

// rest waits until the mark says that nothing is left to publish.
func (b *bench) rest(t *testing.T, r *Relay) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		s, err := r.Status(t.Context())
		if err == nil && s.Rows != 0 {
			err = fmt.Errorf("%d rows are waiting", s.Rows)
		}
		return err
	})
}

// known waits until the mark names the slot: it is made, which other tests' transactions may delay, and read.
func (b *bench) known(t *testing.T, r *Relay) {
	t.Helper()
	testkit.Eventually(t, patience, func() (err error) {
		var slot string
		if err = b.DB.QueryRow(t.Context(), `SELECT slot FROM shared.relay_mark`).Scan(&slot); err == nil && slot != r.slot {
			err = fmt.Errorf("the mark is of slot %q", slot)
		}
		return err
	})
}

// lines keeps what the relays log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), part)
}

func (l *lines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// told waits until a relay has told of a trouble, in its log and in its metrics.
func (b *bench) told(t *testing.T, r *Relay, kind trouble) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		var m dto.Metric
		if err := r.m.troubles.WithLabelValues(string(kind)).Write(&m); err != nil {
			return err
		}
		if n := m.GetCounter().GetValue(); n == 0 || !b.log.has("level=WARN") || !b.log.has("trouble="+string(kind)) {
			return fmt.Errorf("%s was counted %v times; in the log: %v", kind, n, b.log.has("trouble="+string(kind)))
		}
		return nil
	})
}

// exec does something to the database as somebody else would.
func (b *bench) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := b.DB.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// all is how many facts were published, repetitions included.
func (e *ears) all() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, copies := range e.copies {
		n += copies
	}
	return n
}
