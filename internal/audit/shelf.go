package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// hold is what somebody holds of a product: an entry of holds:{p}, or the rows in Postgres that it stands for.
type hold struct {
	units   int64
	expires int64 // ms; an entry counts until then, rows must be in Redis until then
	most    int64 // ms; of rows: an entry that lasts for longer keeps units from everybody that nobody is to have
}

// product is what Postgres says of a product.
type product struct {
	stock, version int64
	holds          map[string]hold
}

// compareProducts is the first half of R1: stock and version, the sum of the entries, and every live entry.
func (a *auditor) compareProducts(ctx context.Context, q querier, ids []uuid.UUID) ([]differs, error) {
	shelves, now, err := a.readShelves(ctx, ids)
	if err != nil {
		return nil, err
	}
	books, err := readProducts(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	var found []differs
	for i, id := range ids {
		if shelves[i].loaded() {
			found = append(found, shelves[i].against(id, books[id], now)...)
		}
	}
	return found, nil
}

// shelf is a product as its keys in Redis hold it, unread.
type shelf struct {
	stock    []any // n and v
	reserved string
	entries  map[string]string
	wrong    error // a key of the wrong type
}

// loaded: without its stock a product is not in Redis, whatever is left of it there.
func (s shelf) loaded() bool { return s.wrong != nil || len(s.stock) == 2 && s.stock[0] != nil }

func (a *auditor) readShelves(ctx context.Context, ids []uuid.UUID) ([]shelf, int64, error) {
	keys := redisx.Keys{Namespace: a.Namespace}
	stocks, reserved, entries := make([]*redis.SliceCmd, len(ids)), make([]*redis.StringCmd, len(ids)), make([]*redis.MapStringStringCmd, len(ids))
	pipe := a.Redis.Pipeline()
	for i, id := range ids {
		k := keys.Product(id)
		stocks[i], reserved[i], entries[i] = pipe.HMGet(ctx, k[0], "n", "v"), pipe.Get(ctx, k[1]), pipe.HGetAll(ctx, k[2])
	}
	_, _ = pipe.Exec(ctx) // the errors are looked at one by one
	now := clock.Now()
	shelves := make([]shelf, len(ids))
	for i := range ids {
		s := shelf{stock: stocks[i].Val(), reserved: reserved[i].Val(), entries: entries[i].Val()}
		for _, err := range []error{stocks[i].Err(), reserved[i].Err(), entries[i].Err()} {
			if redisx.Unavailable(err) {
				return nil, 0, fmt.Errorf("read Redis: %w", err)
			}
			if err != nil && err != redis.Nil { //nolint:errorlint // go-redis gives Nil itself
				s.wrong = err
			}
		}
		shelves[i] = s
	}
	return shelves, now.UnixMilli(), nil
}

// against compares one product at a moment of Postgres' clock, by which entries and carts expire.
func (s shelf) against(id uuid.UUID, p product, now int64) []differs {
	if s.wrong != nil {
		return []differs{{"the product's keys can be read", id, s.wrong.Error(), ""}}
	}
	var found []differs
	is, should := fmt.Sprintf("%v at version %v", s.stock[0], s.stock[1]), fmt.Sprintf("%d at version %d", p.stock, p.version)
	if is != should {
		found = append(found, differs{"stock and version are those of the row", id, is, should})
	}
	live, sum, err := s.live(now)
	if err != nil {
		return append(found, differs{"an entry can be read", id, err.Error(), ""})
	}
	if said := strconv.FormatInt(sum, 10); s.reserved != said && (sum != 0 || s.reserved != "") {
		found = append(found, differs{"reserved is the sum of the entries", id, s.reserved, said})
	}
	if is, should := differing(live, p.holds, now); is != should {
		found = append(found, differs{"the live entries are the live cart lines and the holds of orders", id, is, should})
	}
	return found
}

// live reads the entries, "units:expiry in ms", the owner behind it where it is known: those that count, and the sum of all.
func (s shelf) live(now int64) (map[string]hold, int64, error) {
	live, sum := make(map[string]hold, len(s.entries)), int64(0)
	for id, value := range s.entries {
		units, rest, _ := strings.Cut(value, ":")
		expires, _, _ := strings.Cut(rest, ":")
		q, err1 := strconv.ParseInt(units, 10, 64)
		e, err2 := strconv.ParseInt(expires, 10, 64)
		if err1 != nil || err2 != nil || q <= 0 {
			return nil, 0, fmt.Errorf("%s: %q", id, value)
		}
		sum += q
		if e > now {
			live[id] = hold{units: q, expires: e}
		}
	}
	return live, sum, nil
}

// differing shows the holds on which the two sides do not agree: twice the empty text if they all agree.
func differing(is, should map[string]hold, now int64) (string, string) {
	ids := maps.Clone(is)
	maps.Copy(ids, should)
	var left, right []string
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		here, there := is[id], should[id]
		over := there.expires <= now && here.units == 0
		if here.units > 0 && here.units == there.units && here.expires > there.most && len(left) < firstRows {
			left = append(left, fmt.Sprintf("%s: %d until %d", id, here.units, here.expires))
			right = append(right, fmt.Sprintf("%s: %d until %d", id, there.units, there.expires))
		}
		if here.units != there.units && !over && len(left) < firstRows {
			left, right = append(left, fmt.Sprintf("%s: %d", id, here.units)), append(right, fmt.Sprintf("%s: %d", id, there.units))
		}
	}
	return strings.Join(left, ", "), strings.Join(right, ", ")
}

// expectedHolds are the holds that Postgres knows of: lines of open carts that were held, and lines of orders under way of
// which inventory has not heard yet. An entry lasts as long as its cart, which a checkout that came to nothing has given its time
// back; an order's until a while after its deadline, and longer while it is refreshed.
const expectedHolds = `
	WITH under_way AS MATERIALIZED ( -- few, found by an index of their own, among many lines
		SELECT id, hold_id, deadline FROM orders.orders WHERE status IN ('CREATED', 'PROCESSING', 'ENDING') AND hold_id IS NOT NULL
	)
	SELECT l.product_id, c.id, l.quantity, (extract(epoch FROM c.expires_at) * 1000)::bigint,
		(extract(epoch FROM c.expires_at + interval '1 second') * 1000)::bigint
	FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id
	WHERE l.product_id = ANY($1) AND l.held AND c.state = 'OPEN' AND c.expires_at IS NOT NULL
	UNION ALL
	SELECT l.product_id, o.hold_id, l.quantity, (extract(epoch FROM o.deadline) * 1000)::bigint,
		(extract(epoch FROM greatest(o.deadline, now()) + interval '2 minutes') * 1000)::bigint
	FROM under_way o JOIN orders.lines l ON l.order_id = o.id
	WHERE l.product_id = ANY($1) AND NOT EXISTS (SELECT FROM inventory.reservations r WHERE r.order_id = o.id AND (r.state <> 'GATHERING'
		OR EXISTS (SELECT FROM inventory.reservation_lines t WHERE t.order_id = o.id AND t.product_id = l.product_id))) -- its lanes take one by one`

func readProducts(ctx context.Context, q querier, ids []uuid.UUID) (map[uuid.UUID]product, error) {
	books := make(map[uuid.UUID]product, len(ids))
	rows, err := q.Query(ctx, `SELECT product_id, available, version FROM inventory.stock WHERE product_id = ANY($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	var id uuid.UUID
	var stock, version int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &stock, &version}, func() error {
		books[id] = product{stock, version, map[string]hold{}}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	if rows, err = q.Query(ctx, expectedHolds, ids); err != nil {
		return nil, fmt.Errorf("read holds: %w", err)
	}
	var holder uuid.UUID
	var h hold
	if _, err := pgx.ForEachRow(rows, []any{&id, &holder, &h.units, &h.expires, &h.most}, func() error {
		if p, known := books[id]; known { // a line of a product that is no more holds nothing
			p.holds[holder.String()] = h
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read holds: %w", err)
	}
	return books, nil
}
