package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/event"
)

const (
	mostReleased = 200              // facts that are handed on at once
	mostOfARow   = 50               // and of one row, so that no row holds up the others
	sentFor      = 30 * time.Second // how long a fact that was handed on may take to be handled before that is done again
	publishWait  = 10 * time.Second // for the broker's confirms
)

// waiter is a fact that waits.
type waiter struct {
	ID     uuid.UUID
	Module string
	Body   []byte
}

// release puts what this version has a row for into the modules' queues, and forgets what they have handled. A fact stays until
// its module has: the queue's other consumer may be of the older version, and would store it here again.
func (r *Rollout) release(ctx context.Context) error {
	for more := true; more; {
		if r.Publisher.Ready() != nil {
			break // it says so itself
		}
		facts, err := r.claim(ctx)
		if err != nil {
			return err
		}
		if more = len(facts) == mostReleased; len(facts) == 0 {
			break
		}
		if err := r.send(ctx, facts); err != nil {
			return err
		}
	}
	return r.forget(ctx)
}

// claim takes facts that are due, each for one instance. What seems to be due in a long time was sent before Postgres' clock was
// put back.
func (r *Rollout) claim(ctx context.Context) ([]waiter, error) {
	rows, err := r.DB.Query(ctx, `
		WITH due AS (
			SELECT w.fact_id, w.module FROM unnest($1::text[], $2::text[], $3::int[]) AS k(module, key, version)
			CROSS JOIN (VALUES ('-infinity'::timestamptz, now()), (now() + $6::interval * 2, 'infinity')) AS r(above, until)
			CROSS JOIN LATERAL (
				SELECT * FROM shared.waiting_facts w
				WHERE w.module = k.module AND w.key = k.key AND w.due > r.above AND w.due <= r.until AND w.version <= k.version
				ORDER BY w.due LIMIT $4 FOR UPDATE SKIP LOCKED) AS w
			LIMIT $5)
		UPDATE shared.waiting_facts w SET due = now() + $6::interval, sent = true
		FROM due WHERE w.fact_id = due.fact_id AND w.module = due.module
		RETURNING w.fact_id, w.module, w.body`, r.modules, r.keys, r.versions, mostOfARow, mostReleased, sentFor)
	if err != nil {
		return nil, fmt.Errorf("look for facts that have waited for this version: %w", err)
	}
	facts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[waiter])
	if err != nil {
		return nil, fmt.Errorf("look for facts that have waited for this version: %w", err)
	}
	return facts, nil
}

// send publishes facts, each to the queue of its module. What the broker does not take in time is due again when its time is over.
func (r *Rollout) send(ctx context.Context, facts []waiter) error {
	messages := make([]broker.Message, len(facts))
	for i, f := range facts {
		messages[i] = broker.Message{ID: "waited/" + uuid.NewString(), Key: r.Topology.Queue(f.Module), ContentType: event.ContentType, Body: f.Body}
	}
	limited, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	if err := r.Publisher.Publish(limited, messages...); err != nil {
		return fmt.Errorf("hand on %d facts that had waited: %w", len(facts), err)
	}
	r.released.Add(float64(len(facts)))
	r.Log.InfoContext(ctx, "handed on facts that had waited for this version", "facts", len(facts), "first", facts[0].ID)
	return nil
}

// forget removes what was handed on, or is about to be given up, and has been handled or is a dead letter: that has a life of its own.
func (r *Rollout) forget(ctx context.Context) error {
	_, err := r.DB.InSteps(ctx, `
		WITH over AS (
			SELECT w.ctid FROM (SELECT fact_id, module FROM shared.waiting_facts WHERE sent
				UNION SELECT fact_id, module FROM shared.waiting_facts WHERE since < now() - $1::interval) AS old
			JOIN shared.waiting_facts w USING (fact_id, module) WHERE
				EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = w.fact_id AND i.module = w.module)
				OR EXISTS (SELECT FROM shared.dead_letters d WHERE d.fact_id = w.fact_id AND d.module = w.module AND d.replayed_at IS NULL)
			LIMIT $2 FOR UPDATE OF w SKIP LOCKED)
		DELETE FROM shared.waiting_facts WHERE ctid = ANY (ARRAY(SELECT ctid FROM over))`, r.Patience)
	if err != nil {
		return fmt.Errorf("forget facts that had waited and are handled: %w", err)
	}
	return nil
}

const mostGivenUp = 200 // facts that become dead letters at once

// giveUp makes dead letters of what has waited for too long. A fact that is on its way to a module that can take it is let go.
func (r *Rollout) giveUp(ctx context.Context) error {
	for more := true; more; {
		rows, err := r.DB.Query(ctx, `
			SELECT fact_id, module, body FROM shared.waiting_facts
			WHERE since < now() - $1::interval AND NOT sent ORDER BY since LIMIT $2`, r.Patience, mostGivenUp)
		if err != nil {
			return fmt.Errorf("look for facts that have waited for too long: %w", err)
		}
		facts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[waiter])
		if err != nil {
			return fmt.Errorf("look for facts that have waited for too long: %w", err)
		}
		if more = len(facts) == mostGivenUp; len(facts) == 0 {
			return nil
		}
		if err := r.bury(ctx, facts); err != nil {
			return err
		}
	}
	return nil
}

// bury makes dead letters of facts, which come first: what dies in between is done again, and is the same letters.
func (r *Rollout) bury(ctx context.Context, facts []waiter) error {
	cause := fmt.Errorf("no instance had a row for it within %s (--unknown-fact-patience)", r.Patience)
	letters, ids, modules := make([]broker.DeadLetter, len(facts)), make([]uuid.UUID, len(facts)), make([]string, len(facts))
	for i, f := range facts {
		letters[i] = broker.NewDeadLetter(f.Module, "", broker.ReasonExhausted, f.Body, cause)
		ids[i], modules[i] = f.ID, f.Module
	}
	if err := r.Bury(ctx, letters); err != nil {
		return err
	}
	_, err := r.DB.Exec(ctx, `
		DELETE FROM shared.waiting_facts w USING unnest($1::uuid[], $2::text[]) AS d(fact_id, module)
		WHERE w.fact_id = d.fact_id AND w.module = d.module AND NOT w.sent`, ids, modules)
	if err != nil {
		return fmt.Errorf("forget facts that have waited for too long: %w", err)
	}
	r.Log.ErrorContext(ctx, "facts became dead letters that no instance had a row for", "facts", len(facts), "first", ids[0], "patience", r.Patience)
	return nil
}
