package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/run"
)

const (
	leaseName = "relay"
	// soonest and latest bound the pause before asking again for rows of transactions that were still under way, or of
	// ones beside them.
	soonest, latest = 5 * time.Millisecond, 160 * time.Millisecond
)

// runPolling polls whenever this instance holds the lease, and rings for others all the time.
func (r *Relay) runPolling(ctx context.Context) error {
	return together(ctx, r.ringing, func(ctx context.Context) error {
		return r.Lease.Run(ctx, leaseName, r.leadPolling)
	})
}

func (r *Relay) leadPolling(ctx context.Context, term lease.Term) error {
	if err := r.recognise(ctx, term); err != nil {
		return err
	}
	defer r.lead(term)()
	p := &poller{Relay: r, belt: newBelt(r), term: term}
	return together(ctx, p.belt.run, r.listening, p.run)
}

// poller is the state of one leader.
type poller struct {
	*Relay
	belt    *belt
	term    lease.Term
	cursor  uint64 // all below is published; at or ahead of the stored mark
	stored  uint64
	storedA time.Time
}

// run polls until ctx ends or the term is over. Then it notes what it has carried since the mark was last written.
func (p *poller) run(ctx context.Context) error {
	defer func() {
		_ = p.note(context.WithoutCancel(ctx), "the mark stays behind what is published", func(ctx context.Context) error {
			return p.store(ctx, false)
		})
	}()
	if err := p.takeOver(ctx); err != nil {
		return err
	}
	again, checked := soonest, time.Now()
	for {
		if time.Since(checked) > p.PollInterval {
			if err := p.takeOver(ctx); err != nil {
				return err
			}
			checked = time.Now()
		}
		n, more, err := p.poll(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			again = soonest
		}
		wait := p.PollInterval
		if more {
			wait, again = again, min(2*again, latest)
		}
		if err := p.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// sleep waits for a ring or for its time. A ring during the poll before counts.
func (p *poller) sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.wake:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// poll publishes what has been committed and tells how many rows, and whether there are rows that could not be taken yet
// because an older transaction is under way: an id that is free for its row may still come.
func (p *poller) poll(ctx context.Context) (rows int, more bool, err error) {
	h, err := p.horizon(ctx)
	if err != nil {
		return 0, false, err
	}
	p.cursor = max(p.cursor, h.mark)
	if h.xmin > p.cursor {
		if rows, err = p.belt.carry(ctx, p.cursor, h.xmin, p.passed); err != nil {
			return rows, false, err
		}
		p.cursor = h.xmin
	}
	err = p.DB.QueryRow(ctx, youngerSQL, p.cursor).Scan(&more)
	if err != nil {
		return rows, false, fmt.Errorf("look for younger rows: %w", err)
	}
	return rows, more, p.store(ctx, rows > 0 && more)
}

// Of the last transaction there is, by the end of an index: whether there is any above one is planned as a scan.
const youngerSQL = `SELECT coalesce((SELECT xid FROM shared.outbox ORDER BY xid DESC LIMIT 1) >= $1::xid8, false)`

// passed notes that everything below a transaction is published.
func (p *poller) passed(ctx context.Context, below uint64) error {
	p.cursor = max(p.cursor, below)
	return p.store(ctx, false)
}

// store moves the mark, less often while rows flow: the leader itself goes on from its cursor.
func (p *poller) store(ctx context.Context, flowing bool) error {
	if p.cursor == p.stored || flowing && time.Since(p.storedA) < markPause {
		return nil
	}
	if err := p.advance(ctx, p.term, p.cursor, 0); err != nil {
		return err
	}
	p.stored, p.storedA = p.cursor, time.Now()
	return nil
}

// takeOver drops the slot that cdc mode has left, which would keep the log for ever, and waits while it is still read: then
// an instance in cdc mode does the work.
func (p *poller) takeOver(ctx context.Context) error {
	told := false
	for {
		slot, err := p.inspectSlot(ctx)
		if err != nil {
			return err
		}
		if !slot.there {
			return nil
		}
		if !slot.active {
			err := p.dropSlot(ctx)
			if err == nil {
				p.Log.Info("dropped the slot of cdc mode", "slot", p.slot)
				return nil
			}
			if !errors.Is(standBy(err), errStandBy) {
				return err
			}
		}
		if !told {
			told = true
			p.Log.Warn("relay stands by", "error", errStandBy)
		}
		if run.Pause(ctx, standByPause) != nil {
			return ctx.Err()
		}
	}
}
