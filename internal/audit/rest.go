package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// rest is what was seen when a snapshot was taken. Nothing that is under way keeps any promise that holds at rest, so such an
// audit is skipped. What is merely late (a message that waits, a fact unheard) is waited for as well; when it is still there
// once the time is up, with nothing moving any more, it is not late but stuck, and that is for the verdicts to say.
type rest struct {
	moving      []string // what is under way
	late        []string // what should be over
	final       bool     // no time is left to wait
	queues      []depth
	unreachable bool // the provider does not answer
}

func (r rest) reached() bool { return len(r.moving) == 0 && (len(r.late) == 0 || r.final) }

// waiting says what kept an audit from rest.
func (r rest) waiting() []string {
	if r.reached() {
		return nil
	}
	return append(r.moving, r.late...)
}

// awaitRest takes snapshots until one is at rest or no time is left; the last one is what is judged.
func (a *auditor) awaitRest(ctx context.Context) error {
	a.deadline = time.Now().Add(a.Wait)
	for {
		if err := a.look(ctx); err != nil {
			return err
		}
		left := time.Until(a.deadline)
		a.rest.final = left <= 0
		if a.rest.reached() || a.rest.final {
			return nil
		}
		a.snap.close(ctx)
		a.snap = nil
		if err := run.Pause(ctx, min(lookInterval, left)); err != nil {
			return err
		}
	}
}

// lookInterval is how often it is looked for rest.
const lookInterval = 500 * time.Millisecond

// look takes a snapshot and asks the cheap questions first; facts are counted only when nothing moves.
func (a *auditor) look(ctx context.Context) error {
	if err := a.desk.catchUp(ctx); err != nil {
		return err
	}
	var err error
	if a.snap, err = a.desk.open(ctx); err != nil {
		return err
	}
	a.rest = rest{}
	for _, ask := range []func(context.Context) error{a.lookAtOrders, a.lookForChanges, a.lookAtQueues, a.lookForUnheard} {
		if err := ask(ctx); err != nil {
			return err
		}
	}
	return nil
}

// underWay are the orders that have not ended, but for those that wait for a provider that does not answer ($1) and those
// that should have been ended long ago ($2): waiting ends neither.
const underWay = `
	SELECT count(*) FROM orders.orders
	WHERE status IN ('CREATED', 'PROCESSING', 'ENDING') AND deadline > now() - $2::interval
	  AND NOT ($1 AND payment_status = 'UNKNOWN')`

func (a *auditor) lookAtOrders(ctx context.Context) error {
	a.rest.unreachable = len(a.Ledgers) == 0 || a.desk.gone()
	n, err := a.snap.count(ctx, underWay, a.rest.unreachable, a.Grace)
	if n > 0 {
		a.rest.moving = append(a.rest.moving, fmt.Sprintf("%d orders are under way", n))
	}
	return err
}

// lastChange is when something was last said, heard, or put into a cart. Stock and orders change only with a fact being said.
// What seems to be still to come was before Postgres' clock was put back.
const lastChange = `
	SELECT greatest(
		(SELECT to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
		 FROM (SELECT id FROM shared.outbox WHERE id <= shared.uuid_from(now() + ` + clocks + `) ORDER BY id DESC LIMIT 1) newest),
		(SELECT max(at) FROM shared.inbox WHERE fact_id >= shared.uuid_from(now() - interval '15 minutes') AND at <= now() + ` + clocks + `),
		(SELECT max(changed_at) FROM cart.carts WHERE changed_at <= now() + ` + clocks + `))`

func (a *auditor) lookForChanges(ctx context.Context) error {
	var last *time.Time
	if err := a.snap.tx.QueryRow(ctx, lastChange).Scan(&last); err != nil {
		return fmt.Errorf("look for the last change: %w", err)
	}
	if last != nil && a.snap.at.Sub(*last) < a.Cooldown {
		a.rest.moving = append(a.rest.moving, fmt.Sprintf("something changed at %s, and the cooldown is %s", last.UTC().Format(time.RFC3339Nano), a.Cooldown))
	}
	return nil
}

// lookAtQueues asks the broker. What cannot be asked is not known to rest.
func (a *auditor) lookAtQueues(ctx context.Context) error {
	var err error
	if a.rest.queues, err = depths(ctx, a.Broker, a.Queues, a.Series); err != nil {
		a.rest.moving = append(a.rest.moving, err.Error())
		return ctx.Err()
	}
	for _, d := range a.rest.queues {
		if d.Messages > 0 {
			a.rest.late = append(a.rest.late, fmt.Sprintf("%d messages wait in %s", d.Messages, d.Queue))
		}
	}
	return nil
}

func (a *auditor) lookForUnheard(ctx context.Context) error {
	if len(a.rest.moving) > 0 {
		return nil
	}
	n, err := a.snap.count(ctx, `SELECT count(*) FROM (`+unheard+`) u`, a.bound()...)
	if n > 0 {
		a.rest.late = append(a.rest.late, fmt.Sprintf("%d facts were said and are unheard", n))
	}
	return err
}
