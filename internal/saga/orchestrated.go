package saga

import "github.com/holdfast-checkout/holdfast/internal/event"

// Orchestrated has order conduct the others: it asks one at a time, hears the answer and decides what comes next, and has things
// undone in reverse. What it has asked for is in the order's row, so that a restart goes on where it was. Any answer may find
// the order ending meanwhile: then the money is asked back, and the stock once that is settled.
var Orchestrated = Strategy{Name: "orchestrated", Steps: append([]Step{
	{event.OrderCreated, orchestrate, says(event.OrderUpdated, event.StockReserveRequested, event.PaymentRefundRequested)},
	{event.StockReserveRequested, reserve, says(event.StockReserved, event.StockFailed)},
	{event.StockReserved, orchestrate, says(event.OrderUpdated, event.PaymentChargeRequested, event.PaymentRefundRequested)},
	{event.PaymentChargeRequested, charge, says(event.PaymentProcessed, event.PaymentFailed, event.PaymentUnknown)},
	{event.PaymentUnknown, orchestrate, says(event.OrderUpdated, event.PaymentRefundRequested)},
	{event.PaymentProcessed, orchestrate, says(event.OrderCompleted, event.OrderUpdated, event.PaymentRefundRequested)},

	{event.StockFailed, orchestrate, says(event.OrderFailed, event.OrderCancelled, event.OrderUpdated, event.PaymentRefundRequested)},
	{event.PaymentFailed, orchestrate, says(event.OrderUpdated, event.StockReleaseRequested)},
	{event.OrderEnding, orchestrate, says(event.OrderUpdated, event.PaymentRefundRequested, event.StockReleaseRequested)},
	{event.PaymentRefundRequested, giveBack, says(event.PaymentRefunded, event.PaymentVoided)},
	{event.PaymentRefunded, orchestrate, says(event.OrderFailed, event.OrderCancelled, event.OrderUpdated, event.StockReleaseRequested)},
	{event.PaymentVoided, orchestrate, says(event.OrderFailed, event.OrderCancelled, event.OrderUpdated, event.StockReleaseRequested)},
	{event.StockReleaseRequested, release, says(event.StockReleased)},
	{event.StockReleased, orchestrate, says(event.OrderFailed, event.OrderCancelled, event.OrderUpdated)},
}, followers...)}
