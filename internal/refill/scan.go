package refill

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/event"
)

const (
	pageRows     = 2000      // rows of the outbox that are read at once
	mostGaps     = 5000      // gaps that are looked at before some are published
	messageFacts = 100       // facts in one message
	messageBytes = 128 << 10 // bytes in a message of several
	chunkBytes   = 8 << 20   // bytes of bodies in memory; one fact at least
)

// gap is a fact that a module should have heard and has not.
type gap struct {
	id   uuid.UUID
	at   time.Time
	size int
}

// scan is how far the outbox has been looked through for one module.
type scan struct {
	xid   uint64 // transaction and
	id    uuid.UUID
	mark  uint64    // no fact of a transaction below is missing, as far as was looked
	open  bool      // mark is where the first missing one lies
	heard time.Time // when the youngest fact was said that it has heard
}

// row is a row of the outbox.
type row struct {
	gap
	xid     uint64
	key     string // routing key
	heard   bool   // by the module
	settled bool   // heard, or none of the module's, or a dead letter that is open or was given up, or waiting for another version
}

// collect looks for gaps from where it has come to, and says whether there is more to look through. Facts younger than the
// age are not judged, but for those that were said before Postgres' clock was put back.
func (r *Refiller) collect(ctx context.Context, s state, at *scan, seen *pages) (gaps []gap, more bool, err error) {
	before := s.Now.Add(-r.After)
	if s.ready() {
		before = *s.AskedAt
	}
	for len(gaps) < mostGaps {
		rows, err := r.read(ctx, s, *at, seen)
		if err != nil {
			return nil, false, err
		}
		young := 0
		for _, row := range rows {
			at.xid, at.id = row.xid, row.id
			if row.heard && row.at.After(at.heard) {
				at.heard = row.at
			}
			if row.settled {
				continue
			}
			if !at.open {
				at.open, at.mark = true, min(row.xid, s.Relayed)
			}
			if row.at.Before(before) || s.later(&row.at) {
				gaps = append(gaps, row.gap)
			} else {
				young++
			}
		}
		if len(rows) < pageRows || young > pageRows/2 {
			return gaps, false, nil
		}
	}
	return gaps, true, nil
}

// read judges the rows that follow, those of other modules among them: it is a page of the outbox that is bounded. What was
// heard is asked for by all ids at once, which costs a fraction of a join.
func (r *Refiller) read(ctx context.Context, s state, at scan, seen *pages) ([]row, error) {
	keys, err := r.keys(ctx, s.Module) // before the rows, which keep a connection until they are read
	if err != nil {
		return nil, err
	}
	rows, err := r.said(ctx, s, at, seen)
	if err != nil {
		return nil, err
	}
	bound := map[uuid.UUID]int{}
	for i, w := range rows {
		if rows[i].settled = !slices.Contains(keys, w.key); !rows[i].settled {
			bound[w.id] = i
		}
	}
	err = r.among(ctx, bound, `SELECT fact_id FROM shared.inbox WHERE module = $2 AND fact_id = ANY ($1)`, s.Module, func(i int) {
		rows[i].heard, rows[i].settled = true, true
	})
	if err != nil {
		return nil, fmt.Errorf("read inbox: %w", err)
	}
	err = r.among(ctx, bound, `
		SELECT fact_id FROM shared.dead_letters WHERE fact_id = ANY ($1) AND module IN ($2, 'relay') AND replayed_at IS NULL
		UNION ALL SELECT fact_id FROM shared.dead_letter_log WHERE fact_id = ANY ($1) AND module IN ($2, 'relay') AND action = 'delete'
		UNION ALL SELECT fact_id FROM shared.waiting_facts WHERE fact_id = ANY ($1) AND module = $2`, s.Module,
		func(i int) { rows[i].settled = true })
	if err != nil {
		return nil, fmt.Errorf("read what is seen to otherwise: %w", err)
	}
	return rows, nil
}

// keys are the routing keys that a module hears, in whichever version.
func (r *Refiller) keys(ctx context.Context, module string) ([]string, error) {
	keys := r.Broker.Topology.Keys(module)
	if r.Foreign == nil {
		return keys, nil
	}
	foreign, err := r.Foreign(ctx, module)
	return append(keys, foreign...), err
}

// among asks for some of the rows by their ids; those that are found leave the map.
func (r *Refiller) among(ctx context.Context, rows map[uuid.UUID]int, query, module string, found func(int)) error {
	if len(rows) == 0 {
		return nil
	}
	answer, err := r.DB.Query(ctx, query, slices.Collect(maps.Keys(rows)), module)
	if err != nil {
		return err
	}
	var id uuid.UUID
	_, err = pgx.ForEachRow(answer, []any{&id}, func() error {
		if i, there := rows[id]; there {
			found(i)
			delete(rows, id)
		}
		return nil
	})
	return err
}

// publish brings facts into the module's own queue, and into no other: what comes by it is heard like what comes by a lane.
func (r *Refiller) publish(ctx context.Context, module string, gaps []gap) error {
	for len(gaps) > 0 {
		n, bytes := 0, 0
		for n < len(gaps) && (n == 0 || bytes+gaps[n].size <= chunkBytes) {
			bytes += gaps[n].size
			n++
		}
		if err := r.publishChunk(ctx, module, gaps[:n]); err != nil {
			return err
		}
		gaps = gaps[n:]
	}
	return nil
}

// publishTimeout is how long a chunk may take to be confirmed.
const publishTimeout = 30 * time.Second

func (r *Refiller) publishChunk(ctx context.Context, module string, gaps []gap) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	bodies, err := r.bodies(ctx, gaps)
	if err != nil {
		return err
	}
	good := bodies[:0]
	for i, body := range bodies {
		if facts, err := event.Split(body); err != nil || len(facts) != 1 {
			err = errors.Join(err, errors.New("not one event"))
			d := broker.NewDeadLetter(module, "", broker.ReasonUndecodable, body, err)
			d.FactID = gaps[i].id // so that it is not looked for again
			if err := r.Quarantine(ctx, []broker.DeadLetter{d}); err != nil {
				return err
			}
			continue
		}
		good = append(good, body)
	}
	return r.Publisher.Publish(ctx, r.messages(module, good)...)
}

// bodies reads the events of gaps, in their order. One whose partition has gone is left out.
func (r *Refiller) bodies(ctx context.Context, gaps []gap) ([][]byte, error) {
	ids, times := make([]uuid.UUID, len(gaps)), make([]time.Time, len(gaps))
	for i, g := range gaps {
		ids[i], times[i] = g.id, g.at
	}
	rows, err := r.DB.Query(ctx, `
		SELECT o.body FROM unnest($1::uuid[], $2::timestamptz[]) WITH ORDINALITY AS g(id, at, n)
		JOIN shared.outbox o ON o.id = g.id AND o.at = g.at ORDER BY g.n`, ids, times)
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	return bodies, nil
}

// messages packs events for a module's queue.
func (r *Refiller) messages(module string, bodies [][]byte) []broker.Message {
	var all []broker.Message
	for len(bodies) > 0 {
		n, bytes := 0, 0
		for n < len(bodies) && (n == 0 || n < messageFacts && bytes+len(bodies[n]) <= messageBytes) {
			bytes += len(bodies[n])
			n++
		}
		m := broker.Message{
			ID: "refill/" + uuid.NewString(), Key: r.Broker.Topology.Queue(module), ContentType: event.ContentType, Body: bodies[0],
		}
		if n > 1 {
			m.ContentType, m.Body = event.BatchContentType, event.Batch(bodies[:n])
		}
		all, bodies = append(all, m), bodies[n:]
	}
	return all
}
