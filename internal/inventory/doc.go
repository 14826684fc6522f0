// Package inventory owns the catalogue and the stock: schema inventory (products, stock, movements, reservations,
// reservation_lines) and, in Redis, stock:{p}, reserved:{p}, holds:{p} and expiry:{p} of each product and the index due:{n} of
// holds that will expire.
//
// It says stock.created, stock.adjusted, stock.reserved, stock.failed and stock.released. Module inventory hears what asks for
// stock (Reserve) or for its return (Release), from whatever strategy. Module shelf hears what changes the stock and what ends
// an order, and brings Redis to it (Shelf.Settle).
//
// The books (Postgres) are the truth. The shelf (Redis) says what can be held now: the stock of the books less the live
// holds of carts and orders. Stock falls and the hold ends in one script, after the books have taken the units.
package inventory

// Names of the inboxes that the verbs hear with.
const (
	Module      = "inventory"
	ShelfModule = "shelf"
)
