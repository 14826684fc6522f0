package audit_test

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Orders and products of the healthy shop.
const (
	completed = `SELECT id FROM orders.orders WHERE status = 'COMPLETED' ORDER BY id LIMIT 1`
	declined  = `SELECT id FROM orders.orders WHERE failure_reason = 'PAYMENT_FAILED' AND strategy = 'optimistic'`
	refunded  = `SELECT id FROM orders.orders WHERE payment_status = 'REFUNDED' AND status = 'FAILED'`
	cancelled = `SELECT id FROM orders.orders WHERE status = 'CANCELLED' ORDER BY id LIMIT 1`
	plenty    = `SELECT id FROM inventory.products WHERE sku = 'plenty'`
	liveCart  = `SELECT id FROM cart.carts WHERE state = 'OPEN' ORDER BY id LIMIT 1`
)

// breaks are all the ways in which the healthy shop is broken, one at a time: what is done, and the invariants that do not
// hold then. More than one is named where one cannot be broken without what follows from it.
var breaks = []struct {
	name   string
	do     func(b *broken)
	broken string
}{
	{"S1 a movement of nothing", func(b *broken) {
		b.free("inventory.movements")
		b.exec(`INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, fact_id) VALUES ($1, $2, 'restock', 0, 1, $2)`,
			b.id(plenty), uuid.Must(uuid.NewV7()))
	}, "S1"},
	{"S1 stock below zero: it is not the sum any more, nor what Redis has", func(b *broken) {
		b.free("inventory.stock")
		b.exec(`UPDATE inventory.stock SET available = -1 WHERE product_id = $1`, b.id(plenty))
	}, "S1 S2 R1"},
	{"S2 a movement was changed", func(b *broken) {
		b.exec(`UPDATE inventory.movements SET quantity = quantity + 1 WHERE kind = 'opening' AND product_id = $1`, b.id(plenty))
	}, "S2"},
	{"S2 units allocated to nobody", func(b *broken) {
		b.exec(`UPDATE inventory.stock SET allocated = allocated + 1 WHERE product_id = $1`, b.id(plenty))
	}, "S2"},
	{"S2 units from nowhere, which Redis has not heard of", func(b *broken) {
		b.exec(`UPDATE inventory.stock SET available = available + 1 WHERE product_id = $1`, b.id(plenty))
	}, "S2 R1"},
	{"S2 a balance that nothing led to", func(b *broken) {
		b.exec(`UPDATE inventory.movements SET balance = balance + 5 WHERE kind = 'reserve' AND order_id = $1`, b.id(completed))
	}, "S2"},
	{"M1 paid by another method than the order's", func(b *broken) {
		b.exec(`UPDATE payment.payments SET payment_method = 'pm_other' WHERE order_id = $1`, b.id(completed))
	}, "M1 E1"},
	{"O1 an order that ended before it was made", func(b *broken) {
		b.exec(`UPDATE orders.orders SET ended_at = created_at - interval '1 hour' WHERE id = $1`, b.id(completed))
		b.exec(`UPDATE orders.view SET ended_at = created_at - interval '1 hour' WHERE id = $1`, b.id(completed))
	}, "O1"},
	{"O1 a line of no order", func(b *broken) {
		b.exec(`INSERT INTO orders.lines SELECT gen_random_uuid(), product_id, sku, name, quantity, unit_price_minor FROM orders.lines WHERE order_id = $1`, b.id(declined))
	}, "O1 V1"},
	{"O1 a line of no cart", func(b *broken) {
		b.exec(`INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held) VALUES (gen_random_uuid(), $1, 1, 1, 'GBP', false)`, b.id(plenty))
	}, "O1"},
	{"O2 a key of no order", func(b *broken) {
		b.exec(`UPDATE orders.idempotency_keys SET order_id = gen_random_uuid(), created_at = created_at - interval '1 day' WHERE order_id = $1`, b.id(completed))
	}, "O2"},
	{"S2 stock of no product", func(b *broken) { b.exec(`DELETE FROM inventory.products WHERE id = $1`, b.id(plenty)) }, "S2"},
	{"S2 a movement of no stock", func(b *broken) {
		b.exec(`INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, fact_id) VALUES (gen_random_uuid(), $1, 'restock', 1, 1, $1)`, uuid.Must(uuid.NewV7()))
	}, "S2"},
	{"O2 an order whose key is gone", func(b *broken) {
		b.exec(`DELETE FROM orders.idempotency_keys WHERE order_id = $1`, b.id(completed))
	}, "O2"},
	{"V1 no lines are shown", func(b *broken) { b.exec(`UPDATE orders.view SET lines = '[]' WHERE id = $1`, b.id(completed)) }, "V1"},
	{"V1 another price is shown", func(b *broken) {
		b.exec(`UPDATE orders.view SET lines = jsonb_set(lines, '{0,unit_price_minor}', '7') WHERE id = $1`, b.id(completed))
	}, "V1"},
	{"V1 another version is shown", func(b *broken) { b.exec(`UPDATE orders.view SET version = version + 1 WHERE id = $1`, b.id(completed)) }, "V1"},
	{"V1 another end is shown", func(b *broken) {
		b.exec(`UPDATE orders.view SET ended_at = ended_at + interval '1 s' WHERE id = $1`, b.id(completed))
	}, "V1"},
	{"V1 another reason is shown", func(b *broken) {
		b.exec(`UPDATE orders.view SET failure_reason = 'TIMED_OUT' WHERE id = $1`, b.id(declined))
	}, "V1"},
	{"E1 another customer and total are said", func(b *broken) {
		b.exec(`UPDATE shared.outbox SET body = convert_to(replace(replace(convert_from(body, 'UTF8'), '"total_minor":', '"total_minor":9'), '"customer":"', '"customer":"not '), 'UTF8')
			WHERE order_id = $1 AND name = 'order.completed'`, b.id(completed))
	}, "E1"},
	{"S3 taken twice and given back once", func(b *broken) {
		b.exec(`DROP INDEX inventory.movements_once`)
		for _, kind := range []string{"reserve", "release"} {
			b.exec(`INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, order_id, fact_id)
				SELECT product_id, $2, $3::text, CASE $3::text WHEN 'reserve' THEN quantity ELSE -quantity END,
					CASE $3::text WHEN 'reserve' THEN balance ELSE balance - quantity END, order_id, fact_id
				FROM inventory.movements WHERE order_id = $1 AND kind = 'reserve' LIMIT 1`, b.id(completed), uuid.Must(uuid.NewV7()), kind)
		}
	}, "S3"},
	{"S3 a line of no reservation", func(b *broken) {
		b.exec(`INSERT INTO inventory.reservation_lines (order_id, product_id, quantity, returned) VALUES ($2, $1, 1, true)`, b.id(plenty), uuid.New())
	}, "S3"},
	{"S3 a reservation of another order's lines", func(b *broken) {
		b.exec(`UPDATE orders.lines SET quantity = quantity * 2, unit_price_minor = 0 WHERE order_id = $1`, b.id(completed))
		b.exec(`UPDATE orders.orders SET total_minor = 0 WHERE id = $1`, b.id(completed))
		b.exec(`UPDATE orders.view SET total_minor = 0 WHERE id = $1`, b.id(completed))
	}, "S3 M1 M2 V1 E1"}, // the total is no more what was paid, nor what is shown and was said
	{"M2 settled outside, and nobody says so", func(b *broken) {
		b.exec(`ALTER TABLE payment.transfers DISABLE TRIGGER ALL`)
		b.exec(`UPDATE payment.transfers SET credit = 'outside' WHERE order_id = $1 AND kind = 'refund'`, b.id(refunded))
	}, "M2"},
	{"M2 settled outside of an order that was given back nothing", func(b *broken) {
		b.exec(`INSERT INTO payment.acts (id, order_id, act, by, reason, state) VALUES ($2, $1, 'settle', 'olga', 'a reason', 'REFUNDED')`,
			b.id(completed), uuid.Must(uuid.NewV7()))
	}, "M2"},
	{"M2 settled as not charged, and it was charged", func(b *broken) { b.settle(completed, "not_charged") }, "M2"},
	{"M2 settled as charged, and nothing was", func(b *broken) { b.settle(declined, "charged") }, "M2"},
	{"M2 a charge by the word of a person, and nobody says whose", func(b *broken) {
		b.exec(`ALTER TABLE payment.transfers DISABLE TRIGGER ALL`)
		b.exec(`UPDATE payment.transfers SET provider_id = 'outside-charge-' || order_id WHERE order_id = $1`, b.id(completed))
		b.exec(`UPDATE payment.payments SET charge_id = 'outside-charge-' || order_id WHERE order_id = $1`, b.id(completed))
	}, "M2 E1"}, // nor was it said so
	{"M2 settled of what only the provider knows, and nobody says so", func(b *broken) {
		b.strange()
		b.exec(`UPDATE payment.orphans SET settled_at = now(), due_at = NULL`)
	}, "M2"},
	{"M2 a refund that has failed at the provider, and nobody here knows: of a final order money is kept", func(b *broken) {
		b.befall("/refunds/" + b.text(refundOf(refunded)) + "/fail")
	}, "M2 M3"},
	{"M2 a refund that has failed, and counts as made", func(b *broken) {
		b.exec(`INSERT INTO payment.failed_refunds (refund_id, provider, account, charge_id, order_id, effect, amount_minor, currency, failed_at)
			SELECT refund_id, provider, account, charge_id, order_id, 'owed again', amount_minor, currency, now() FROM payment.payments WHERE order_id = $1`, b.id(refunded))
	}, "M2 M3"},
	{"M2 a refund was taken back that nobody says has failed", func(b *broken) {
		b.exec(`INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, provider, account)
			SELECT 'reversal-' || provider_id, order_id, 'reversal', 'refunds', 'provider', amount_minor, currency, cause, provider, account
			FROM payment.transfers WHERE order_id = $1 AND kind = 'refund'`, b.id(refunded))
	}, "M2 M3"},
	{"M3 a dispute of which nobody here knows", func(b *broken) {
		b.befall("/charges/" + b.text(chargeOf(completed)) + "/dispute")
	}, "M3"},
	{"M3 a dispute of which the provider knows nothing", func(b *broken) {
		b.exec(`INSERT INTO payment.disputes (dispute_id, provider, account, charge_id, order_id, amount_minor, currency, status, over, funds, as_of)
			SELECT 'dp_none', provider, account, charge_id, order_id, amount_minor, currency, 'won', true, 'reinstated', now() FROM payment.payments WHERE order_id = $1`, b.id(completed))
	}, "M3"},
	{"M1 two payments of one order", func(b *broken) {
		b.exec(`ALTER TABLE payment.payments DROP CONSTRAINT payments_pkey`)
		b.exec(`INSERT INTO payment.payments SELECT * FROM payment.payments WHERE order_id = $1`, b.id(declined))
	}, "M1"},
	{"M1 charged again under another key: more was kept than the order says, and it is none of our charges", func(b *broken) {
		b.book("/charges/again", fmt.Sprintf(`{"order_id":"%s","amount_minor":250,"currency":"GBP","payment_method":"pm_ok"}`, b.id(completed)))
	}, "M1 M2 M3"},
	{"M1 charged again under its own key, which the provider had forgotten", func(b *broken) { b.chargeTwice() }, "M1 M2 M3"},
	{"M1 charged again, and the refund that the hunter notes is of another charge", func(b *broken) {
		b.chargeTwice()
		b.hunt()
		b.exec(`UPDATE payment.orphans SET refund_id = (SELECT refund_id FROM payment.payments WHERE order_id = $1)`, b.id(refunded))
	}, "M1 M3"},
	{"M1 charged another amount than the total", func(b *broken) {
		b.exec(`UPDATE payment.payments SET amount_minor = amount_minor + 1 WHERE order_id = $1`, b.id(completed))
	}, "M1 M2 M3 E1"},
	{"M2 a failed order whose payment is still asked for", func(b *broken) {
		b.free("payment.payments")
		b.exec(`UPDATE payment.payments SET state = 'UNKNOWN' WHERE order_id = $1`, b.id(declined))
	}, "M2 O3"},
	{"M2 refunded behind our backs", func(b *broken) {
		var charge string
		if err := b.db.QueryRow(b.Context(), `SELECT charge_id FROM payment.payments WHERE order_id = $1`, b.id(completed)).Scan(&charge); err != nil {
			b.Fatal(err)
		}
		b.book("/refunds/behind", fmt.Sprintf(`{"charge_id":"%s","amount_minor":1,"currency":"GBP"}`, charge))
	}, "M2 M3"},
	{"M2 a transfer was taken out of the ledger, with the payment's word for it", func(b *broken) {
		b.exec(`ALTER TABLE payment.transfers DISABLE TRIGGER ALL`)
		b.exec(`DELETE FROM payment.transfers WHERE order_id = $1 AND kind = 'refund'`, b.id(refunded))
	}, "M2 M3"},
	{"M2 a transfer from nowhere", func(b *broken) {
		b.free("payment.transfers")
		b.exec(`ALTER TABLE payment.transfers DISABLE TRIGGER ALL`)
		b.exec(`UPDATE payment.transfers SET credit = 'nowhere' WHERE order_id = $1`, b.id(completed))
	}, "M2"},
	{"M2 another amount in the ledger", func(b *broken) {
		b.exec(`ALTER TABLE payment.transfers DISABLE TRIGGER ALL`)
		b.exec(`UPDATE payment.transfers SET amount_minor = amount_minor + 1 WHERE order_id = $1`, b.id(completed))
	}, "M2"},
	{"M3 a charge for nobody we know", func(b *broken) {
		b.book("/charges/stranger", fmt.Sprintf(`{"order_id":"%s","amount_minor":9,"currency":"GBP","payment_method":"pm_ok"}`, uuid.NewString()))
	}, "M3"},
	{"M3 a charge that the provider does not know", func(b *broken) {
		b.exec(`UPDATE payment.payments SET charge_id = 'ch_none' WHERE order_id = $1`, b.id(completed))
	}, "M3 E1"},
	{"M3 a refund that the provider does not know", func(b *broken) {
		b.exec(`UPDATE payment.payments SET refund_id = 're_none' WHERE order_id = $1`, b.id(refunded))
	}, "M3 E1"},
	{"M3 a charge at another account than its payment's", func(b *broken) {
		b.exec(`ALTER TABLE payment.transfers DISABLE TRIGGER ALL`)
		b.exec(`UPDATE payment.transfers SET account = 'another' WHERE order_id = $1`, b.id(completed))
	}, "M3"},
	{"O1 completed and declined", func(b *broken) {
		b.free("orders.orders")
		b.exec(`UPDATE orders.orders SET payment_status = 'DECLINED' WHERE id = $1`, b.id(completed))
		b.exec(`UPDATE orders.view SET payment_status = 'DECLINED' WHERE id = $1`, b.id(completed))
	}, "O1 E1"},
	{"O1 cancelled and still paid", func(b *broken) {
		b.free("orders.orders")
		b.exec(`UPDATE orders.orders SET payment_status = 'SUCCESS' WHERE id = $1`, b.id(cancelled))
		b.exec(`UPDATE orders.view SET payment_status = 'SUCCESS' WHERE id = $1`, b.id(cancelled))
	}, "O1 E1"},
	{"O1 a total that is not the sum", func(b *broken) {
		b.exec(`UPDATE orders.lines SET unit_price_minor = unit_price_minor + 1 WHERE order_id = $1`, b.id(completed))
	}, "O1 V1 E1"},
	{"O1 a strategy that has no table", func(b *broken) {
		b.exec(`UPDATE orders.orders SET strategy = 'guesswork' WHERE id = $1`, b.id(completed))
	}, "M1 O1 V1"},
	{"O2 two orders under one key", func(b *broken) {
		b.exec(`ALTER TABLE orders.idempotency_keys DROP CONSTRAINT idempotency_keys_pkey, DROP CONSTRAINT idempotency_keys_order_id_key`)
		b.exec(`INSERT INTO orders.idempotency_keys SELECT * FROM orders.idempotency_keys LIMIT 1`)
	}, "O2"},
	{"O2 a key of another customer's order", func(b *broken) {
		b.exec(`UPDATE orders.idempotency_keys SET customer = 'stranger' WHERE order_id = $1`, b.id(completed))
	}, "O2"},
	{"O3 an order that nothing ends", func(b *broken) {
		b.exec(`UPDATE orders.orders SET status = 'ENDING', owes_stock = true, inventory_status = 'NOT_STARTED', ended_at = NULL,
			deadline = now() - interval '1 hour' WHERE id = $1`, b.id(declined))
		b.exec(`UPDATE orders.view SET status = 'ENDING', inventory_status = 'NOT_STARTED', ended_at = NULL WHERE id = $1`, b.id(declined))
	}, "O3"},
	{"O3 a failed order that still has its units: they are no more in stock than it says", func(b *broken) {
		b.free("inventory.reservations")
		b.exec(`UPDATE inventory.reservations SET state = 'RESERVED' WHERE order_id = $1`, b.id(declined))
	}, "S2 S3 O3"},
	{"V1 another word is shown", func(b *broken) {
		b.exec(`UPDATE orders.view SET display_status = 'CANCELLED' WHERE id = $1`, b.id(completed))
	}, "V1"},
	{"V1 an order is not shown", func(b *broken) { b.exec(`DELETE FROM orders.view WHERE id = $1`, b.id(completed)) }, "V1"},
	{"V1 what is no order is shown", func(b *broken) {
		b.exec(`UPDATE orders.view SET id = $1 WHERE id = $2`, uuid.Must(uuid.NewV7()), b.id(completed))
	}, "V1"},
	{"E1 heard twice", func(b *broken) {
		b.exec(`ALTER TABLE shared.inbox DROP CONSTRAINT inbox_pkey`)
		b.exec(`INSERT INTO shared.inbox SELECT * FROM shared.inbox LIMIT 1`)
	}, "E1"},
	{"E1 heard and never said", func(b *broken) {
		b.exec(`INSERT INTO shared.inbox (module, fact_id, name, at) VALUES ('view', shared.uuid_from(now() + interval '5 minutes'), 'order.updated', now() - interval '1 hour')`)
	}, "E1"},
	{"E1 a movement for no fact that was heard", func(b *broken) {
		b.exec(`UPDATE inventory.movements SET fact_id = $1 WHERE order_id = $2`, uuid.Must(uuid.NewV7()), b.id(completed))
	}, "E1"},
	{"E1 a state that followed from nothing", func(b *broken) {
		b.exec(`UPDATE orders.orders SET last_fact = NULL WHERE id = $1`, b.id(completed))
	}, "E1"},
	{"E1 a transfer of money that no fact asked for", func(b *broken) {
		b.exec(`ALTER TABLE payment.transfers DISABLE TRIGGER ALL`)
		b.exec(`UPDATE payment.transfers SET cause = $1 WHERE order_id = $2`, uuid.Must(uuid.NewV7()), b.id(completed))
	}, "E1"},
	{"E1 a payment that no fact asked for", func(b *broken) {
		b.exec(`UPDATE payment.payments SET cause = $1 WHERE order_id = $2`, uuid.Must(uuid.NewV7()), b.id(completed))
	}, "E1"},
	{"T1 a fact of an order is gone", func(b *broken) {
		b.exec(`DELETE FROM shared.outbox WHERE order_id = $1 AND name = 'payment.processed'`, b.id(completed))
	}, "T1"},
	{"T1 a state of an order was never said", func(b *broken) {
		b.exec(`DELETE FROM shared.outbox WHERE id = (SELECT id FROM shared.outbox WHERE name = 'order.updated' LIMIT 1)`) // not every order has one
	}, "T1"},
	{"T1 a fact was said twice", func(b *broken) { b.sayAgain(completed, "stock.reserved", "stock.reserved") }, "T1"},
	{"T1 a fact that nothing led to", func(b *broken) { b.sayAgain(completed, "stock.reserved", "stock.released") }, "T1"},
	{"T1 a fact of nobody's making", func(b *broken) {
		b.exec(`UPDATE shared.outbox SET cause = NULL WHERE order_id = $1 AND name = 'stock.reserved'`, b.id(completed))
	}, "T1"},
	{"E2 a fact that a module has not heard", func(b *broken) {
		b.exec(`DELETE FROM shared.inbox WHERE module = 'shelf' AND fact_id = (SELECT fact_id FROM shared.inbox WHERE module = 'shelf' LIMIT 1)`)
	}, "E2"},
	{"E2 a fact that nobody hears", func(b *broken) {
		b.exec(`INSERT INTO shared.outbox (id, at, name, strategy, body) SELECT $1, now() - interval '1 hour', 'order.created', 'guesswork', ''`,
			idOfYesterday())
	}, "E2"},
	{"E2 an open dead letter of an order that was paid", func(b *broken) { b.deadLetter(completed) }, "E2"},
	{"E2 a fact of a paid order that waits for another version", func(b *broken) {
		b.exec(`INSERT INTO shared.waiting_facts (fact_id, module, key, version, order_id, body) SELECT $1, 'view', 'next.x', 0, $2, ''`, idOfYesterday(), b.id(completed))
	}, "E2"},
	{"E2 a message that waits", func(b *broken) { b.Queues = append(b.Queues, b.queueWithMessage()) }, "E2"},
	{"R1 other stock", func(b *broken) { b.redis("HINCRBY", b.keys().Product(b.id(plenty))[0], "n", 1) }, "R1"},
	{"R1 an older version", func(b *broken) { b.redis("HINCRBY", b.keys().Product(b.id(plenty))[0], "v", -1) }, "R1"},
	{"R1 a hold is lost", func(b *broken) { b.redis("HDEL", b.keys().Product(b.id(plenty))[2], b.id(liveCart).String()) }, "R1"},
	{"R1 a hold of nobody", func(b *broken) {
		b.redis("HSET", b.keys().Product(b.id(plenty))[2], uuid.NewString(), "1:9007199254740991")
	}, "R1"},
	{"R1 a hold that lasts longer than its cart", func(b *broken) {
		key := b.keys().Product(b.id(plenty))[2]
		entry := strings.Split(b.Redis.HGet(b.Context(), key, b.id(liveCart).String()).Val(), ":")
		b.redis("HSET", key, b.id(liveCart).String(), entry[0]+":9007199254740991")
	}, "R1"},
	{"R1 another sum", func(b *broken) { b.redis("INCR", b.keys().Product(b.id(plenty))[1]) }, "R1"},
	{"R1 a key of the wrong type", func(b *broken) {
		b.redis("DEL", b.keys().Product(b.id(plenty))[0])
		b.redis("SET", b.keys().Product(b.id(plenty))[0], "1")
	}, "R1"},
	{"R1 a cart's copy is lost", func(b *broken) { b.redis("DEL", b.keys().Cart(b.id(liveCart))) }, "R1"},
	{"R1 a cart's copy says something else", func(b *broken) { b.redis("HSET", b.keys().Cart(b.id(liveCart)), b.id(plenty).String(), 77) }, "R1"},
}
