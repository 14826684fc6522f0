package payment

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Books is a provider whose own list can be read.
type Books interface {
	Provider
	// Name is the provider's.
	Name() string
	// Now is the time on its clock, as far as that is known.
	Now() time.Time
	// Lines gives at most limit charges and refunds after a mark, the oldest first; "" is the beginning. None: that was all. A line
	// without a Verdict only says how far the list was read.
	Lines(ctx context.Context, after string, limit int) ([]Line, error)
	// Find says which of our charges and refunds are there, by their ids, in as few requests as can be. It may miss some, which are
	// then asked for singly.
	Find(ctx context.Context, lines []Line) (map[string]bool, error)
}

// HunterOptions steer the hunt. Zero values mean the defaults.
type HunterOptions struct {
	Interval time.Duration // 1 min
	Cooldown time.Duration // 30 s; what is younger is judged by the next hunt; below 0: nothing is too young
	Page     int           // 1000 lines
	NoOrder  bool          // charges under our keys for orders that we do not know are given back too, not only reported
	Log      *slog.Logger  // required

	BringBack func(context.Context, uuid.UUID) error // see Notices.BringBack; nil: nothing is archived
	Registry  prometheus.Registerer
}

// Hunter compares the provider's own list with our books, both ways, from where it last stopped. A result that we have not heard is
// adopted, a charge for an order that wants none is given back, and what else only one side knows of is reported.
type Hunter struct {
	db      *postgres.DB
	books   Books
	at      Account // whose books they are, once a hunt has asked; marks are kept by it
	wake    func()
	options HunterOptions
	later   afterwards
	found   *prometheus.CounterVec // found
}

// NewHunter makes a hunter; wake is called when an adopted result leaves something for the charger to do.
func NewHunter(db *postgres.DB, books Books, wake func(), o HunterOptions) *Hunter {
	o.Interval, o.Cooldown, o.Page = cmp.Or(o.Interval, time.Minute), cmp.Or(o.Cooldown, 30*time.Second), cmp.Or(o.Page, 1000)
	o.Cooldown = max(o.Cooldown, 0)
	return &Hunter{db: db, books: books, wake: wake, options: o, found: countOrphans(o.Registry), later: newAfterwards(db, wake, o.BringBack, o.Log, o.Registry)}
}

// Run hunts until ctx ends. One instance does it at a time.
func (h *Hunter) Run(ctx context.Context) error {
	tick := time.NewTicker(h.options.Interval)
	defer tick.Stop()
	for {
		if err := h.Hunt(ctx); err != nil && ctx.Err() == nil {
			h.options.Log.WarnContext(ctx, "the provider's books cannot be compared with ours", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Hunt reads on in the provider's list to its end, looks in it for what our books have, and gives back what is to be given back.
func (h *Hunter) Hunt(ctx context.Context) (err error) {
	if h.at, err = h.books.Account(ctx); err != nil {
		return err
	}
	if err := h.theirs(ctx); err != nil {
		return err
	}
	if err := h.ours(ctx); err != nil {
		return err
	}
	return h.giveBack(ctx)
}

// theirs judges the provider's lines page by page.
func (h *Hunter) theirs(ctx context.Context) error {
	mark, err := h.begin(ctx)
	if err != nil {
		return err
	}
	for {
		lines, err := h.books.Lines(ctx, mark, h.options.Page)
		if err != nil {
			return err
		}
		for i := range lines {
			lines[i].Account = h.at
		}
		whole := len(lines)
		lines = h.oldEnough(lines)
		if len(lines) == 0 {
			return h.readToTheEnd(ctx)
		}
		if err := h.judge(ctx, lines); err != nil {
			return err
		}
		if mark = lines[len(lines)-1].Mark; len(lines) < whole {
			return h.readToTheEnd(ctx)
		}
	}
}

// oldEnough gives the lines before the first whose outcome may just be on its way to us. Their age is told by the provider's clock,
// which is nobody's here to put right.
func (h *Hunter) oldEnough(lines []Line) []Line {
	limit := h.books.Now().Add(-h.options.Cooldown)
	for i, l := range lines {
		if l.At.After(limit) && h.options.Cooldown > 0 {
			return lines[:i]
		}
	}
	return lines
}

// judge holds a page beside our payments, has them hear what they have not, and writes down the rest with the mark. What befell refunds
// and charges later is heard after these, one by one: it is rare.
func (h *Hunter) judge(ctx context.Context, lines []Line) error {
	payments, err := findAll(ctx, h.db, ordersOf(lines))
	if err != nil {
		return err
	}
	var fresh []Line
	var met []string
	var orphans []orphan
	for _, l := range lines {
		if l.isLater() {
			continue
		}
		sense, found := sortLine(payments, l)
		switch {
		case sense == news:
			fresh = append(fresh, l)
		case found != "":
			orphans = append(orphans, orphan{l, found, found == "stray" || found == "no order" && h.options.NoOrder})
		}
		if (l.Verdict == Charged || l.Verdict == GivenBack) && (sense == known || sense == news) {
			met = append(met, l.ID)
		}
	}
	if err := h.adopt(ctx, fresh); err != nil {
		return err
	}
	for _, l := range lines {
		if l.isLater() {
			if _, err := h.later.hear(ctx, l); err != nil {
				return err
			}
		}
	}
	return h.note(ctx, lines, met, orphans)
}

// sortLine says what a line is to us and, if it is an orphan, which.
func sortLine(payments map[uuid.UUID]*Payment, l Line) (sense, string) {
	order, err := uuid.Parse(l.OrderID)
	p := payments[order]
	s, _ := p.read(l)
	switch {
	case l.Verdict == "":
		return foreign, ""
	case l.Verdict == Rejected && s != news && s != known, l.Verdict == GivenBack && l.Key == orphanKey(l.ChargeID):
		return foreign, "" // moved nothing; is a hunter's or an operator's doing
	case s == stray:
		return s, "stray"
	case s == wrong:
		return s, "wrong"
	case s == foreign && p == nil && err == nil && l.Verdict == Charged && l.Key == chargeKey(order):
		return s, "no order"
	case s == foreign:
		return s, "foreign"
	}
	return s, ""
}

// adopt has payments hear lines: those of one order one after the other, in the order of the list.
func (h *Hunter) adopt(ctx context.Context, lines []Line) error {
	for len(lines) > 0 {
		now := map[uuid.UUID]Line{}
		var later []Line
		for _, l := range lines {
			order := uuid.MustParse(l.OrderID) // its payment was found
			if _, taken := now[order]; taken {
				later = append(later, l)
				continue
			}
			now[order] = l
		}
		adopted, again, err := adopt(ctx, h.db, now)
		if err != nil {
			return err
		}
		if adopted > 0 {
			h.options.Log.WarnContext(ctx, "results that we had not heard were found in the provider's list", "payments", adopted)
		}
		if again {
			h.wake()
		}
		lines = later
	}
	return nil
}

func ordersOf(lines []Line) []uuid.UUID {
	var orders []uuid.UUID
	for _, l := range lines {
		if order, err := uuid.Parse(l.OrderID); err == nil {
			orders = append(orders, order)
		}
	}
	return orders
}

// orphanKey is the key under which a charge that nobody wants is given back.
func orphanKey(chargeID string) string { return "orphan-" + chargeID }
