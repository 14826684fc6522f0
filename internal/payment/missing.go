package payment

import (
	"context"

	"github.com/google/uuid"
)

// mostAsked is how many of our transfers a hunt asks for singly. The others wait for the next one.
const mostAsked = 100

// byTheProvider is a condition on transfers t that leaves out what only a person knew of.
const byTheProvider = `t.credit <> 'outside' AND t.provider_id <> 'outside-charge-' || t.order_id::text`

// ours looks in the provider's list for what our books have, page by page. What was not met there is asked for, many at once where the
// provider can be asked so, and singly if that does not name it.
func (h *Hunter) ours(ctx context.Context) error {
	for left := mostAsked; left > 0; {
		page, err := h.unmet(ctx)
		if err != nil || page.last.ID == "" {
			return err
		}
		missing, asked, err := h.missing(ctx, &page, left)
		if err != nil {
			return err
		}
		if err := h.pass(ctx, page, missing); err != nil {
			return err
		}
		left -= asked
	}
	return nil
}

// missing gives those of a page that the provider does not know. It asks for so many singly at most, and then ends the page behind the
// last that was judged.
func (h *Hunter) missing(ctx context.Context, page *oursRead, most int) (missing []orphan, asked int, err error) {
	if len(page.unmet) == 0 {
		return nil, 0, nil
	}
	there, err := h.books.Find(ctx, page.unmet)
	if err != nil {
		return nil, 0, err
	}
	payments, err := findAll(ctx, h.db, ordersOf(page.unmet))
	if err != nil {
		return nil, 0, err
	}
	for i, l := range page.unmet {
		if there[l.ID] {
			continue
		}
		if asked == most {
			page.last = page.unmet[i-1]
			return missing, asked, nil
		}
		asked++
		found, err := h.isThere(ctx, payments[uuid.MustParse(l.OrderID)], l)
		if err != nil {
			return nil, 0, err
		}
		if !found {
			missing = append(missing, orphan{l, "missing", false})
		}
	}
	return missing, asked, nil
}

// isThere asks the provider for a charge or refund of a payment that its list did not show.
func (h *Hunter) isThere(ctx context.Context, p *Payment, l Line) (bool, error) {
	if p == nil {
		return false, nil
	}
	o, err := h.books.Lookup(ctx, p.intent())
	if err != nil {
		return false, err
	}
	return o.ChargeID == l.ID || o.RefundID == l.ID, nil
}
