package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// What an operator may do about a payment.
const (
	actRetry  = "retry"  // do now what is to be done
	actClose  = "close"  // have the provider end the charge's key: it is charged already, or never will be
	actAdopt  = "adopt"  // ask the provider now, and hear what it has
	actSettle = "settle" // a person knows what is true of the money: see said.go
)

// Act is something that an operator does about a payment.
type Act struct {
	Name    string
	By      string // whose token it is
	Reason  string // with settle
	Outcome string // with settle: what is true outside
	Unasked bool   // with settle: though the provider cannot be asked
}

// askedNow is what an operator is told while somebody else is asking the provider: two must not act on different answers.
func askedNow() error {
	e := fault.New(fault.Conflict, "The provider is being asked about this payment right now. Try again in a moment.")
	e.RetryAfter = 5 * time.Second
	return e
}

// Act does it, in the caller's time, under a claim like any charger's. What was done already is done, and changes nothing.
func (c *Charger) Act(ctx context.Context, order uuid.UUID, act Act) (Shown, error) {
	before, err := c.Show(ctx, order)
	if err != nil {
		return Shown{}, err
	}
	if done, err := act.fits(before); done || err != nil {
		return before, err
	}
	r, refused, err := c.actAt(ctx, before, act)
	if err != nil {
		return Shown{}, err
	}
	c.options.Log.WarnContext(ctx, "an operator has seen to a payment", "order_id", order, "act", act.Name, "by", act.By, "reason", act.Reason,
		"said", act.Outcome, "answer", r.outcome.Verdict, "err", r.err)
	after, err := c.Show(ctx, order)
	switch {
	case err != nil:
		return Shown{}, err
	case refused != nil:
		return Shown{}, refused
	case r.err != nil:
		return Shown{}, fault.New(fault.Unavailable, "The provider gave no answer that settles it: %s", lastError(r.err)).Because(r.err)
	case act.Name == actAdopt && after.State == before.State:
		return Shown{}, fault.New(fault.Conflict, "The provider has nothing of this payment that is not known here.")
	}
	return after, nil
}

// actAt does it where the payment was made.
func (c *Charger) actAt(ctx context.Context, s Shown, act Act) (r result, refused, err error) {
	at := c.at(ctx, s.account())
	if at == nil {
		if act.Name != actSettle {
			return r, nil, notConfigured(s.account())
		}
		at = c.unreached(s.account())
	}
	select {
	case at.slots <- struct{}{}:
		defer at.freeSlots(1)
	case <-ctx.Done():
		return r, nil, ctx.Err()
	}
	claimed, err := claimOf(ctx, at.db, at.claimable(), s.OrderID, at.options.Lease, at.options.KeyMemory)
	if err != nil {
		return r, nil, err
	}
	if len(claimed) == 0 {
		return r, nil, askedNow()
	}
	r, refused = at.perform(ctx, claimed[0], act)
	_, err = at.settle(ctx, []result{r})
	return r, refused, err
}

// fits says whether the act was done already, or why the payment's state does not allow it. Under the claim it is looked at again.
func (a Act) fits(s Shown) (done bool, err error) {
	switch {
	case a.Name == actSettle:
		return a.settles(s)
	case a.Name == actClose && (s.State == Voided || s.State == Declined):
		return true, nil
	case s.State.UnderWay() && (a.Name != actClose || s.State != Refunding):
		return false, nil
	}
	return false, fault.New(fault.Conflict, "A payment that is %s cannot be seen to by %s.", s.State, a.Name)
}

// perform asks the provider what the act calls for. refused says why it was not done, though there is an answer.
func (c *cashier) perform(ctx context.Context, task *row, act Act) (r result, refused error) {
	if _, refused = act.fits(task.shown()); refused != nil { // it has moved since it was shown
		return c.call(ctx, task), refused
	}
	task.act = &act
	var outcome Outcome
	var err error
	switch act.Name {
	case actClose:
		outcome, err = c.through(ctx, "close", Provider.Close, task)
	case actAdopt:
		outcome, err = c.through(ctx, "lookup", Provider.Lookup, task)
	case actSettle:
		return c.settleSaid(ctx, task, act)
	default:
		return c.call(ctx, task), nil
	}
	return result{task, outcome, err}, nil
}

// shown is a claimed payment as far as acts look at it.
func (p *row) shown() Shown {
	return Shown{OrderID: p.OrderID, State: p.State, RefundID: p.RefundID, GivingBack: p.Undone(), Provider: p.Account.Provider, Account: p.Account.ID}
}

// done is an act with the state that it has led to.
type done struct {
	Act
	order uuid.UUID
	state State
}

const actsSQL = `
	INSERT INTO payment.acts (id, order_id, act, by, reason, state, outcome)
	SELECT id, order_id, act, by, reason, state, nullif(outcome, '')
	FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) AS a(id, order_id, act, by, reason, state, outcome)`

// keepActs writes down what operators have done.
func keepActs(batch *pgx.Batch, acts []done) {
	if len(acts) == 0 {
		return
	}
	var ids, orders []uuid.UUID
	var names, by, reasons, states, outcomes []string
	for _, a := range acts {
		ids, orders = append(ids, clock.NewID()), append(orders, a.order)
		names, by = append(names, a.Name), append(by, a.By)
		reasons, states, outcomes = append(reasons, a.Reason), append(states, string(a.state)), append(outcomes, a.Outcome)
	}
	batch.Queue(actsSQL, ids, orders, names, by, reasons, states, outcomes)
}

// ShownAct is something that an operator has done about a payment.
type ShownAct struct {
	ID      uuid.UUID `json:"id" validate:"required" format:"uuid"`
	Act     string    `json:"act" validate:"required" enums:"retry,close,adopt,settle"`
	By      string    `json:"by" validate:"required"` // whose token it was
	Reason  string    `json:"reason,omitempty"`
	State   State     `json:"state" validate:"required" swaggertype:"string"`         // of the payment, after it
	Outcome string    `json:"outcome,omitempty" enums:"charged,not_charged,refunded"` // with settle: what is true outside
	At      time.Time `json:"at" validate:"required" format:"date-time"`
} //	@name	PaymentAct

// acts gives what operators have done about an order's payment, the newest first.
func (c *Charger) acts(ctx context.Context, order uuid.UUID) ([]ShownAct, error) {
	rows, err := c.db.Query(ctx, `SELECT id, act, by, reason, state, coalesce(outcome, ''), at FROM payment.acts WHERE order_id = $1 ORDER BY at DESC, id DESC LIMIT 100`, order)
	if err != nil {
		return nil, fmt.Errorf("what was done about order %s: %w", order, err)
	}
	acts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ShownAct])
	if err != nil {
		return nil, fmt.Errorf("what was done about order %s: %w", order, err)
	}
	for i := range acts {
		acts[i].At = acts[i].At.UTC()
	}
	return acts, nil
}
