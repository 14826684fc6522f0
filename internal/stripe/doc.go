// Package stripe is Stripe as a payment provider, through Stripe's own library.
//
// The charge of an order is a PaymentIntent. It is opened unconfirmed, which charges nothing; its id is committed; then it is
// confirmed. Stripe lets a PaymentIntent succeed once, for ever, so that neither the number of attempts nor Stripe's memory of
// idempotency keys (24 hours) decides whether an order is charged twice: only the committed id can be confirmed. Its id is also the
// id of the charge. What is declined, or wants the customer to act, is cancelled before it counts as rejected.
//
// What belongs to Holdfast carries its namespace, its order and its key as metadata; everything else of the account is left alone.
//
//	client.go   the way to Stripe
//	charge.go   open, charge, look up, close
//	refund.go   give back
//	answer.go   what Stripe's answers and errors mean
//	amount.go   amounts as Stripe counts them
//	notice.go   webhooks
//	books.go    the list of what Stripe has done, oldest first
package stripe
