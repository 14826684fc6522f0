package app

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// turn is something that a module of a part meets now: a fact, or what the provider does.
type turn struct {
	*part
	module saga.Module
	name   string // in turns
	post   *post
}

// nameOf is what a fact is called in the turns of a module; "" is one that is taken at any time.
func nameOf(p post) string {
	group := map[event.Name]string{
		event.StockReserved: "stock", event.StockFailed: "stock", event.PaymentProcessed: "payment", event.PaymentFailed: "payment",
		event.StockReleased: "undone", event.PaymentRefunded: "undone", event.PaymentVoided: "undone",
	}
	switch p.to {
	case saga.Order:
		return group[p.fact.Name]
	case saga.Inventory, saga.Payment:
		return string(p.fact.Name)
	}
	return ""
}

// open are the turns that a part could take now. due says that its payment waits for somebody to ask the provider.
func (p *part) open(due bool) (turns []turn) {
	for _, waits := range p.pending {
		turns = append(turns, turn{p, waits.to, nameOf(waits), &waits})
	}
	first := slices.Contains(p.turns[saga.Payment], answered)
	switch {
	case p.door != nil:
		turns = append(turns, turn{p, saga.Payment, answered, nil})
	case due && first:
		turns = append(turns, turn{p, saga.Payment, asked, nil})
	case due:
		turns = append(turns, turn{p, saga.Payment, again, nil})
	}
	return turns
}

// take gives the turns that are next: one for each module, or, when all wait for what does not come, the one that is least out of turn.
func (p *part) take(open []turn) (next []turn) {
	taken := map[saga.Module]bool{}
	for _, t := range open {
		at := slices.Index(p.turns[t.module], t.name)
		if !taken[t.module] && at <= 0 {
			taken[t.module], next = true, append(next, t)
		}
	}
	if next == nil && open != nil {
		next = []turn{slices.MinFunc(open, func(a, b turn) int {
			return slices.Index(p.turns[a.module], a.name) - slices.Index(p.turns[b.module], b.name)
		})}
	}
	for _, t := range next {
		p.turns[t.module] = slices.DeleteFunc(p.turns[t.module], func(name string) bool { return name == t.name })
		if t.post != nil {
			p.hears(*t.post)
		}
	}
	p.pending = slices.DeleteFunc(p.pending, func(left post) bool {
		return slices.ContainsFunc(next, func(t turn) bool { return t.post != nil && t.post.to == left.to && t.post.fact.ID == left.fact.ID })
	})
	return next
}

// hears notes what is seen from a fact that is about to be delivered: the row that an order comes by, and what it is to blame.
func (p *part) hears(now post) {
	switch {
	case now.to == saga.Order && p.blames == "" && (now.fact.Name == event.StockFailed || now.fact.Name == event.PaymentFailed):
		p.blames = now.fact.Name
	case now.to == saga.Inventory && now.fact.Name == event.PaymentFailed:
		p.row = p.toldOfPayment()
	case now.to == saga.Payment && now.fact.Name == event.StockFailed:
		p.row = p.toldOfStock()
	}
}

func (p *part) toldOfPayment() string {
	switch {
	case p.said[event.StockReserved]:
		return "payment failed, stock taken"
	case p.said[event.StockFailed]:
		return "both failed"
	case p.short:
		return "payment failed, stock in progress, would fail"
	}
	return "payment failed, stock in progress, would be taken"
}

func (p *part) toldOfStock() string {
	wasAsked := !slices.Contains(p.turns[saga.Payment], asked)
	switch {
	case p.said[event.PaymentProcessed]:
		return "stock failed, payment charged"
	case p.said[event.PaymentFailed]:
		return "both failed"
	case p.method == "pm_declined":
		return "stock failed, payment in progress, fails"
	case wasAsked:
		return "stock failed, payment in progress, is charged"
	}
	return "stock failed, payment in progress, would be charged (not asked)"
}

// round has each part take its next turns, those of all parts together, and says whether there were any.
func (s *stage) round(parts []*part, provider *doors) bool {
	s.Helper()
	byOrder := map[uuid.UUID]*part{}
	for _, p := range parts {
		byOrder[p.id] = p
	}
	for _, fresh := range s.said() {
		if p := byOrder[fresh.fact.OrderID]; p != nil { // of products, nobody has to hear here
			p.said[fresh.fact.Name] = true
			p.pending = append(p.pending, fresh)
		}
	}
	due := s.due()
	var turns []turn
	for _, p := range parts {
		turns = append(turns, p.take(p.open(due[p.id]))...)
	}
	posts := map[mishap][]post{}
	var asking sync.WaitGroup
	for _, t := range turns {
		if t.post != nil {
			posts[t.mishap] = append(posts[t.mishap], *t.post)
			continue
		}
		asking.Go(func() {
			if err := s.askFor(t, provider); err != nil {
				s.Errorf("%s: %s: %v", t.part.name, t.name, err)
			}
		})
	}
	asking.Wait()
	for _, m := range mishaps {
		for _, b := range batches(posts[m], len(parts)) {
			s.deliverIn(b, m)
		}
	}
	return len(turns) > 0
}

// due are the orders whose payment waits for somebody to ask the provider.
func (s *stage) due() map[uuid.UUID]bool {
	s.Helper()
	rows, err := s.db.Query(s.Context(), `SELECT order_id FROM payment.payments WHERE due_at IS NOT NULL AND leased_until IS NULL`)
	if err != nil {
		s.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		s.Fatal(err)
	}
	due := map[uuid.UUID]bool{}
	for _, id := range ids {
		due[id] = true
	}
	return due
}

// askFor does what the provider's turns are.
func (s *stage) askFor(t turn, provider *doors) error {
	switch t.name {
	case asked:
		t.door = provider.ask(s.Context(), t.id, t.mishap == fails)
		return nil
	case answered:
		if t.mishap == crashes { // whoever asked is taken for dead, and another one does it; then the answer comes to the first after all
			if _, err := s.db.Exec(s.Context(), `UPDATE payment.payments SET leased_until = now() WHERE order_id = $1`, t.id); err != nil {
				return err
			}
			if _, err := provider.charger.ChargeNow(s.Context(), t.id); err != nil {
				return err
			}
		}
		at := t.door
		t.door = nil
		return at.answer()
	}
	_, err := provider.charger.ChargeNow(s.Context(), t.id)
	return err
}

var errRolledBack = errors.New("rolled back")

// deliverIn delivers a batch, with a mishap in the middle of it.
func (s *stage) deliverIn(b batch, m mishap) {
	s.Helper()
	if m == fails {
		err := s.db.Together(s.Context(), func(ctx context.Context, _ pgx.Tx) error {
			return errors.Join(s.hear[b.to](ctx, b.facts), errRolledBack)
		})
		if !errors.Is(err, errRolledBack) {
			s.Fatal(err)
		}
	}
	s.deliver([]batch{b})
	if m == crashes {
		s.deliver([]batch{b})
	}
}
