package saga

import (
	"slices"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// choreography is what is the same wherever nobody conducts: a payment whose outcome is asked for is shown; an order that is ended
// from outside (its time is over, its customer has cancelled it) is given back by both sides.
var choreography = slices.Concat([]Step{
	{event.PaymentUnknown, advance, says(event.OrderUpdated)},

	{event.OrderEnding, release, says(event.StockReleased)},
}, settling, followers)

// settling is how an order is given back by payment, and comes to its end.
var settling = []Step{
	{event.OrderEnding, giveBack, says(event.PaymentVoided, event.PaymentRefunded)},
	{event.StockReleased, settle, says(event.OrderFailed, event.OrderCancelled, event.OrderUpdated)},
	{event.PaymentVoided, settle, says(event.OrderFailed, event.OrderCancelled, event.OrderUpdated)},
	{event.PaymentRefunded, settle, says(event.OrderFailed, event.OrderCancelled, event.OrderUpdated)},
}

// followers are the same in every strategy: the read model, and the shelf, which keeps Redis with the books.
var followers = append([]Step{
	{event.StockReserved, shelve, nil},
	{event.StockReleased, shelve, nil},
}, ends...)

// ends are what followers hear of orders. What they hear of stock depends on who moves it.
var ends = []Step{
	{event.OrderUpdated, show, nil},
	{event.OrderEnding, show, nil},
	{event.OrderCompleted, show, nil},
	{event.OrderFailed, show, nil},
	{event.OrderCancelled, show, nil},

	{event.StockFailed, shelve, nil},
	{event.OrderFailed, shelve, nil},
	{event.OrderCancelled, shelve, nil},
}

// shop is the table of the facts that belong to no order.
var shop = Strategy{Name: event.Shop, Steps: []Step{
	{event.StockCreated, shelve, nil},
	{event.StockAdjusted, shelve, nil},
}}

// next are strategies that only a build with the tag nextbuild has, for trying two versions side by side.
var next []Strategy

// All are the strategies.
func All() []Strategy {
	return append([]Strategy{Optimistic, PostPayment, Parallel, Orchestrated, Sequenced, Pessimistic}, next...)
}
