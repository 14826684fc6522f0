// Package sandbox is a payment provider of our own: a separate HTTP server with its own durable ledger, for development,
// tests and drills. It moves no money, but keeps the promises that a real provider keeps, and breaks what real ones break.
//
// Every request but GET /livez carries "Authorization: Bearer <api key>", or the key as the password of Basic. Bodies are JSON, amounts are in minor units.
//
//	PUT  /charges/{key}        {"order_id","amount_minor","currency","payment_method"}: 200 with an Entry, succeeded or declined
//	PUT  /refunds/{key}        {"charge_id","amount_minor","currency"}: 200 with an Entry
//	GET  /charges/{key}        200 with a Record: the charge, whether the key is closed, the refunds; 404 if the key was never seen
//	POST /charges/{key}/close  200 with a Record: this key will never charge any more, or already has (then charge is set)
//	POST /refunds/{id}/fail    the refund fails, though it had succeeded: 200 with an Entry under its id; ?reason=
//	POST /charges/{id}/dispute the customer's bank takes the charge back: 200 with an Entry, the money withdrawn; ?reason=
//	POST /disputes/{id}/under-review|won|lost   200 with an Entry; what is won is reinstated
//	GET  /ledger?after=0&limit=1000   200 with a Page of all charges (declined ones too), refunds and what befell them, oldest first;
//	                           asked for by a browser it is a page for people
//	POST /find                 {"ids"}: 200 with {"ids"}, those of the charges and refunds that stand in the ledger
//	GET  /account              200 with {"id"}: which ledger this is, kept beside the ledger's file. A request with the header Ledger
//	                           is meant for that one alone; another refuses it with 421 another_ledger
//	GET  /livez                200
//
// A refusal is {"error":{"code","message"}}: 400 invalid_request, 401 unauthorized, 404 not_found, 409 key_closed (a charge
// under a closed key), 413 too_large, 422 key_reused (same key, other request), charge_not_found,
// refund_exceeds_charge, charge_disputed (its money is withdrawn) or not_possible (no such refund or dispute, or it is over).
//
// The promises. A key belongs to one request: the same request under it gets the same answer, however many ask at once; another
// request under it is refused. After 24 hours a key is forgotten, a closed one too: the same request under it charges again.
// What was entered under it can still be looked up. A refund that failed is answered under its Request-Key as it was; under another one
// the same refund is made anew. Nothing is answered before its ledger entry is on disk, so kill -9 loses no
// answered charge. Between a charge and a close of the same key exactly one wins. Refunds never exceed their charge.
//
// Every charge, declined ones too, every refund and what befell them is told of by a webhook (Standard Webhooks: webhook-id, webhook-timestamp,
// webhook-signature v1), until it is answered by a 2xx, for three days at most and also after a kill -9:
//
//	{"type":"charge.succeeded|charge.declined|refund.succeeded|refund.failed|dispute.<status>","timestamp":"…","data":Entry}
//
// With KeepErrors it treats errors as Stripe does: the first answer of 500 or 422 to a charge or refund is kept under the header
// Request-Key (without one, under the key in the path), and given again for as long as keys are remembered, done or not. Under
// another Request-Key the same request is taken up anew; the key in the path charges and refunds once all the same.
//
// The payment method says what happens to a charge; see methods.go. A method that is not known there is declined.
package sandbox
