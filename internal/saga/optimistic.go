package saga

import "github.com/holdfast-checkout/holdfast/internal/event"

// Optimistic reserves first: stock is taken, then money. A declined payment gives the stock back.
var Optimistic = Strategy{Name: "optimistic", Steps: append([]Step{
	{event.OrderCreated, reserve, says(event.StockReserved, event.StockFailed)},
	{event.StockReserved, charge, says(event.PaymentProcessed, event.PaymentFailed, event.PaymentUnknown)},
	{event.StockReserved, advance, says(event.OrderUpdated, event.OrderCompleted)},
	{event.StockFailed, fail, says(event.OrderFailed, event.OrderCancelled, event.OrderUpdated)},
	{event.PaymentProcessed, advance, says(event.OrderCompleted, event.OrderUpdated)},
	{event.PaymentFailed, release, says(event.StockReleased)},
	{event.PaymentFailed, unwind, says(event.OrderUpdated, event.OrderFailed, event.OrderCancelled)},
}, choreography...)}
