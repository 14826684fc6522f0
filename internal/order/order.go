package order

import (
	"cmp"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Line is one line of an order, with the name and the price of the moment in which it was made.
type Line struct {
	ProductID      uuid.UUID `json:"product_id"`
	SKU            string    `json:"sku"`
	Name           string    `json:"name"`
	Quantity       int64     `json:"quantity"`
	UnitPriceMinor int64     `json:"unit_price_minor"`
}

// State is all of an order that facts change. Its methods are the order's rules: each hears one fact, in whatever order facts
// come and however often.
type State struct {
	Status    Status
	Payment   PaymentStatus
	Inventory InventoryStatus
	Reason    Reason // "" while it has not failed; an order that is ending without one is being cancelled
	OwesStock bool   // ending, and inventory has yet to give back
	OwesMoney bool   // ending, and payment has yet to give back

	Asked event.Name // what was last asked of another module, where order conducts them; "" where it does not
}

// Order is one purchase.
type Order struct {
	ID       uuid.UUID
	Customer string
	Strategy string
	HoldID   uuid.UUID // zero: no units are held in Redis
	CartID   uuid.UUID // zero: bought without a cart
	State
	Terms     event.Terms
	Version   int64
	Deadline  time.Time
	CreatedAt time.Time
	EndedAt   *time.Time
	Lines     []Line // set when the order is made and in the read model; not loaded by verbs
}

// Advance hears a step forward; with stock and money both there, the order is complete.
func (s *State) Advance(fact event.Name) {
	s.note(fact)
	if s.underWay() {
		s.Status = Processing
		if s.Inventory == InventoryReserved && s.Payment == PaymentSuccess {
			s.Status = Completed
		}
	}
	s.finish()
}

// Fail hears that a step failed before anything was held: the order has failed.
func (s *State) Fail(fact event.Name) {
	s.note(fact)
	if s.underWay() {
		s.Status, s.Reason = Ending, reasonOf(fact)
	}
	s.finish()
}

// Unwind hears that a step failed while the other side holds something: the order waits until that is given back.
func (s *State) Unwind(fact event.Name) {
	s.note(fact)
	if s.underWay() {
		s.Status, s.Reason = Ending, reasonOf(fact)
		s.OwesStock = fact == event.PaymentFailed && !s.Inventory.settled()
		s.OwesMoney = fact == event.StockFailed && !s.Payment.settled()
		s.refunding()
	}
	s.finish()
}

// Settle hears that something was given back.
func (s *State) Settle(fact event.Name) {
	s.note(fact)
	s.finish()
}

// Orchestrate hears an answer, the order's beginning or its ending, and decides what is asked for next.
func (s *State) Orchestrate(fact event.Name) {
	switch fact {
	case event.StockFailed:
		s.Fail(fact)
	case event.PaymentFailed:
		s.Unwind(fact)
	default:
		s.Advance(fact)
	}
	if next := s.next(); next != "" {
		s.Asked = next
	}
}

// next is what another module is to do now: forward stock first, then money; back in reverse, each once the one before it is done.
func (s *State) next() event.Name {
	switch {
	case s.underWay() && s.Inventory == InventoryNotStarted:
		return event.StockReserveRequested
	case s.underWay() && s.Inventory == InventoryReserved && s.Payment.open():
		return event.PaymentChargeRequested
	case s.Status == Ending && s.OwesMoney:
		return event.PaymentRefundRequested
	case s.Status == Ending && s.OwesStock:
		return event.StockReleaseRequested
	}
	return ""
}

// TimeOut ends an order that has not ended: both sides are asked to give back. It says whether there was anything to end.
func (s *State) TimeOut() bool {
	return s.underWay() && s.end(TimedOut)
}

// Cancel ends an order that has not ended, or that is complete: both sides are asked to give back. It says whether there was
// anything to end.
func (s *State) Cancel() bool {
	return (s.underWay() || s.Status == Completed) && s.end("")
}

// Cancelling says whether the order was cancelled, or will be once all is given back. One that ends for a reason has failed.
func (s *State) Cancelling() bool {
	return s.Status == Cancelled || s.Status == Ending && s.Reason == ""
}

// end asks both sides to give back what they hold.
func (s *State) end(why Reason) bool {
	s.Status, s.Reason = Ending, why
	s.OwesStock, s.OwesMoney = !s.Inventory.settled(), !s.Payment.settled()
	s.refunding()
	s.finish()
	return true
}

func (s *State) underWay() bool { return s.Status == Created || s.Status == Processing }

// note keeps what a fact says of stock or money. A later state is never overwritten by an earlier one.
func (s *State) note(fact event.Name) {
	switch fact {
	case event.StockReserved:
		if s.Inventory == InventoryNotStarted {
			s.Inventory = InventoryReserved
		}
		if s.underWay() && s.Payment == PaymentNotStarted {
			s.Payment = PaymentPending
		}
	case event.StockFailed:
		if s.Inventory == InventoryNotStarted {
			s.Inventory, s.OwesStock = InventoryOutOfStock, false
		}
	case event.StockReleased:
		if s.Inventory != InventoryOutOfStock && s.Status != Completed {
			s.Inventory, s.OwesStock = InventoryReleased, false
		}
	default:
		s.notePayment(fact)
	}
}

func (s *State) notePayment(fact event.Name) {
	switch fact {
	case event.PaymentProcessed:
		if s.Payment.open() {
			s.Payment = PaymentSuccess
			s.refunding()
		}
	case event.PaymentUnknown:
		if s.Payment == PaymentNotStarted || s.Payment == PaymentPending {
			s.Payment = PaymentUnknown
		}
	case event.PaymentFailed:
		if s.Payment.open() {
			s.Payment, s.OwesMoney = PaymentDeclined, false
		}
	case event.PaymentRefunded:
		s.Payment, s.OwesMoney = PaymentRefunded, false
	case event.PaymentVoided:
		if !s.Payment.settled() {
			s.Payment, s.OwesMoney = PaymentVoided, false
		}
	}
}

// refunding shows that the money of an ending order is on its way back.
func (s *State) refunding() {
	if s.OwesMoney && s.Payment == PaymentSuccess {
		s.Payment = PaymentRefunding
	}
}

// finish makes an ending order final once nothing of it is held.
func (s *State) finish() {
	switch {
	case s.Status != Ending || s.OwesStock || s.OwesMoney:
	case s.Reason == "":
		s.Status = Cancelled
	default:
		s.Status = Failed
	}
}

func reasonOf(fact event.Name) Reason {
	if fact == event.StockFailed {
		return OutOfStock
	}
	return PaymentFailed
}

// SaysEnding is the fact that tells that a person or the clock has ended the order.
func (s *State) SaysEnding() event.Name {
	if s.Status == Ending {
		return event.OrderEnding
	}
	return s.Says() // nothing was held, and nothing will be
}

// Says is the fact that tells of the order's present state after a change.
func (s *State) Says() event.Name {
	switch s.Status {
	case Completed:
		return event.OrderCompleted
	case Failed:
		return event.OrderFailed
	case Cancelled:
		return event.OrderCancelled
	default:
		return event.OrderUpdated
	}
}

// advanced counts a change of state, made now.
func (o *Order) advanced(now time.Time) {
	o.Version++
	if !o.Status.Final() {
		o.EndedAt = nil // one that was complete may be cancelled
	} else if o.EndedAt == nil {
		if now.Before(o.CreatedAt) { // the clock was put back while it was under way
			now = o.CreatedAt
		}
		utc := now.UTC()
		o.EndedAt = &utc
	}
}

// endingReason is why an order is ending: why it fails, or that it was cancelled.
func (o *Order) endingReason() string {
	if o.Status != Ending {
		return ""
	}
	return cmp.Or(string(o.Reason), string(Cancelled))
}

// state is what the order's facts carry.
func (o *Order) state() event.OrderState {
	return event.OrderState{
		Version: o.Version, Customer: o.Customer, Status: string(o.Status), PaymentStatus: string(o.Payment),
		InventoryStatus: string(o.Inventory), DisplayStatus: o.Display(), FailureReason: string(o.Reason),
		EndingReason: o.endingReason(), HoldID: o.HoldID, TotalMinor: o.Terms.TotalMinor, Currency: o.Terms.Currency, EndedAt: o.EndedAt,
	}
}

// news is what a fact says of the order's present state. A final one has its lines.
func (o *Order) news() any {
	if !o.Status.Final() {
		return o.state()
	}
	end := event.OrderEnd{OrderState: o.state(), Lines: make([]event.SoldLine, len(o.Lines))}
	for i, l := range o.Lines {
		end.Lines[i] = event.SoldLine(l)
	}
	return end
}

// request asks another module for what the order needs next, on hearing f. The lines of the order are in the fact that began it.
func (o *Order) request(f event.Fact) event.Fact {
	if f.Name == event.OrderCreated && o.Asked == event.StockReserveRequested {
		return f.Answer(o.Asked, f.Data)
	}
	return f.Answer(o.Asked, event.Order{Customer: o.Customer, HoldID: o.HoldID, Lines: []event.OrderLine{}, Terms: o.Terms})
}
