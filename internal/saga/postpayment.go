package saga

import "github.com/holdfast-checkout/holdfast/internal/event"

// PostPayment charges first: money is taken, then stock. When the stock cannot be had the money goes back.
var PostPayment = Strategy{Name: "post-payment", Steps: append([]Step{
	{event.OrderCreated, charge, says(event.PaymentProcessed, event.PaymentFailed, event.PaymentUnknown)},
	{event.PaymentProcessed, reserve, says(event.StockReserved, event.StockFailed)},
	{event.PaymentProcessed, advance, says(event.OrderUpdated, event.OrderCompleted)},
	{event.PaymentFailed, fail, says(event.OrderFailed, event.OrderCancelled, event.OrderUpdated)},
	{event.StockReserved, advance, says(event.OrderCompleted, event.OrderUpdated)},
	{event.StockFailed, giveBack, says(event.PaymentRefunded, event.PaymentVoided)},
	{event.StockFailed, unwind, says(event.OrderUpdated, event.OrderFailed, event.OrderCancelled)},
}, choreography...)}
