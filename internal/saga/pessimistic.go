package saga

import "github.com/holdfast-checkout/holdfast/internal/event"

// Pessimistic is the traditional way: the rows of Optimistic, called in the process that makes the order. The stock is reserved
// under row locks in the order's own transaction, in which the payment is intended too; then the provider is asked, with no
// transaction open; then all that follows is one transaction. What a request that dies leaves behind, the charger and the queues
// go on with.
var Pessimistic = Strategy{
	Name:   "pessimistic",
	Steps:  Optimistic.Steps,
	AtOnce: says(event.OrderCreated, event.StockReserved, event.StockFailed),
}
