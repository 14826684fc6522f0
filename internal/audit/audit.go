// Package audit proves the invariants of Holdfast from the outside: with its own SQL and its own reading of Redis, of the
// broker and of the payment provider's ledger, never with the modules' code. It changes nothing and runs while orders run.
//
// What must hold at every moment is judged in one repeatable-read snapshot of Postgres. What must hold at rest is judged in
// the same snapshot, once nothing is under way; when no rest comes in time, it is skipped.
//
//	audit.go     Options and Run
//	report.go    the shapes of the answer
//	snapshot.go  the read-only transaction, and how rules are asked in it
//	desk.go      the connection, with the providers' books on it; late.go what these gain while the snapshot is read
//	rest.go      what rest is, and waiting for it
//	stock.go     S1 S2 S3
//	money.go     M1 M2 M3, ledger.go the providers' side of it, stripe.go and stripe_events.go Stripe's
//	orders.go    O1 O2 O3 V1
//	settled.go   what is true of money by an operator's word
//	archive.go   what was archived, and the proofs of it
//	facts.go     E1 E2, queues.go the broker's side of it
//	timeline.go  T1
//	redis.go     R1: the walk; shelf.go, carts.go: what is compared
package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Options say where the places are that must agree.
type Options struct {
	Postgres  *postgres.DB
	Redis     redis.UniversalClient
	Namespace string                     // prefix of the Redis keys
	Broker    string                     // AMQP URL
	Queues    []string                   // full names of the queues that must be empty at rest
	Series    func(n int) string         // and of a series of queues, from 0 to the first that is not there; nil: there is none
	Hears     map[string][]string        // who must hear what: routing key (<strategy>.<fact>) to the modules that all tables bind to it
	Follows   map[string][]string        // what may be said on hearing a fact: <strategy>.<fact> to facts
	Ends      func() map[string][]string // what is said on every way to a state in which orders end: strategy/status/reason/payment/inventory to facts
	States    []string                   // what an order can be: strategy/status/reason/payment/inventory, as the tables allow
	Ledgers   []Ledger                   // the providers' own books, of each account that is configured; what was paid at others is skipped
	Archive   bool                       // read the documents of archived orders again, too
	Wait      time.Duration              // how long to wait for rest; 0: judge at once
	Cooldown  time.Duration              // rest means that nothing changed for so long; 10 s when 0, none when negative
	Grace     time.Duration              // how long after its deadline an order that has not ended counts as stuck; 3 min when 0
}

func (o Options) withDefaults() Options {
	if o.Cooldown == 0 {
		o.Cooldown = 10 * time.Second
	}
	if o.Grace == 0 {
		o.Grace = 3 * time.Minute
	}
	return o
}

// auditor is one run: what it was told, where it works, and what it judges.
type auditor struct {
	Options
	desk     *desk
	snap     *snapshot // nil until it is taken
	rest     rest
	deadline time.Time // when there is no more waiting
	unread   []string  // of which accounts the books are not on the desk, in words
}

// invariant is one of the promises of the contract and the way to prove it.
type invariant struct {
	id     string
	says   string
	atRest bool // true: only judged when nothing is under way
	prove  func(ctx context.Context, a *auditor, v *Verdict) error
}

// invariants are all of them, in the order in which they are reported. S and M and O come first: what breaks there tends to
// break what follows.
func invariants() []invariant {
	return []invariant{
		{"S1", "nothing is below zero", false, proveNothingNegative},
		{"S2", "stock is conserved", false, proveStockConserved},
		{"S3", "nothing is sold twice", false, proveNothingSoldTwice},
		{"M1", "nobody pays twice", false, proveNobodyPaysTwice},
		{"M2", "money is conserved", false, proveMoneyConserved},
		{"M3", "the books agree with the provider's", false, proveBooksAgree},
		{"O1", "no impossible state", false, proveNoImpossibleState},
		{"O2", "one order per idempotency key", false, proveOneOrderPerKey},
		{"O3", "every order has ended and holds nothing it should not", true, proveAllEnded},
		{"V1", "the read model says what the orders say", true, proveViewAgrees},
		{"E1", "every fact is heard once and every effect names its fact", false, proveHeardOnce},
		{"E2", "nothing is stuck", true, proveNothingStuck},
		{"T1", "an order's timeline is whole", true, proveTimelineWhole},
		{"R1", "Redis agrees with Postgres", true, proveRedisAgrees},
	}
}

// Run waits for rest, at most o.Wait, and gives one verdict per invariant. An error means that the audit could not be made;
// a broken invariant is no error.
func Run(ctx context.Context, o Options) (Report, error) {
	a := &auditor{Options: o.withDefaults()}
	began := time.Now()
	var err error
	if err := lookAtClock(ctx, o.Postgres); err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	if a.desk, err = sitDown(ctx, o.Postgres, o.Ledgers); err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	defer a.leave(ctx)
	if err := a.awaitRest(ctx); err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	if err := a.desk.catchUpLate(ctx, a.snap); err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	if err := a.lookForUnread(ctx); err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	report := Report{StartedAt: began.UTC(), AtRest: a.rest.reached(), Waiting: a.rest.waiting()}
	for _, i := range invariants() {
		v, err := a.judge(ctx, i)
		if err != nil {
			return Report{}, fmt.Errorf("audit: prove %s: %w", i.id, err)
		}
		report.Verdicts = append(report.Verdicts, v)
	}
	report.Seconds = time.Since(began).Seconds()
	return report, nil
}

func (a *auditor) leave(ctx context.Context) {
	if a.snap != nil {
		a.snap.close(ctx)
	}
	a.desk.leave(ctx)
}

func (a *auditor) judge(ctx context.Context, i invariant) (Verdict, error) {
	v := Verdict{ID: i.id, Says: i.says, Verdict: OK, Rows: []Row{}, Listed: []Row{}}
	if i.atRest && !a.rest.reached() {
		v.skip("no rest in time")
		return v, nil
	}
	began := time.Now()
	err := i.prove(ctx, a, &v)
	v.Seconds = time.Since(began).Seconds()
	return v, err
}
