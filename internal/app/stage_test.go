package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

const (
	stageKey   = "key of the sandbox"
	stageHooks = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// stage is the modules of an instance, wired as ever, without relay and broker: the test itself carries the facts from the
// outbox to those who hear them, in whatever way it likes.
type stage struct {
	*testing.T
	*server
	hear     map[saga.Module]saga.Handler
	plenty   []uuid.UUID // products that never run out
	from     uint64      // transactions below have been read
	read     map[uuid.UUID]bool
	posts    []post // all that there were
	products int
}

// post is a fact on its way to one module.
type post struct {
	to   saga.Module
	fact event.Fact
}

// newStage is one for orders of a strategy, which need not be one of those that an instance has. Where stock is taken as an order is
// made, a shortage cannot come between: no hold then promises what is not there.
func newStage(t *testing.T, way saga.Strategy) *stage {
	t.Helper()
	s := newStageWithoutCharger(t, way, len(way.AtOnce) == 0)
	inBackground(t, s.modules.charger.Run)
	return s
}

// newStageWithoutCharger is a stage on which nobody asks the provider.
func newStageWithoutCharger(t *testing.T, way saga.Strategy, hold bool) *stage {
	t.Helper()
	env := testkit.New(t)
	provider, err := sandbox.Open(sandbox.Options{
		Addr: "127.0.0.1:0", LedgerFile: filepath.Join(t.TempDir(), "ledger.jsonl"), APIKey: stageKey, Log: env.Log,
		SlowBy: 50 * time.Millisecond, HangFor: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Config{
		Servers:  config.Servers{PostgresURL: env.PostgresURL, RedisURL: env.RedisURL, RabbitMQURL: env.RabbitURL, Namespace: env.Namespace},
		HTTPAddr: "127.0.0.1:0", JWTSecret: "a secret of the tests, long enough", MaxBody: 1 << 20, Strategy: way.Name, OrderTimeout: time.Hour,
		HoldOnOrder: hold, MaxLines: 2000, MaxQuantity: 1_000_000, OutboxMode: "polling", HoldTTL: time.Hour, HoldMaxAge: 4 * time.Hour,
		ReconcileCooldown: time.Second, InventoryLanes: 3, SandboxURL: provider.URL(), SandboxKey: stageKey, SandboxWebhookSecret: stageHooks,
	}
	s, err := open(t.Context(), cfg, env.Log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	if !slices.ContainsFunc(s.tables, func(known saga.Strategy) bool { return known.Name == way.Name }) {
		s.tables = append(s.tables, way)
	}
	if err := s.build(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 3*time.Minute, func() error { return s.memory.Look(t.Context()) })
	t.Cleanup(s.modules.provider.Hangup)
	inBackground(t, provider.Run)
	st := &stage{T: t, server: s, hear: map[saga.Module]saga.Handler{}, read: map[uuid.UUID]bool{}}
	for _, module := range saga.Modules() {
		st.hear[module] = s.book.Hear(module, s.modules.actors())
	}
	for range 4 {
		st.plenty = append(st.plenty, st.product(1_000_000))
	}
	return st
}

func inBackground(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (s *stage) product(stock int64) uuid.UUID {
	s.Helper()
	s.products++
	sku := fmt.Sprint("SKU", s.products)
	made, err := s.modules.inventory.Upsert(s.Context(), []inventory.NewProduct{{
		Product: inventory.Product{SKU: sku, Name: sku, UnitPriceMinor: 100 + int64(s.products%7), Currency: "GBP"}, Stock: stock,
	}})
	if err != nil {
		s.Fatal(err)
	}
	return made[0].ID
}

// cast places orders that play the scenes in turn, each of two products. Nobody hears of them yet.
func (s *stage) cast(n int) []actor {
	s.Helper()
	actors := make([]actor, n)
	for i := range actors {
		a := actor{scene: scenes[i%len(scenes)]}
		second := s.plenty[(i+1)%len(s.plenty)]
		if a.short && s.cfg.HoldOnOrder {
			second = s.product(2)
		} else if a.short {
			second = s.product(1)
		}
		s.place(&a, s.plenty[i%len(s.plenty)], second)
		if a.short && s.cfg.HoldOnOrder {
			if _, err := s.modules.inventory.Restock(s.Context(), second, -1, "stolen"); err != nil {
				s.Fatal(err)
			}
		}
		actors[i] = a
	}
	s.timeOut(among(actors, func(a actor) bool { return a.over }))
	s.cancel(among(actors, func(a actor) bool { return a.cancel && !a.race }))
	return actors
}

// place has an actor order one of a product and two of another.
func (s *stage) place(a *actor, first, second uuid.UUID) {
	s.Helper()
	var err error
	a.units = 3
	a.id, _, err = s.modules.order.Place(s.Context(), order.Purchase{
		Customer: "c", Key: uuid.NewString(), Fingerprint: make([]byte, 32), PaymentMethod: a.method, Strategy: a.strategy,
		Items: []order.Item{{ProductID: first, Quantity: 1}, {ProductID: second, Quantity: 2}},
	})
	if err == nil {
		err = s.db.QueryRow(s.Context(), `SELECT total_minor FROM orders.orders WHERE id = $1`, a.id).Scan(&a.total)
	}
	if err != nil {
		s.Error(err)
	}
}

// among gives some of the actors.
func among(actors []actor, these func(actor) bool) []actor {
	return slices.DeleteFunc(slices.Clone(actors), func(a actor) bool { return !these(a) })
}

// cancel has customers cancel orders.
func (s *stage) cancel(actors []actor) {
	s.Helper()
	for _, a := range actors {
		if _, err := s.modules.order.Cancel(s.Context(), "c", a.id, ""); err != nil {
			s.Fatal(err)
		}
	}
}

// timeOut lets the time of orders be over.
func (s *stage) timeOut(actors []actor) {
	s.Helper()
	if len(actors) == 0 {
		return
	}
	_, err := s.db.Exec(s.Context(), `UPDATE orders.orders SET deadline = now() - interval '1 second' WHERE id = ANY ($1)`, ids(actors))
	if err != nil {
		s.Fatal(err)
	}
	if _, err := s.modules.order.TimeOut(s.Context(), len(actors)); err != nil {
		s.Fatal(err)
	}
}

// said gives what was said since it was last asked, in the order of commits, for each module that hears it.
func (s *stage) said() []post {
	s.Helper()
	var next uint64
	if err := s.db.QueryRow(s.Context(), `SELECT pg_snapshot_xmin(pg_current_snapshot())`).Scan(&next); err != nil {
		s.Fatal(err)
	}
	rows, err := s.db.Query(s.Context(), `SELECT body FROM shared.outbox WHERE xid >= $1 ORDER BY xid, id`, s.from)
	if err != nil {
		s.Fatal(err)
	}
	defer rows.Close()
	var fresh []post
	hears := s.book.Hears()
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			s.Fatal(err)
		}
		facts, err := event.Split(body)
		if err != nil {
			s.Fatal(err)
		}
		if f := facts[0]; !s.read[f.ID] {
			s.read[f.ID] = true
			for _, module := range hears[f.Row()] {
				fresh = append(fresh, post{saga.Module(module), f})
			}
		}
	}
	if err := rows.Err(); err != nil {
		s.Fatal(err)
	}
	s.from, s.posts = next, append(s.posts, fresh...)
	return fresh
}

// play delivers what is said of the actors until everything has been said and heard.
func (s *stage) play(actors []actor, by carrier) {
	s.Helper()
	racing, undone := among(actors, func(a actor) bool { return a.race }), among(actors, func(a actor) bool { return a.undone })
	for {
		waves := by.carry(s.said())
		if len(waves) == 0 && s.rest() {
			if len(undone) == 0 {
				return
			}
			s.cancel(undone)
			undone = nil
		}
		for _, wave := range waves {
			s.deliver(wave)
			if len(racing) > 0 { // two at a time, so that each meets its end at another point of the way
				n := min(2, len(racing))
				s.timeOut(among(racing[:n], func(a actor) bool { return !a.cancel }))
				s.cancel(among(racing[:n], func(a actor) bool { return a.cancel }))
				racing = racing[n:]
			}
		}
	}
}

// rest says whether nothing will be said any more, after a payment that is under way has come to something.
func (s *stage) rest() bool {
	s.Helper()
	before := len(s.read)
	calm := false
	testkit.Eventually(s, 3*time.Minute, func() error {
		var under, facts int
		err := s.db.QueryRow(s.Context(), `SELECT (SELECT count(*) FROM payment.payments WHERE due_at IS NOT NULL), count(*) FROM shared.outbox`).
			Scan(&under, &facts)
		if err == nil && under > 0 && facts == before {
			err = fmt.Errorf("%d payments are under way", under)
		}
		calm = under == 0 && facts == before
		return err
	})
	return calm
}

// deliver hands batches to their modules, all at the same time.
func (s *stage) deliver(wave []batch) {
	s.Helper()
	var wg sync.WaitGroup
	errs := make([]error, len(wave))
	for i, b := range wave {
		wg.Go(func() { errs[i] = s.hear[b.to](s.Context(), b.facts) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		s.Fatal(err)
	}
}

// again delivers everything that ever was, shuffled, and wants nothing to be said.
func (s *stage) again(random *rand.Rand) {
	s.Helper()
	posts := slices.Clone(s.posts)
	random.Shuffle(len(posts), func(i, j int) { posts[i], posts[j] = posts[j], posts[i] })
	for _, b := range batches(posts, 100) {
		s.deliver([]batch{b})
	}
	if more := s.said(); len(more) > 0 || !s.rest() {
		s.Errorf("hearing everything once more made %d facts, the first %+v", len(more), more[0].fact)
	}
}

// clean wants every invariant to hold.
func (s *stage) clean() {
	s.Helper()
	report, err := audit.Run(s.Context(), auditOptions(s.db, s.patient, s.cfg.Servers, s.book, s.cfg.Providers(),
		Rest{Wait: 30 * time.Second, Cooldown: -1}))
	if err != nil {
		s.Fatal(err)
	}
	if report.ExitCode() != audit.ExitOK {
		var b bytes.Buffer
		_ = report.Print(&b)
		s.Errorf("the audit is not clean:\n%s", b.String())
	}
}
