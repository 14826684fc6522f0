package saga

import (
	"slices"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Sequenced reserves first, like optimistic, with the stock split by product over lanes: inventory asks the lanes of an order's
// lines, each lane takes its own, one order after the other, and the answers are gathered. What one lane cannot have the others
// give back.
var Sequenced = Strategy{Name: "sequenced", Steps: append([]Step{
	{event.OrderCreated, split, says(event.LaneReserveRequested)},
	{event.LaneReserveRequested, laneReserve, says(event.LaneReserved, event.LaneFailed)},
	{event.LaneReserved, gather, says(event.StockReserved, event.LaneReleaseRequested)},
	{event.LaneFailed, gather, says(event.StockFailed, event.StockReleased, event.LaneReleaseRequested)},
	{event.LaneReleaseRequested, laneRelease, says(event.LaneReleased)},
	{event.LaneReleased, gather, says(event.StockFailed, event.StockReleased)},

	{event.StockReserved, charge, says(event.PaymentProcessed, event.PaymentFailed, event.PaymentUnknown)},
	{event.StockReserved, advance, says(event.OrderUpdated, event.OrderCompleted)},
	{event.StockFailed, fail, says(event.OrderFailed, event.OrderCancelled, event.OrderUpdated)},
	{event.PaymentProcessed, advance, says(event.OrderCompleted, event.OrderUpdated)},
	{event.PaymentFailed, recall, says(event.LaneReleaseRequested, event.StockReleased)},
	{event.PaymentFailed, unwind, says(event.OrderUpdated, event.OrderFailed, event.OrderCancelled)},
	{event.PaymentUnknown, advance, says(event.OrderUpdated)},
	{event.OrderEnding, recall, says(event.LaneReleaseRequested, event.StockReleased)},

	{event.LaneReserved, shelve, nil},
	{event.LaneReleased, shelve, nil},
}, slices.Concat(settling, ends)...)}
