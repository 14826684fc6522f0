// Package payment owns the money of orders: schema payment, table payments, one row per order, table attempts, one row per call
// to the provider, and table transfers, the append-only ledger of what has moved.
//
// It hears, as module payment, whatever a strategy binds to its two verbs: Charge (order.created, stock.reserved: facts that
// carry event.Terms) and GiveBack (stock.failed, order.ending). It says payment.processed, payment.failed, payment.unknown,
// payment.refunded and payment.voided. For an order that was given back it says payment.voided or payment.refunded exactly
// once, unless it had said payment.failed.
//
// A verb only writes down what is wanted. The Charger does it: it claims rows that are due by a lease, which commits the
// attempt, calls the Provider with no transaction open, and commits outcome and fact together. Whatever dies in between is
// taken up again when the lease is over, under the same key, which is made from the order. No answer is no "no": such a
// payment is UNKNOWN until the provider has said under its key what became of it.
//
//	payment.go         the states and their moves
//	service.go         the verbs
//	charger.go         the loop: claim, call, commit
//	settle.go          what an outcome does to the row, and the facts that follow
//	attempts.go        every call to the provider, as a timeline shows it
//	ledger.go          the ledger of money: what has moved, from account to account
//	gateway.go         what a provider must be able to do
//	sandbox_client.go  the sandbox as a provider
//	store.go           the SQL
package payment
