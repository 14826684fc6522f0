package payment

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// transfer is money that a provider has moved for an order: one line of the ledger, from one account to another.
type transfer struct {
	providerID string // the provider's id of the charge or refund
	order      uuid.UUID
	kind       string // charge, refund or reversal
	amount     int64
	currency   string
	cause      uuid.UUID // the fact that wanted it
	at         Account   // of the payment
}

// transfers gives what has moved between two states of a payment. A charge of which we first hear when it is to be given back
// has moved nevertheless.
func transfers(before, after Payment) []transfer {
	var moved []transfer
	add := func(id, kind string, cause Cause) {
		moved = append(moved, transfer{id, after.OrderID, kind, after.Terms.TotalMinor, after.Terms.Currency, cause.Fact, after.Account})
	}
	if before.ChargeID == "" && after.ChargeID != "" {
		add(after.ChargeID, "charge", after.Cause)
	}
	if before.RefundID == "" && after.RefundID != "" {
		add(after.RefundID, "refund", after.Undo)
	}
	if before.RefundID != "" && after.RefundID == "" {
		add(reversalID(before.RefundID), "reversal", after.Undo)
	}
	return moved
}

// reversalID is the id of what takes a refund back that has failed.
func reversalID(refundID string) string { return "reversal-" + refundID }

const bookSQL = `
	INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, provider, account)
	SELECT id, order_id, kind, CASE WHEN kind = 'charge' THEN 'customer' WHEN kind = 'reversal' THEN 'refunds'
	                                WHEN id = 'outside-' || order_id::text THEN 'outside' ELSE 'provider' END,
	       CASE kind WHEN 'refund' THEN 'refunds' ELSE 'provider' END, amount, currency, cause, provider, account
	FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::uuid[], $7::text[], $8::text[])
	     AS t(id, order_id, kind, amount, currency, cause, provider, account)`

// book writes transfers into the ledger.
func book(batch *pgx.Batch, moved []transfer) {
	n := len(moved)
	if n == 0 {
		return
	}
	ids, kinds, currencies := make([]string, n), make([]string, n), make([]string, n)
	orders, causes, amounts := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]int64, n)
	accounts := make([]Account, n)
	for i, t := range moved {
		ids[i], kinds[i], currencies[i] = t.providerID, t.kind, t.currency
		orders[i], causes[i], amounts[i], accounts[i] = t.order, t.cause, t.amount, t.at
	}
	providers, at := columnsOf(accounts)
	batch.Queue(bookSQL, ids, orders, kinds, amounts, currencies, causes, providers, at)
}
