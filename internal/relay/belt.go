package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/run"
)

const (
	beltRows  = 4000     // rows that may wait on the belt
	beltBytes = 16 << 20 // and their bytes
	loadItems = 1000     // what is packed at once
)

// belt carries rows to the broker. Between the rows lie checkpoints: functions that are called once every row before them
// is confirmed, in order. It packs what is waiting and never waits for more.
type belt struct {
	*Relay
	mu    sync.Mutex
	items []item
	bytes int
	ready chan struct{} // holds a token when there are items
	space chan struct{} // holds a token when items were taken
}

// item is a row, or a checkpoint.
type item struct {
	row     row
	reached func()
}

// load is what was packed at once.
type load struct {
	receipts []*broker.Receipt
	facts    int
	reached  []func()
}

func newBelt(r *Relay) *belt {
	return &belt{Relay: r, ready: make(chan struct{}, 1), space: make(chan struct{}, 1)}
}

// full says that nothing should be put on the belt for now.
func (b *belt) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.items) >= beltRows || b.bytes >= beltBytes
}

func (b *belt) put(r row)               { b.lay(item{row: r}) }
func (b *belt) checkpoint(reach func()) { b.lay(item{reached: reach}) }

func (b *belt) lay(i item) {
	b.mu.Lock()
	b.items = append(b.items, i)
	b.bytes += len(i.row.body)
	b.mu.Unlock()
	poke(b.ready)
}

// putAll lays rows as there is room for them. While it waits it does something else from time to time.
func (b *belt) putAll(ctx context.Context, rows []row, meanwhile func(context.Context) error) error {
	for _, r := range rows {
		for b.full() {
			if _, err := await(ctx, b.space, meanwhile); err != nil {
				return err
			}
		}
		b.put(r)
	}
	return nil
}

// flush waits until everything on the belt is confirmed, and does something else from time to time.
func (b *belt) flush(ctx context.Context, meanwhile func(context.Context) error) error {
	done := make(chan struct{})
	b.checkpoint(func() { close(done) })
	for {
		if over, err := await(ctx, done, meanwhile); over || err != nil {
			return err
		}
	}
}

// await waits for something, but no longer than it takes until something else is to be done again.
func await(ctx context.Context, what <-chan struct{}, meanwhile func(context.Context) error) (came bool, err error) {
	timer := time.NewTimer(markPause)
	defer timer.Stop()
	select {
	case <-what:
		return true, nil
	case <-timer.C:
		return false, meanwhile(ctx)
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// run sends and awaits confirms until ctx ends. While the broker is away it stands still, full.
func (b *belt) run(ctx context.Context) error {
	loads := make(chan load, 64)
	return together(ctx,
		func(ctx context.Context) error { return b.send(ctx, loads) },
		func(ctx context.Context) error { return b.confirm(ctx, loads) })
}

// send hands out what is visible to others, packed.
func (b *belt) send(ctx context.Context, loads chan<- load) error {
	sight := &sight{Relay: b.Relay}
	defer sight.close(ctx)
	for {
		select {
		case <-b.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		for items := b.take(); len(items) > 0; items = b.take() {
			if err := b.sendAll(ctx, sight, items, loads); err != nil {
				return err
			}
		}
	}
}

func (b *belt) sendAll(ctx context.Context, sight *sight, items []item, loads chan<- load) error {
	for len(items) > 0 {
		n, err := sight.wait(ctx, items)
		if err != nil {
			return err
		}
		l, err := b.dispatch(ctx, items[:n])
		if err != nil {
			return err
		}
		select {
		case loads <- l:
		case <-ctx.Done():
			return ctx.Err()
		}
		items = items[n:]
	}
	return nil
}

func (b *belt) take() []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.items), loadItems)
	taken := b.items[:n:n]
	b.items = b.items[n:]
	for _, i := range taken {
		b.bytes -= len(i.row.body)
	}
	if n > 0 {
		poke(b.space)
	}
	return taken
}

// dispatch packs and sends what was taken.
func (b *belt) dispatch(ctx context.Context, items []item) (load, error) {
	var l load
	rows := make([]row, 0, len(items))
	for _, i := range items {
		if i.reached != nil {
			l.reached = append(l.reached, i.reached)
			continue
		}
		rows = append(rows, i.row)
	}
	l.facts = len(rows)
	for _, p := range pack(rows, b.PackFacts) {
		receipt, err := b.Publisher.Send(ctx, p.message(b.Topology.Exchange()))
		if errors.Is(err, broker.ErrUnpublishable) {
			if err := b.quarantine(ctx, p.rows[0], err); err != nil {
				return l, err
			}
			continue
		}
		if err != nil {
			return l, err
		}
		l.receipts = append(l.receipts, receipt)
	}
	return l, nil
}

// quarantine puts a row aside that can never be published, and does not go on before it is safe there. Only a message of one
// row can be too large.
func (b *belt) quarantine(ctx context.Context, r row, cause error) error {
	d := broker.NewDeadLetter("relay", r.key, broker.ReasonPermanent, r.body, cause)
	for {
		err := b.Quarantine(ctx, []broker.DeadLetter{d})
		if err == nil {
			b.m.quarantined.Inc()
			b.Log.Error("fact cannot be published and was put aside", "fact", r.id, "dead_letter", d.ID, "error", cause)
			return nil
		}
		b.Log.Warn("fact cannot be put aside yet", "fact", r.id, "error", err)
		if run.Pause(ctx, time.Second) != nil {
			return ctx.Err()
		}
	}
}

// confirm waits for the loads in the order in which they were sent, and passes their checkpoints.
func (b *belt) confirm(ctx context.Context, loads <-chan load) error {
	for {
		var l load
		select {
		case l = <-loads:
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, r := range l.receipts {
			if err := r.Wait(ctx); err != nil {
				return fmt.Errorf("await confirm: %w", err)
			}
		}
		for _, reached := range l.reached {
			reached()
		}
		b.m.facts.Add(float64(l.facts))
		b.m.messages.Add(float64(len(l.receipts)))
	}
}
