// Package order owns orders from the moment a customer buys until they are final: schema orders (orders, lines, view,
// idempotency_keys). It says order.created, order.updated, order.ending, order.completed, order.failed and order.cancelled,
// and hears what inventory and payment say of an order, as module order; as module view it hears its own facts and keeps
// the read model that customers are answered from.
package order
