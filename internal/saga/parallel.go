package saga

import "github.com/holdfast-checkout/holdfast/internal/event"

// Parallel asks for stock and money at the same time. Whichever side fails first has the other one give back what it has, or
// leave a tombstone, by which it undoes itself if it succeeds later.
var Parallel = Strategy{Name: "parallel", Steps: append([]Step{
	{event.OrderCreated, reserve, says(event.StockReserved, event.StockFailed)},
	{event.OrderCreated, charge, says(event.PaymentProcessed, event.PaymentFailed, event.PaymentUnknown)},
	{event.StockReserved, advance, says(event.OrderUpdated, event.OrderCompleted)},
	{event.PaymentProcessed, advance, says(event.OrderUpdated, event.OrderCompleted)},
	{event.StockFailed, giveBack, says(event.PaymentRefunded, event.PaymentVoided)},
	{event.StockFailed, unwind, says(event.OrderUpdated, event.OrderFailed, event.OrderCancelled)},
	{event.PaymentFailed, release, says(event.StockReleased)},
	{event.PaymentFailed, unwind, says(event.OrderUpdated, event.OrderFailed, event.OrderCancelled)},
}, choreography...)}
