package payment

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Charger does what the verbs have written down, each thing at the account that it belongs to. Any number of them may run, in this
// process and in others. What was charged at an account that is not configured waits, and is shown.
type Charger struct {
	db       *postgres.DB
	cashiers []*cashier // the first charges, the others end what was begun before
	options  ChargerOptions
}

// NewCharger makes a charger that charges with a provider; Run runs it.
func NewCharger(db *postgres.DB, provider Provider, o ChargerOptions) *Charger {
	c := &Charger{db: db, options: o.withDefaults(), cashiers: []*cashier{newCashier(db, provider, true, o)}}
	for _, former := range o.Former {
		c.cashiers = append(c.cashiers, newCashier(db, former, false, o))
	}
	return c
}

// Wake says that something is due. It never blocks. What is due at a former account is found within the poll interval.
func (c *Charger) Wake() { c.cashiers[0].wake() }

// Run does what is due until ctx ends.
func (c *Charger) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, at := range c.cashiers {
		all.Go(func() { at.run(ctx) })
	}
	all.Wait()
	return nil
}

// ChargeNow does for one order, in the caller's time, what Run would soon do for it, and gives the facts that were said. When
// somebody is at it already, nothing is to be done, or the provider does not say who it is, it does nothing.
func (c *Charger) ChargeNow(ctx context.Context, order uuid.UUID) ([]event.Fact, error) {
	at := c.cashiers[0]
	if at.introduce(ctx) != nil {
		return nil, nil
	}
	return at.chargeNow(ctx, order)
}

// Introduce asks each provider which account it is, unless that is known; Run goes on asking.
func (c *Charger) Introduce(ctx context.Context) {
	var all sync.WaitGroup
	for _, at := range c.cashiers {
		all.Go(func() { _ = at.introduce(ctx) }) // the status says what has failed
	}
	all.Wait()
}

// introduce has the provider say which account it is.
func (c *cashier) introduce(ctx context.Context) error {
	_, err := c.identity.Learn(ctx, c.provider.Account)
	if err != nil {
		text := lastError(err)
		if before := c.failed.Swap(&text); before == nil || *before != text {
			c.options.Log.WarnContext(ctx, "a payment provider does not say which account it is: nothing is asked of it", "charges", c.charges, "error", err)
		}
	}
	return err
}

// longestIntroduction bounds the pause before a provider is asked again which account it is.
const longestIntroduction = 2 * time.Second

// identify asks until the provider has said which account it is, or ctx ends.
func (c *cashier) identify(ctx context.Context) {
	for pause := c.options.Poll; ctx.Err() == nil && c.introduce(ctx) != nil; pause = min(2*pause, longestIntroduction) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// claimable are the accounts whose payments it may take up: its own and, if it charges, that of what was asked for nowhere yet.
func (c *cashier) claimable() []Account {
	own, known := c.identity.Known()
	switch {
	case !known:
		return nil
	case c.charges:
		return []Account{own, {}}
	}
	return []Account{own}
}

// known are the accounts that have said who they are.
func (c *Charger) known() []Account {
	var accounts []Account
	for _, at := range c.cashiers {
		if a, known := at.identity.Known(); known && !slices.Contains(accounts, a) {
			accounts = append(accounts, a)
		}
	}
	return accounts
}

// waits says whether nobody here can ask for what was charged at an account.
func (c *Charger) waits(a Account) bool { return !a.none() && !slices.Contains(c.known(), a) }

// at gives the cashier of an account, nil if it is not configured or has not said that it is this one.
func (c *Charger) at(ctx context.Context, a Account) *cashier {
	if a.none() {
		if first := c.cashiers[0]; first.introduce(ctx) == nil {
			return first
		}
		return nil
	}
	for _, at := range c.cashiers {
		if at.introduce(ctx) == nil && slices.Contains(at.claimable(), a) {
			return at
		}
	}
	return nil
}

// errNotConfigured is why an account is not asked.
var errNotConfigured = errors.New("the account is not configured")

func notConfigured(a Account) error {
	return fault.New(fault.Conflict, "It was made at %s, which is not configured, or has not said yet that it is this one. Configure it (--former-provider), or settle the payment.", a).
		Because(errNotConfigured)
}

// unreached is a cashier of an account that nobody here can ask.
func (c *Charger) unreached(a Account) *cashier {
	at := newCashier(c.db, away{}, false, c.options)
	at.identity.known.Store(&a)
	return at
}

// away is a provider that cannot be asked.
type away struct{}

func (away) Account(context.Context) (Account, error)        { return Account{}, errNotConfigured }
func (away) Charge(context.Context, Intent) (Outcome, error) { return Outcome{}, errNotConfigured }
func (away) Refund(context.Context, Intent) (Outcome, error) { return Outcome{}, errNotConfigured }
func (away) Lookup(context.Context, Intent) (Outcome, error) { return Outcome{}, errNotConfigured }
func (away) Close(context.Context, Intent) (Outcome, error)  { return Outcome{}, errNotConfigured }
