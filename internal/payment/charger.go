package payment

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/failpoint"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// databaseTimeout bounds a claim and a commit, also when the server is frozen.
const databaseTimeout = 10 * time.Second

// ChargerOptions steer the loop. Zero values mean the defaults.
type ChargerOptions struct {
	Concurrency int           // 256; provider calls at once
	Lease       time.Duration // 30 s, 90 s of an Opener; longer than all calls for one payment can take together
	Poll        time.Duration // 250 ms; how often it looks for what has become due
	Grace       time.Duration // 3 s; how long calls may go on when it is stopped
	KeyMemory   time.Duration // 23 h; how long after the first attempt a charge may be sent again: the provider's memory less a margin
	Former      []Provider    // where charges were made before: what was begun there is ended there, and nothing new is charged
	Log         *slog.Logger  // required
}

func (o ChargerOptions) withDefaults() ChargerOptions {
	o.Concurrency = cmp.Or(o.Concurrency, 256)
	o.Lease = cmp.Or(o.Lease, 30*time.Second)
	o.Poll = cmp.Or(o.Poll, 250*time.Millisecond)
	o.Grace = cmp.Or(o.Grace, 3*time.Second)
	o.KeyMemory = cmp.Or(o.KeyMemory, 23*time.Hour)
	return o
}

// cashier asks one account for what is to be done there. Any number of them may be at an account, in this process and in others.
type cashier struct {
	db       *postgres.DB
	provider Provider
	charges  bool     // takes what was asked for nowhere yet
	identity Identity // once the provider has said it; before that nothing is asked of it
	failed   atomic.Pointer[string]
	options  ChargerOptions
	bell     chan struct{} // rung when something is due
	slots    chan struct{} // one token per call that is under way or waits for its commit
}

func newCashier(db *postgres.DB, provider Provider, charges bool, o ChargerOptions) *cashier {
	if _, opens := provider.(Opener); opens {
		o.Lease = cmp.Or(o.Lease, 90*time.Second)
	}
	o = o.withDefaults()
	return &cashier{db: db, provider: provider, charges: charges, options: o, bell: make(chan struct{}, 1), slots: make(chan struct{}, o.Concurrency)}
}

// wake says that something is due. It never blocks.
func (c *cashier) wake() {
	select {
	case c.bell <- struct{}{}:
	default:
	}
}

// run claims, calls and commits until ctx ends; then it gives the calls under way their grace and commits what they answered.
func (c *cashier) run(ctx context.Context) error {
	c.identify(ctx)
	calling, stopCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCalls()
	results := make(chan result, c.options.Concurrency)
	var calls, commits sync.WaitGroup
	commits.Go(func() { c.commitAll(ctx, results) })
	for ctx.Err() == nil {
		for _, task := range c.next(ctx) {
			calls.Go(func() { results <- c.call(calling, task) })
		}
	}
	grace := time.AfterFunc(c.options.Grace, stopCalls)
	defer grace.Stop()
	calls.Wait()
	close(results)
	commits.Wait()
	return nil
}

// next gives what is due, as many as there is room for; with less than that it waits for more first.
func (c *cashier) next(ctx context.Context) []*row {
	room := c.takeSlots(ctx)
	if room == 0 {
		return nil
	}
	// A claim that is broken off may have been committed, and nobody would be at it until its lease is over. So it is not, when
	// ctx ends: what was claimed is done.
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), databaseTimeout)
	defer cancel()
	claimed, err := claim(limit, c.db, c.claimable(), room, c.options.Lease, c.options.KeyMemory)
	if err != nil {
		c.options.Log.Error("payments cannot be claimed", "err", err)
	}
	c.freeSlots(room - len(claimed))
	if len(claimed) == 0 {
		c.rest(ctx, c.bell)
	}
	return claimed
}

// chargeNow does for one order, in the caller's time, what run would soon do for it.
func (c *cashier) chargeNow(ctx context.Context, order uuid.UUID) ([]event.Fact, error) {
	select {
	case c.slots <- struct{}{}:
		defer c.freeSlots(1)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	limit, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	claimed, err := claimOf(limit, c.db, c.claimable(), order, c.options.Lease, c.options.KeyMemory)
	if err != nil || len(claimed) == 0 {
		return nil, err
	}
	return c.settle(ctx, []result{c.call(ctx, claimed[0])})
}

// rest waits for the poll interval, the bell or the end of ctx, whichever comes first.
func (c *cashier) rest(ctx context.Context, bell <-chan struct{}) {
	timer := time.NewTimer(c.options.Poll)
	defer timer.Stop()
	select {
	case <-bell:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// takeSlots waits for a free slot and takes all that are free; 0 when ctx has ended.
func (c *cashier) takeSlots(ctx context.Context) int {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for n := 1; ; n++ {
		select {
		case c.slots <- struct{}{}:
		default:
			return n
		}
	}
}

func (c *cashier) freeSlots(n int) {
	for range n {
		<-c.slots
	}
}

// call asks the provider what the payment's state calls for.
func (c *cashier) call(ctx context.Context, task *row) result {
	outcome, err := c.ask(ctx, task)
	if err != nil || outcome.Verdict == Absent {
		c.options.Log.Warn("the outcome of a payment is unknown", "order_id", task.OrderID, "state", task.State,
			"try", task.Tries, "giving_back", task.Undone(), "key_forgotten", !task.recent, "err", err)
	}
	return result{task, outcome, err}
}

// onlyLookedUp reports whether a charge may not be sent again: the provider has forgotten its key, so that it could charge a second
// time. Giving back and closing charge nothing at any age.
func (p *row) onlyLookedUp() bool { return !p.recent && !p.Undone() && p.State != Refunding }

func (c *cashier) ask(ctx context.Context, task *row) (Outcome, error) {
	switch {
	case task.State == Refunding && task.givenUp():
		return c.madeByOthers(ctx, task)
	case task.State == Refunding:
		return c.through(ctx, "refund", Provider.Refund, task)
	case task.Undone():
		return c.through(ctx, "close", Provider.Close, task)
	case task.Tries == 1 && task.recent:
		return c.charge(ctx, task)
	}
	outcome, err := c.through(ctx, "lookup", Provider.Lookup, task)
	// It may still be on its way: under the same key it is charged once, for as long as the provider remembers the key. What is opened
	// first is charged once whatever the key.
	if _, opens := c.provider.(Opener); err == nil && outcome.Verdict == Absent && (task.recent || opens) {
		return c.charge(ctx, task)
	}
	return outcome, err
}

// charge makes the charge, and opens it first where that is the provider's way. Whoever dies before the id is committed has charged
// nothing, and whoever comes next opens it again.
func (c *cashier) charge(ctx context.Context, task *row) (Outcome, error) {
	if err := c.intent(task).InTime(); err != nil {
		return Outcome{}, err
	}
	if opener, opens := c.provider.(Opener); opens && task.OpenedAs == "" {
		open := func(_ Provider, ctx context.Context, in Intent) (Outcome, error) { return opener.Open(ctx, in) }
		outcome, err := c.through(ctx, "open", open, task)
		if err != nil || outcome.Verdict != Opened {
			return outcome, err
		}
		if err := c.keepOpened(ctx, task, outcome.ChargeID); err != nil {
			return Outcome{}, err
		}
	}
	return c.through(ctx, "charge", Provider.Charge, task)
}

func (c *cashier) keepOpened(ctx context.Context, task *row, id string) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return keepOpened(ctx, c.db, task, id)
}

// intent is what the provider is asked about. A charge is to be sent under the claim: later, others have taken the payment up, and the
// provider may have forgotten the key.
func (c *cashier) intent(task *row) Intent {
	in := task.intent()
	in.Insist = task.insisted()
	in.SendBy = task.claimedAt.Add(c.options.Lease)
	return in
}

// through makes one call to the provider.
func (c *cashier) through(ctx context.Context, name string, call func(Provider, context.Context, Intent) (Outcome, error), task *row) (Outcome, error) {
	failpoint.Reach("asking", name) // the attempt is committed
	began := time.Now()
	outcome, err := call(c.provider, ctx, c.intent(task))
	task.asked(name, began, outcome, err)
	failpoint.Reach("asked", name)
	return outcome, err
}

// commitAll commits results in groups of those that are there, until there are no more.
func (c *cashier) commitAll(ctx context.Context, results <-chan result) {
	for first := range results {
		group := []result{first}
		for waiting := len(results); waiting > 0; waiting-- {
			group = append(group, <-results)
		}
		c.commit(ctx, group)
		c.freeSlots(len(group))
	}
}

// commit tries until Postgres is there again or the charger is stopped. What Postgres refuses is tried one by one, so that a
// bad row hurts itself alone. What is not committed is asked for again when its lease is over.
func (c *cashier) commit(ctx context.Context, group []result) {
	for {
		began := time.Now()
		_, err := c.settle(ctx, group)
		if err == nil {
			c.options.Log.Info("asked the provider", "payments", len(group), "answers", tally(group), "first", group[0].OrderID,
				"ms", time.Since(began).Milliseconds())
			return
		}
		outage := postgres.Unavailable(err)
		if !outage && len(group) > 1 {
			for i := range group {
				c.commit(ctx, group[i:i+1])
			}
			return
		}
		c.options.Log.Error("payments cannot be settled", "count", len(group), "order_id", group[0].OrderID, "err", err)
		if !outage || ctx.Err() != nil {
			return
		}
		c.rest(ctx, nil)
	}
}

// tally counts results by verdict, for the log.
func tally(group []result) map[Verdict]int {
	answers := map[Verdict]int{}
	for _, r := range group {
		if r.err != nil {
			answers["none"]++
		} else {
			answers[r.outcome.Verdict]++
		}
	}
	return answers
}
