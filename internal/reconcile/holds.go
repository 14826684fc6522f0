package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// expected is a hold that Postgres knows of: a line of an open cart, or a line of an order under way of which inventory has
// not heard yet.
type expected struct {
	hold           // a cart whose time is over may still hold in Redis, which decides that
	least    int64 // ms; an entry that ends sooner ends too soon
	most     int64 // ms; an entry that ends later is what a checkout has left that came to nothing
	order    bool  // it is of an order
	young    bool  // changed within the cooldown
	customer string
}

// owner is who has a hold on the shelf that Postgres does not know of.
type owner struct {
	settled bool // it ended, or gave the hold up, longer ago than the cooldown: nobody is about to need it
	young   bool // it ended or was made within the cooldown
}

// orderMargin is how much longer than its deadline an order's units are held, or from now on where it is overdue: these are
// refreshed often enough for a third of it to be left at any time. roundings are what two clocks make of one moment.
const (
	orderMargin = time.Minute
	roundings   = time.Second
)

const expectedSQL = `
	WITH under_way AS MATERIALIZED ( -- few, found by an index of their own, among many lines
		SELECT id, customer, hold_id, deadline, created_at FROM orders.orders WHERE ended_at IS NULL AND hold_id IS NOT NULL
	)
	SELECT l.product_id, c.id, l.quantity, (extract(epoch FROM c.expires_at) * 1000)::bigint,
		(extract(epoch FROM c.expires_at - $4::interval) * 1000)::bigint, (extract(epoch FROM c.expires_at + $4::interval) * 1000)::bigint, false, c.changed_at > now() - $2::interval, c.customer
	FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id
	WHERE l.product_id = ANY($1) AND l.held AND c.state = 'OPEN' AND c.expires_at IS NOT NULL
	UNION ALL
	SELECT l.product_id, o.hold_id, l.quantity, (extract(epoch FROM greatest(o.deadline, now()) + $3::interval) * 1000)::bigint,
		(extract(epoch FROM greatest(o.deadline + $3::interval, now() + $3::interval / 3) - $4::interval) * 1000)::bigint,
		(extract(epoch FROM greatest(o.deadline, now()) + 2 * $3::interval) * 1000)::bigint, true,
		o.created_at > now() - $2::interval, o.customer
	FROM under_way o CROSS JOIN LATERAL (SELECT * FROM orders.lines WHERE order_id = o.id OFFSET 0) l
	WHERE l.product_id = ANY($1) AND NOT EXISTS (SELECT FROM inventory.reservations r WHERE r.order_id = o.id AND (r.state <> 'GATHERING'
		OR EXISTS (SELECT FROM inventory.reservation_lines t WHERE t.order_id = o.id AND t.product_id = l.product_id))) -- its lanes take one by one`

// expectedHolds is one statement, so that a cart that is bought meanwhile is seen as the cart or as the order.
func (p *pass) expectedHolds(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]map[string]expected, error) {
	rows, err := p.Postgres.Query(ctx, expectedSQL, ids, p.Cooldown, orderMargin, roundings)
	if err != nil {
		return nil, fmt.Errorf("read holds of %d products: %w", len(ids), err)
	}
	holds := make(map[uuid.UUID]map[string]expected, len(ids))
	var product, id uuid.UUID
	var e expected
	_, err = pgx.ForEachRow(rows, []any{&product, &id, &e.quantity, &e.expires, &e.least, &e.most, &e.order, &e.young, &e.customer}, func() error {
		if holds[product] == nil {
			holds[product] = map[string]expected{}
		}
		holds[product][id.String()] = e
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read holds of %d products: %w", len(ids), err)
	}
	return holds, nil
}

// ownersSQL looks for the carts and orders behind hold ids. A hold id is a cart's, or an order's that was bought without one.
const ownersSQL = `
	SELECT i.id, l.changed < now() - $2::interval AND NOT l.open, l.changed > now() - $2::interval
	FROM unnest($1::uuid[]) AS i(id)
	LEFT JOIN cart.carts c ON c.id = i.id
	LEFT JOIN orders.orders o ON o.id = coalesce(c.order_id, i.id)
	LEFT JOIN inventory.reservations r ON r.order_id = o.id,
	LATERAL (SELECT greatest(c.changed_at, o.created_at, o.ended_at, r.decided_at, r.released_at) AS changed, coalesce(c.state = 'OPEN', false) AS open) l
	WHERE c.id IS NOT NULL OR o.id IS NOT NULL`

// ownersOfOthers finds who is behind the live holds on these shelves that Postgres does not know of.
func (p *pass) ownersOfOthers(ctx context.Context, shelves []shelf, holds map[uuid.UUID]map[string]expected) (map[string]owner, error) {
	var ids []uuid.UUID
	for _, s := range shelves {
		for id := range s.entries {
			if parsed, err := uuid.Parse(id); err == nil {
				if _, known := holds[s.id][id]; !known {
					ids = append(ids, parsed)
				}
			}
		}
	}
	owners := map[string]owner{}
	if len(ids) == 0 {
		return owners, nil
	}
	rows, err := p.Postgres.Query(ctx, ownersSQL, ids, p.Cooldown)
	if err != nil {
		return nil, fmt.Errorf("look for the owners of %d holds: %w", len(ids), err)
	}
	var id uuid.UUID
	var o owner
	_, err = pgx.ForEachRow(rows, []any{&id, &o.settled, &o.young}, func() error {
		owners[id.String()] = o
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for the owners of %d holds: %w", len(ids), err)
	}
	return owners, nil
}

// compareHolds is the pair of reserved:{p}, holds:{p} and the rows. It enters into fix what is to be dropped and set.
func (p *pass) compareHolds(s shelf, r row, fix *repair) (Difference, bool) {
	wrong, nothing := s.undated()
	fix.drop = append(fix.drop, nothing...)
	for id, value := range s.entries {
		h, readable := parse(value)
		if !readable {
			fix.drop = append(fix.drop, id)
			continue
		}
		p.compareHold(s, r, id, h, fix)
	}
	for id, e := range r.holds {
		h, _ := parse(s.entries[id])
		if e.live(s.now) && !e.young && !h.live(s.now) { // lost: rows are written after the shelf, and taken away before it
			fix.set = append(fix.set, entry{id, e.hold, p.behind(e, h)})
		}
	}
	p.compareDates(s, r, wrong, fix)
	fix.sum, fix.marked = s.sums()
	sums := !fix.single && (s.reserved != strconv.FormatInt(fix.sum, 10) && (fix.sum != 0 || s.reserved != "") ||
		s.marked != strconv.FormatInt(fix.marked, 10) && s.marked != "")
	if len(fix.drop)+len(fix.set) == 0 && !sums {
		return Difference{}, false
	}
	is, ought := holdsText(s, fix)
	return Difference{
		Pair: pairHolds, Key: "holds:{" + s.id.String() + "}",
		Redis: sumsText(s.reserved, s.marked) + is, Postgres: sumsText(strconv.FormatInt(fix.sumAfter(s), 10), "") + ought,
	}, true
}

// compareHold judges one entry that can be read. One that has expired counts for nobody and is left to the sweeper.
func (p *pass) compareHold(s shelf, r row, id string, h hold, fix *repair) {
	if !h.live(s.now) {
		return
	}
	e, known := r.holds[id]
	switch {
	case known && h.expires > e.most:
		p.tooLong(s, id, h, e, fix)
	case known && e.quantity == h.quantity && h.expires >= e.least && h.as(e):
	case known && e.quantity == h.quantity:
		if !e.young && (e.order || p.doubted(s.id, id, s.entries[id])) {
			fix.set = append(fix.set, entry{id, within(h, e), p.behind(e, h)})
		}
	case known:
		if !e.young && p.doubted(s.id, id, s.entries[id]) {
			fix.set = append(fix.set, entry{id, within(h, e), p.behind(e, h)})
		}
	case p.nobodys(s.id, id, s.entries[id], r.owners):
		fix.drop = append(fix.drop, id)
	}
}

// tooLong judges an entry that ends later than its cart or order says. It may be of a checkout under way; one that has died, or
// could not undo what it did, leaves it as it is.
func (p *pass) tooLong(s shelf, id string, h hold, e expected, fix *repair) {
	switch {
	case e.young:
	case !p.doubted(s.id, id, s.entries[id]):
		p.leave(s.id, id)
	case e.live(s.now):
		fix.set = append(fix.set, entry{id, e.hold, p.behind(e, h)})
	default:
		fix.drop = append(fix.drop, id)
	}
}

// behind is what stands behind an entry that is set: its owner where that is kept, and the mark of what is an order's.
func (p *pass) behind(e expected, is hold) string {
	owner := ""
	if p.Owners || is.owner != "" {
		owner = ":" + redisx.Owner(e.customer)
	}
	if e.order {
		return cmp.Or(owner, ":") + ":order"
	}
	return owner
}

// nobodys says whether a hold that Postgres does not know of is nobody's. It may be about to be somebody's: units are held
// before the rows of the cart line or the order are written.
func (p *pass) nobodys(product uuid.UUID, id, value string, owners map[string]owner) bool {
	o, known := owners[id]
	parsed, err := uuid.Parse(id)
	switch {
	case known && o.young: // of no row that the next run would look at, so look again in this one
		if !p.settled {
			p.doubted(product, id, value)
		}
		p.leave(product, id)
		return false
	case known && o.settled, err != nil:
		return true
	case !known && parsed.Version() == 7 && clock.Since(madeAt(parsed)) > ancient:
		return true
	case p.doubted(product, id, value):
		return true
	default:
		p.leave(product, id)
		return false
	}
}

// ancient is how old the id of a hold is that no request still on its way can be about to write rows for.
const ancient = 5 * time.Minute

// madeAt is the moment that a UUIDv7 carries.
func madeAt(id uuid.UUID) time.Time {
	seconds, nanos := id.Time().UnixTime()
	return time.Unix(seconds, nanos)
}

// sumAfter is the sum of the entries once the repair is done.
func (r *repair) sumAfter(s shelf) int64 {
	sum := r.sum
	for _, id := range r.drop {
		h, _ := parse(s.entries[id])
		sum -= max(h.quantity, 0)
	}
	for _, e := range r.set {
		h, readable := parse(s.entries[e.id])
		if readable {
			sum -= h.quantity
		}
		sum += e.quantity
	}
	return sum
}

// shownHolds is how many holds a difference spells out.
const shownHolds = 10

// holdsText shows the holds that a repair changes, as they are and as they ought to be.
func holdsText(s shelf, fix *repair) (is, ought string) {
	changed := map[string]string{}
	for _, id := range fix.drop {
		changed[id] = "none"
	}
	for _, e := range fix.set {
		changed[e.id] = strconv.FormatInt(e.quantity, 10) + ":" + strconv.FormatInt(e.expires, 10)
	}
	var left, right strings.Builder
	for _, id := range slices.Sorted(maps.Keys(changed))[:min(len(changed), shownHolds)] {
		value, there := s.entries[id]
		if !there {
			value = "none"
		}
		fmt.Fprintf(&left, ", %s: %s", id, value)
		fmt.Fprintf(&right, ", %s: %s", id, changed[id])
	}
	return left.String(), right.String()
}
