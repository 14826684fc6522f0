// Package sandbox is a payment provider of our own: a separate HTTP server with its own durable ledger, for development,
// tests and drills. It moves no money, but keeps the promises that a real provider keeps, and breaks what real ones break.
//
// Every request but GET /livez carries "Authorization: Bearer <api key>". Bodies are JSON, amounts are in minor units.
//
//	PUT  /charges/{key}        {"order_id","amount_minor","currency","payment_method"}: 200 with an Entry, succeeded or declined
//	PUT  /refunds/{key}        {"charge_id","amount_minor","currency"}: 200 with an Entry
//	GET  /charges/{key}        200 with a Record: the charge, whether the key is closed, the refunds; 404 if the key was never seen
//	POST /charges/{key}/close  200 with a Record: this key will never charge any more, or already has (then charge is set)
//	GET  /ledger?after=0&limit=1000   200 with a Page of all charges (declined ones too) and refunds, oldest first
//	GET  /livez                200
//
// A refusal is {"error":{"code","message"}}: 400 invalid_request, 401 unauthorized, 404 not_found, 409 key_closed (a charge
// under a closed key), 413 too_large, 422 key_reused (same key, other request), charge_not_found or refund_exceeds_charge.
//
// The promises. A key belongs to one request: the same request under it gets the same answer for ever, however many ask at
// once; another request under it is refused. Nothing is answered before its ledger entry is on disk, so kill -9 loses no
// answered charge. Between a charge and a close of the same key exactly one wins. Refunds never exceed their charge.
//
// The payment method says what happens to a charge; see methods.go. A method that is not known there is declined.
package sandbox
