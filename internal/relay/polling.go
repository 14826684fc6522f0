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
	// soonest and latest bound the pause before asking again while rows come.
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
	making  bool   // this instance makes a slot, and polls until it is made
	out     extent // what is published; at or ahead of what is noted
	noted   string
	notedAt time.Time
}

// run polls until ctx ends or the term is over. Then it notes what it has carried since it noted last.
func (p *poller) run(ctx context.Context) error {
	defer func() {
		_ = p.note(context.WithoutCancel(ctx), "what is noted stays behind what is published", p.store)
	}()
	if !p.making {
		if err := p.takeOver(ctx); err != nil {
			return err
		}
	}
	again, checked := soonest, time.Now()
	for {
		if !p.making && time.Since(checked) > p.PollInterval {
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
		if p.making {
			wait = min(wait, makerPoll) // nobody rings
		}
		if p.out.String() != p.noted {
			wait = min(wait, markPause)
		}
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

// poll publishes what has been committed since the poll before, whatever else is open: of transactions that are still under way
// nothing can be seen. It tells how many rows, and whether more were committed meanwhile.
func (p *poller) poll(ctx context.Context) (rows int, more bool, err error) {
	h, err := p.horizon(ctx)
	if err != nil {
		return 0, false, err
	}
	if p.out.xmax == 0 {
		p.out = h.published
	}
	before := p.out.and(h.mark)
	rows, err = p.belt.carry(ctx, before.until(h.now), func(ctx context.Context, below uint64) error {
		p.out = before.towards(h.now, below)
		return p.storeAtTimes(ctx)
	})
	if err != nil {
		return rows, false, err
	}
	p.out = before.towards(h.now, h.now.xmax)
	err = p.DB.QueryRow(ctx, youngerSQL, p.out.xmax).Scan(&more)
	if err != nil {
		return rows, false, fmt.Errorf("look for younger rows: %w", err)
	}
	return rows, more, p.storeAtTimes(ctx)
}

// Of the last transaction there is, by the end of an index: whether there is any above one is planned as a scan.
const youngerSQL = `SELECT coalesce((SELECT xid FROM shared.outbox ORDER BY xid DESC LIMIT 1) >= $1::xid8, false)`

// storeAtTimes notes what is published less often than it changes: the leader itself goes on from what it knows.
func (p *poller) storeAtTimes(ctx context.Context) error {
	if time.Since(p.notedAt) < markPause {
		return nil
	}
	return p.store(ctx)
}

func (p *poller) store(ctx context.Context) error {
	out := p.out.String()
	if out == p.noted || p.out.xmax == 0 {
		return nil
	}
	if err := p.published(ctx, p.term, p.out); err != nil {
		return err
	}
	p.noted, p.notedAt = out, time.Now()
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
