-- at: giveup.go boughtAfterAll
-- args: id(9500)
SELECT state = 'BOUGHT' FROM cart.carts WHERE id = $1 FOR SHARE

-- at: holds.go Service.HoldOf
-- args: 'bob', id(9500)
SELECT l.cart_id, c.customer, l.product_id, l.quantity, c.expires_at
FROM cart.carts c
CROSS JOIN LATERAL (SELECT * FROM cart.lines WHERE cart_id = c.id AND product_id = $2 AND held OFFSET 0) l -- not by the product
WHERE c.customer = $1 AND c.state = 'OPEN' AND c.expires_at > now()

-- at: holds.go Service.Holds
-- args: id(9500), ids(9500, 10)
SELECT l.cart_id, c.customer, l.product_id, l.quantity, c.expires_at
FROM cart.carts c JOIN cart.lines l ON l.cart_id = c.id
WHERE c.id = $1 AND l.product_id = ANY ($2) AND l.held AND c.state = 'OPEN' AND c.expires_at > now()

-- at: holds.go Service.LiveHolds
-- args: ids(9500, 10), array_fill('00000000-0000-0000-0000-000000000000'::uuid, '{10}'), '100'
-- allow filter: carts that have expired keep their lines for a day
-- allow growth: the same: it reads the lines of a product in all carts of the day
SELECT p.id, l.cart_id, l.quantity, c.customer, coalesce(c.expires_at, 'epoch'), c.state = 'OPEN' AND coalesce(c.expires_at > now(), false)
FROM unnest($1::uuid[], $2::uuid[]) AS p(id, after)
CROSS JOIN LATERAL (
    SELECT cart_id, quantity FROM cart.lines WHERE product_id = p.id AND held AND cart_id > p.after ORDER BY product_id, cart_id LIMIT $3
) l
CROSS JOIN LATERAL (SELECT customer, state, expires_at FROM cart.carts WHERE id = l.cart_id OFFSET 0) c -- one by one, by its key
ORDER BY p.id, l.cart_id

-- at: store.go boughtLately
-- args: 'customer0', '60000 ms'
SELECT EXISTS (SELECT FROM cart.carts WHERE customer = $1 AND state = 'BOUGHT' AND changed_at > now() - $2::interval)

-- at: store.go nextTurn
-- args: id(9500), '2'
UPDATE cart.carts SET turn = turn + 1, changed_at = now() WHERE id = $1 AND turn = $2 AND state = 'OPEN' RETURNING turn

-- at: store.go noteChange
-- args: id(9500)
UPDATE cart.carts SET changed_at = now() WHERE id = $1

-- at: store.go readByID
-- args: id(9500)
SELECT 1, now(), c.id, c.customer, c.state, c.version, c.turn, c.first_line_at, c.expires_at,
       l.product_id, l.quantity, l.unit_price_minor, l.currency, l.held
FROM (VALUES (1)) AS one
LEFT JOIN cart.carts c ON c.id = $1
LEFT JOIN cart.lines l ON l.cart_id = c.id
ORDER BY l.added_at, l.product_id

-- at: store.go readOpen
-- args: '{"ann"}'
SELECT n.at, now(), c.id, c.customer, c.state, c.version, c.turn, c.first_line_at, c.expires_at,
       l.product_id, l.quantity, l.unit_price_minor, l.currency, l.held
FROM unnest($1::text[]) WITH ORDINALITY AS n (customer, at)
LEFT JOIN LATERAL (SELECT * FROM cart.carts WHERE customer = n.customer AND state = 'OPEN' LIMIT 1) AS c ON true
LEFT JOIN LATERAL (SELECT * FROM cart.lines WHERE cart_id = c.id OFFSET 0) AS l ON true
ORDER BY n.at, l.added_at, l.product_id

-- at: store.go remember
-- args: id(9500), ids(9500, 10), '{"300"}', '{"GBP"}'
UPDATE cart.lines l SET unit_price_minor = n.price, currency = n.currency
FROM unnest($2::uuid[], $3::bigint[], $4::text[]) AS n (product_id, price, currency)
WHERE l.cart_id = $1 AND l.product_id = n.product_id AND (l.unit_price_minor, l.currency) <> (n.price, n.currency)

-- at: store.go saveCarts
-- args: ids(9500, 10), '{"ann"}', '{"1"}', '{"0"}', array_fill(now(), '{10}'), array_fill(now(), '{10}'), ids(9500, 10), ids(9500, 10), ids(9500, 10), ids(9500, 10), '{"2"}', '{"250"}', '{"GBP"}', '{"true"}'
WITH n AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::timestamptz[])
        AS n (id, customer, version, turn, first_line_at, expires_at)
), mine AS (
    SELECT c.id FROM cart.carts c WHERE c.id = ANY ($1::uuid[]) ORDER BY c.id FOR NO KEY UPDATE
), altered AS (
    UPDATE cart.carts c SET version = n.version, turn = c.turn + 1, first_line_at = n.first_line_at, expires_at = n.expires_at, changed_at = now()
    FROM n JOIN mine USING (id) WHERE c.id = n.id AND c.id = ANY ($1::uuid[]) AND c.customer = n.customer AND c.turn = n.turn AND c.state = 'OPEN'
    RETURNING c.id, c.turn
), added AS (
    INSERT INTO cart.carts (id, customer, version, turn, first_line_at, expires_at)
    SELECT id, customer, version, 1, first_line_at, expires_at FROM n WHERE turn = 0 ORDER BY customer
    ON CONFLICT (customer) WHERE state = 'OPEN' DO NOTHING
    RETURNING id, turn
), c AS (
    SELECT id, turn FROM altered UNION ALL SELECT id, turn FROM added
), gone AS (
    DELETE FROM cart.lines l USING c, unnest($7::uuid[], $8::uuid[]) AS g (cart_id, product_id)
    WHERE g.cart_id = c.id AND l.cart_id = g.cart_id AND l.cart_id = ANY ($7::uuid[]) AND l.product_id = g.product_id
), put AS (
    INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held)
    SELECT p.* FROM c JOIN unnest($9::uuid[], $10::uuid[], $11::bigint[], $12::bigint[], $13::text[], $14::boolean[])
        AS p (cart_id, product_id, quantity, unit_price_minor, currency, held) ON p.cart_id = c.id
    ON CONFLICT (cart_id, product_id) DO UPDATE
    SET quantity = excluded.quantity, unit_price_minor = excluded.unit_price_minor, currency = excluded.currency, held = excluded.held
)
SELECT id, turn FROM c

-- at: store.go take
-- args: id(9500), '1', id(9500)
UPDATE cart.carts SET state = 'BOUGHT', order_id = $3, turn = turn + 1, changed_at = now()
WHERE id = $1 AND version = $2 AND state = 'OPEN'

-- at: store_sweep.go closeEmptied
-- args: '86400000 ms', '500'
WITH old AS (
    SELECT id FROM cart.carts WHERE state = 'OPEN' AND expires_at IS NULL AND changed_at < now() - $1::interval
    ORDER BY changed_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE cart.carts SET state = 'DROPPED', turn = turn + 1, changed_at = now() WHERE id = ANY (ARRAY(SELECT id FROM old))

-- at: store_sweep.go closeExpired
-- args: '86400000 ms', '500'
WITH old AS (
    SELECT id FROM cart.carts WHERE state = 'OPEN' AND expires_at < now() - $1::interval
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM cart.lines WHERE cart_id = ANY (ARRAY(SELECT id FROM old))
)
UPDATE cart.carts SET state = 'DROPPED', turn = turn + 1, changed_at = now() WHERE id = ANY (ARRAY(SELECT id FROM old))

-- at: store_sweep.go deleteClosed
-- args: '86400000 ms', '500'
WITH old AS (
    SELECT id FROM cart.carts WHERE state <> 'OPEN' AND tidied = 2 AND changed_at < now() - $1::interval
    ORDER BY changed_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM cart.lines WHERE cart_id = ANY (ARRAY(SELECT id FROM old))
)
DELETE FROM cart.carts WHERE id = ANY (ARRAY(SELECT id FROM old))

-- at: store_sweep.go deleteLines
-- args: '60000 ms', '500'
WITH old AS (
    SELECT id FROM cart.carts WHERE state <> 'OPEN' AND tidied = 1 AND changed_at < now() - $1::interval
    ORDER BY changed_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM cart.lines WHERE cart_id = ANY (ARRAY(SELECT id FROM old))
)
UPDATE cart.carts SET tidied = 2 WHERE id = ANY (ARRAY(SELECT id FROM old))

-- at: store_sweep.go noteDropped
-- args: ids(9500, 10)
WITH mine AS (
    SELECT id FROM cart.carts WHERE id = ANY ($1) AND state <> 'OPEN' AND tidied = 0 ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE cart.carts c SET tidied = 1 FROM mine WHERE c.id = mine.id

-- at: store_sweep.go withCopies
-- args: '500'
SELECT id FROM cart.carts WHERE state <> 'OPEN' AND tidied = 0 ORDER BY changed_at LIMIT $1
