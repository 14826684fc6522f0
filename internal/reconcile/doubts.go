package reconcile

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// doubts are entries of holds that may be a change under way: units are held before the rows are written. An entry that is
// still the same after the cooldown, with still no rows for it, is not under way.
type doubts map[uuid.UUID]map[string]string // product to hold id to the entry that was seen

// mostDoubted is how many products are looked at again; what is beyond is left for the next run.
const mostDoubted = 10_000

// doubted notes an entry at the first look and says yes at the second if it is the same.
func (p *pass) doubted(product uuid.UUID, id, value string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.settled {
		seen, there := p.doubts[product][id]
		return there && seen == value
	}
	if p.doubts[product] == nil {
		if len(p.doubts) == mostDoubted {
			return false
		}
		p.doubts[product] = map[string]string{}
	}
	p.doubts[product][id] = value
	return false
}

// leave notes, at the second look, an entry that was seen at the first and can still not be judged: a later run is to look at it,
// for it may be what an attempt has left that nobody makes again, and no row that changes leads to it.
func (p *pass) leave(product uuid.UUID, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.doubts[product][id]; there && p.settled {
		p.restless = true
	}
}

// settleDoubts waits for the cooldown and looks a second time at the products that were doubted.
func (p *pass) settleDoubts(ctx context.Context) error {
	if len(p.doubts) == 0 {
		return nil
	}
	timer := time.NewTimer(p.Cooldown)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.settled, p.waited = true, p.Cooldown
	ids := make([]uuid.UUID, 0, len(p.doubts))
	for id := range p.doubts {
		ids = append(ids, id)
	}
	for chunk := range slices.Chunk(ids, page) {
		if err := p.comparePage(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}
