package payment_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// counted is the sandbox with its look-ups counted.
type counted struct {
	*payment.Sandbox
	finds, lookups int
}

func (c *counted) Find(ctx context.Context, lines []payment.Line) (map[string]bool, error) {
	c.finds++
	return c.Sandbox.Find(ctx, lines)
}

func (c *counted) Lookup(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	c.lookups++
	return c.Sandbox.Lookup(ctx, in)
}

// What the list did not show of our transfers is asked for many at once, and what is not named then singly, a hundred in a hunt. What was
// transferred at another account is nobody's business here.
func TestMissingTransfersAreAskedForTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, _, stop := w.charger(nil)
	var facts []event.Fact
	for range 30 {
		facts = append(facts, buy("pm_ok").fact(event.OrderCreated))
	}
	w.hear(service.Charge, facts...)
	w.rest()
	stop()
	books := &counted{Sandbox: w.provider}
	h := payment.NewHunter(w.env.DB, books, func() {}, payment.HunterOptions{Cooldown: -1, Page: 7, Log: w.env.Log, Registry: prometheus.NewRegistry()})
	w.hunt(h)
	if books.finds+books.lookups != 0 {
		t.Errorf("asked for what the list had shown: %d times together, %d singly", books.finds, books.lookups)
	}
	at := w.account().Account
	w.exec(`UPDATE payment.hunts SET at = '-infinity', at_id = ''`) // as if the list had shown nothing
	const ghosts = `INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, provider, account)
		SELECT $2 || i, g.id, 'charge', 'customer', 'provider', 5, 'GBP', g.id, 'sandbox', $1 FROM generate_series(1, $3::int) i, LATERAL (SELECT gen_random_uuid() AS id WHERE i > 0) g`
	w.exec(ghosts, "elsewhere", "there_", 500)
	w.hunt(h)
	if len(w.orphans()) != 0 || books.finds != 1 || books.lookups != 0 {
		t.Errorf("%d are missing; asked %d times together, %d singly", len(w.orphans()), books.finds, books.lookups)
	}
	w.exec(ghosts, at, "ghost_", 150)
	w.exec(`UPDATE payment.hunts SET at = '-infinity', at_id = ''`)
	w.hunt(h)
	if n := len(w.orphans()); n != 100 || books.finds != 2 {
		t.Errorf("%d are missing; asked %d times together", n, books.finds)
	}
	w.hunt(h)
	w.hunt(h)
	if n := len(w.orphans()); n != 150 || books.finds != 3 {
		t.Errorf("%d are missing; asked %d times together", n, books.finds)
	}
}
