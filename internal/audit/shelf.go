package audit

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// owed is a hold as Postgres has it: a line of a live cart, or of an order under way.
type owed struct {
	units    int64
	least    int64 // ms; from then on the entry may be gone, and an entry that ends sooner ends too soon
	most     int64 // ms; an entry that lasts for longer keeps units from everybody that nobody is to have
	order    bool
	customer string
}

// product is what Postgres says of a product.
type product struct {
	stock, version int64
	holds          map[string]owed
}

// compareProducts is the first half of R1: stock and version, the sums of the entries, and every live entry. At first the keys of a
// product are read one after the other; what differs then is read at one moment.
func (a *auditor) compareProducts(ctx context.Context, q querier, ids []uuid.UUID, exact bool) ([]differs, error) {
	shelves, now, err := a.readShelves(ctx, ids, exact)
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
	stock    []any // n, v and m
	reserved string
	entries  map[string]string
	dates    map[string]float64 // of the entries, as the set has them by which they end
	wrong    error              // a key of the wrong type
}

// loaded: without its stock a product is not in Redis, whatever is left of it there.
func (s shelf) loaded() bool { return s.wrong != nil || len(s.stock) == 3 && s.stock[0] != nil }

func (a *auditor) readShelves(ctx context.Context, ids []uuid.UUID, exact bool) ([]shelf, int64, error) {
	reads := make([]shelfRead, len(ids))
	pipe := a.Redis.Pipeline()
	for i, id := range ids {
		if exact {
			pipe = a.Redis.TxPipeline() // takes the keys of one product only
		}
		reads[i] = a.readShelf(ctx, pipe, id)
		if exact || i == len(ids)-1 {
			_, _ = pipe.Exec(ctx) // the errors are looked at one by one
		}
	}
	now := clock.Now()
	shelves := make([]shelf, len(ids))
	for i, r := range reads {
		var err error
		if shelves[i], err = r.shelf(); err != nil {
			return nil, 0, err
		}
	}
	return shelves, now.UnixMilli(), nil
}

// shelfRead is what is asked of Redis about a product.
type shelfRead struct {
	stock    *redis.SliceCmd
	reserved *redis.StringCmd
	entries  *redis.MapStringStringCmd
	dates    *redis.ZSliceCmd
}

func (a *auditor) readShelf(ctx context.Context, pipe redis.Pipeliner, id uuid.UUID) shelfRead {
	k := redisx.Keys{Namespace: a.Namespace}.Product(id)
	return shelfRead{pipe.HMGet(ctx, k[0], "n", "v", "m"), pipe.Get(ctx, k[1]), pipe.HGetAll(ctx, k[2]), pipe.ZRangeWithScores(ctx, k[3], 0, -1)}
}

func (r shelfRead) shelf() (shelf, error) {
	s := shelf{stock: r.stock.Val(), reserved: r.reserved.Val(), entries: r.entries.Val(), dates: map[string]float64{}}
	for _, err := range []error{r.stock.Err(), r.reserved.Err(), r.entries.Err(), r.dates.Err()} {
		if redisx.Unavailable(err) {
			return s, fmt.Errorf("read Redis: %w", err)
		}
		if err != nil && err != redis.Nil { //nolint:errorlint // go-redis gives Nil itself
			s.wrong = err
		}
	}
	for _, z := range r.dates.Val() {
		id, _ := z.Member.(string)
		s.dates[id] = z.Score
	}
	return s, nil
}

// against compares one product at a moment of Postgres' clock, by which entries and carts expire.
func (s shelf) against(id uuid.UUID, p product, now int64) []differs {
	if s.wrong != nil {
		return []differs{{Rule: "the product's keys can be read", Key: id, Redis: s.wrong.Error()}}
	}
	var found []differs
	differ := func(rule, is, should string) {
		if is != should {
			found = append(found, differs{Rule: rule, Key: id, Redis: is, Postgres: should})
		}
	}
	differ("stock and version are those of the row", fmt.Sprintf("%v at version %v", s.stock[0], s.stock[1]), fmt.Sprintf("%d at version %d", p.stock, p.version))
	entries, err := s.read()
	if err != nil {
		differ("an entry can be read", err.Error(), "")
		return found
	}
	sum, marked := int64(0), int64(0)
	for _, e := range entries {
		if sum += e.units; e.marks != "" {
			marked += e.units
		}
	}
	if sum != 0 || s.reserved != "" {
		differ("reserved is the sum of the entries", s.reserved, strconv.FormatInt(sum, 10))
	}
	if s.stock[2] != nil {
		differ("m is the sum of the entries that are marked", fmt.Sprint(s.stock[2]), strconv.FormatInt(marked, 10))
	}
	return append(found, s.compareEntries(id, entries, p.holds, now)...)
}

// expectedHolds are the holds that Postgres knows of: lines of open carts that were held, and lines of orders under way of
// which inventory has not heard yet. An entry lasts as long as its cart, which a checkout that came to nothing has given its time
// back; an order's until its deadline at least and a while longer, or longer still while it is refreshed.
const expectedHolds = `
	WITH under_way AS MATERIALIZED ( -- few, found by an index of their own, among many lines
		SELECT id, customer, hold_id, deadline FROM orders.orders WHERE status IN ('CREATED', 'PROCESSING', 'ENDING') AND hold_id IS NOT NULL
	)
	SELECT l.product_id, c.id, l.quantity, (extract(epoch FROM c.expires_at - interval '1 second') * 1000)::bigint,
		(extract(epoch FROM c.expires_at + interval '1 second') * 1000)::bigint, false, c.customer
	FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id
	WHERE l.product_id = ANY($1) AND l.held AND c.state = 'OPEN' AND c.expires_at IS NOT NULL
	UNION ALL
	SELECT l.product_id, o.hold_id, l.quantity, (extract(epoch FROM o.deadline) * 1000)::bigint,
		(extract(epoch FROM greatest(o.deadline, now()) + interval '2 minutes') * 1000)::bigint, true, o.customer
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
		books[id] = product{stock, version, map[string]owed{}}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	if rows, err = q.Query(ctx, expectedHolds, ids); err != nil {
		return nil, fmt.Errorf("read holds: %w", err)
	}
	var holder uuid.UUID
	var h owed
	if _, err := pgx.ForEachRow(rows, []any{&id, &holder, &h.units, &h.least, &h.most, &h.order, &h.customer}, func() error {
		if p, known := books[id]; known { // a line of a product that is no more holds nothing
			p.holds[holder.String()] = h
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read holds: %w", err)
	}
	return books, nil
}
