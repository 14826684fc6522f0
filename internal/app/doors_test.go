package app

import (
	"context"
	"errors"
	"sync"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// doors is the stage's provider, whose answers to charges the test lets through one by one.
type doors struct {
	payment.Provider
	charger *payment.Charger
	closed  sync.Map // an order's id: the *door before the answer to its charge
}

// door stands before an answer.
type door struct {
	done  chan struct{} // closed once the provider has charged, or declined
	open  chan struct{} // closed to let its answer through
	over  chan struct{} // closed when whoever asked is done with it
	heard []event.Fact  // that were said then
	err   error
	lost  bool // the answer is not let through
}

var errAnswerLost = errors.New("the answer was lost")

// doors puts them between the stage's charger and its provider.
func (s *stage) doors() *doors {
	d := &doors{Provider: s.modules.provider}
	d.charger = payment.NewCharger(s.db, d, payment.ChargerOptions{Log: s.log})
	return d
}

// Charge charges, and answers when the door is opened.
func (d *doors) Charge(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	outcome, err := d.Provider.Charge(ctx, in)
	if before, closed := d.closed.LoadAndDelete(in.OrderID); closed {
		at := before.(*door)
		close(at.done)
		<-at.open
		if at.lost {
			return payment.Outcome{}, errAnswerLost
		}
	}
	return outcome, err
}

// shut closes the door before the answer to an order's first charge.
func (d *doors) shut(order uuid.UUID, lost bool) *door {
	at := &door{done: make(chan struct{}), open: make(chan struct{}), over: make(chan struct{}), lost: lost}
	d.closed.Store(order, at)
	return at
}

// charge has an order charged, behind a door that was shut.
func (d *doors) charge(ctx context.Context, order uuid.UUID, at *door) {
	go func() {
		defer close(at.over)
		at.heard, at.err = d.charger.ChargeNow(ctx, order)
	}()
}

// ask has an order charged behind a shut door, and comes back when the provider has done it.
func (d *doors) ask(ctx context.Context, order uuid.UUID, lost bool) *door {
	at := d.shut(order, lost)
	d.charge(ctx, order, at)
	select {
	case <-at.done:
	case <-at.over: // it was not asked
	}
	return at
}

// answer lets the answer through, and comes back when it was heard.
func (at *door) answer() error {
	close(at.open)
	<-at.over
	return at.err
}
