package audit

import "context"

const countStock = `SELECT count(*) FROM inventory.stock`

// proveNothingNegative is S1.
func proveNothingNegative(ctx context.Context, a *auditor, v *Verdict) error {
	return a.check(ctx, v, countStock,
		rule{says: "a product's units are not below zero", sql: `
			SELECT product_id, available, allocated FROM inventory.stock WHERE available < 0 OR allocated < 0`},
		rule{says: "a movement moves units and leaves none below zero", sql: `
			SELECT id AS movement_id, product_id, kind, quantity, balance FROM inventory.movements
			WHERE balance < 0 OR quantity = 0 OR quantity < 0 AND kind IN ('opening', 'restock', 'release') OR quantity > 0 AND kind = 'reserve'`},
		rule{says: "a reserved quantity is above zero", sql: `
			SELECT order_id, product_id, quantity FROM inventory.reservation_lines WHERE quantity <= 0`},
		rule{says: "an ordered quantity is above zero", sql: `
			SELECT order_id, product_id, quantity FROM orders.lines WHERE quantity <= 0`},
		rule{says: "what archived orders took is not below zero", sql: `
			SELECT product_id, taken, movements FROM inventory.carried WHERE taken < 0 OR movements <= 0`},
		rule{says: "a quantity in a cart is above zero", sql: `
			SELECT cart_id, product_id, quantity FROM cart.lines WHERE quantity <= 0`})
}

// taken is what each product has given to orders that are not undone, by inventory's own reservations.
const taken = `
	SELECT l.product_id, sum(l.quantity) AS units
	FROM inventory.reservations r JOIN inventory.reservation_lines l ON l.order_id = r.order_id
	WHERE r.state IN ('RESERVED', 'GATHERING', 'RETURNING') AND NOT l.returned GROUP BY l.product_id`

// brokenChains finds products whose movements do not lead from nothing to what is available, each from the balance of another, whatever
// their order: every balance but the last is what some movement began with, and every beginning but the first is some balance. Links
// are hashed, so that those of movements that were archived stand in one number of the product.
const brokenChains = `
	SELECT s.product_id, s.available, c.movements AS carried, coalesce(m.chain, 0) + coalesce(c.chain, 0) AS chain, inventory.link(0, s.available) AS whole_chain
	FROM inventory.stock s
	LEFT JOIN (SELECT product_id, sum(inventory.link(balance - quantity, balance)) AS chain FROM inventory.movements GROUP BY product_id) m
	  ON m.product_id = s.product_id
	LEFT JOIN inventory.carried c ON c.product_id = s.product_id
	WHERE coalesce(m.chain, 0) + coalesce(c.chain, 0) <> inventory.link(0, s.available)`

// proveStockConserved is S2.
func proveStockConserved(ctx context.Context, a *auditor, v *Verdict) error {
	return a.check(ctx, v, countStock,
		rule{says: "the sum of a product's movements, less what archived orders took, is what is available", sql: `
			SELECT coalesce(s.product_id, m.product_id) AS product_id, s.available, m.moved
			FROM inventory.stock s
			FULL JOIN (SELECT product_id, sum(moved) AS moved FROM (
				SELECT product_id, quantity AS moved FROM inventory.movements
				UNION ALL SELECT product_id, -taken FROM inventory.carried) e GROUP BY product_id) m ON m.product_id = s.product_id
			WHERE s.available IS DISTINCT FROM coalesce(m.moved, 0)`},
		rule{says: "a product has stock, and stock is of a product", sql: `
			SELECT coalesce(p.id, s.product_id) AS product_id, p.sku FROM inventory.products p
			FULL JOIN inventory.stock s ON s.product_id = p.id WHERE p.id IS NULL OR s.product_id IS NULL`},
		rule{says: "the movements that products carry are those of archived orders", sql: carriedMovements},
		rule{says: "each movement's balance is what the one before it left", sql: brokenChains},
		rule{says: "what was supplied is available or allocated to orders that are not undone", sql: `
			SELECT s.product_id, coalesce(m.supplied, 0) AS supplied, s.available, s.allocated, coalesce(t.units, 0) AS taken, coalesce(c.taken, 0) AS carried
			FROM inventory.stock s
			LEFT JOIN (SELECT product_id, sum(quantity) AS supplied FROM inventory.movements
			           WHERE kind IN ('opening', 'restock', 'adjust') GROUP BY product_id) m ON m.product_id = s.product_id
			LEFT JOIN (` + taken + `) t ON t.product_id = s.product_id
			LEFT JOIN inventory.carried c ON c.product_id = s.product_id
			WHERE coalesce(m.supplied, 0) <> s.available + coalesce(t.units, 0) + coalesce(c.taken, 0) OR s.allocated <> coalesce(t.units, 0) + coalesce(c.taken, 0)`})
}

// proveNothingSoldTwice is S3. That the reservations are those that the orders know of can be said at rest alone.
func proveNothingSoldTwice(ctx context.Context, a *auditor, v *Verdict) error {
	rules := []rule{
		{says: "a product's reservations are the net of its reserve and release movements", sql: `
			SELECT coalesce(t.product_id, m.product_id) AS product_id, coalesce(t.units, 0) AS reserved, coalesce(m.net, 0) AS moved
			FROM (` + taken + `) t
			FULL JOIN (SELECT product_id, -sum(quantity) AS net FROM inventory.movements
			           WHERE kind IN ('reserve', 'release') GROUP BY product_id) m ON m.product_id = t.product_id
			WHERE coalesce(t.units, 0) <> coalesce(m.net, 0)`},
		{says: "an order reserves a product once and releases it once", sql: `
			SELECT order_id, product_id, kind, count(*) AS times FROM inventory.movements
			WHERE order_id IS NOT NULL GROUP BY order_id, product_id, kind HAVING count(*) > 1`},
		{says: "an order releases what it has reserved", sql: `
			SELECT b.order_id, b.product_id, b.quantity AS released, -a.quantity AS reserved
			FROM inventory.movements b
			LEFT JOIN inventory.movements a ON a.order_id = b.order_id AND a.product_id = b.product_id AND a.kind = 'reserve'
			WHERE b.kind = 'release' AND b.quantity IS DISTINCT FROM -a.quantity`},
		{says: "an order's movements are those of its reservation", sql: movementsOfReservations},
	}
	if a.rest.reached() {
		rules = append(rules, rule{says: "the reservations are the lines of the orders that are RESERVED", sql: reservedLines})
	}
	return a.check(ctx, v, `SELECT count(*) FROM inventory.reservations`, rules...)
}

// movementsOfReservations finds lines whose units are not where the state of their reservation says: with the order while it
// is RESERVED, back in stock when it is RELEASED. While lanes take and give back, each line is where its own lane has it.
const movementsOfReservations = `
	SELECT coalesce(l.order_id, m.order_id) AS order_id, coalesce(l.product_id, m.product_id) AS product_id, r.state,
		l.quantity AS reserved, coalesce(m.net, 0) AS moved
	FROM inventory.reservation_lines l
	FULL JOIN (SELECT order_id, product_id, -sum(quantity) AS net FROM inventory.movements
	           WHERE order_id IS NOT NULL GROUP BY order_id, product_id) m ON m.order_id = l.order_id AND m.product_id = l.product_id
	LEFT JOIN inventory.reservations r ON r.order_id = coalesce(l.order_id, m.order_id)
	WHERE coalesce(m.net, 0) <> CASE WHEN r.state IN ('RESERVED', 'GATHERING', 'RETURNING') AND NOT l.returned THEN coalesce(l.quantity, 0) ELSE 0 END
	   OR r.order_id IS NULL AND l.order_id IS NOT NULL`

const reservedLines = `
	SELECT coalesce(i.order_id, o.order_id) AS order_id, coalesce(i.product_id, o.product_id) AS product_id,
		i.quantity AS reserved, o.quantity AS ordered
	FROM (SELECT l.order_id, l.product_id, l.quantity FROM inventory.reservation_lines l
	      JOIN inventory.reservations r ON r.order_id = l.order_id WHERE r.state = 'RESERVED') i
	FULL JOIN (SELECT l.order_id, l.product_id, l.quantity FROM orders.lines l
	      JOIN orders.orders o ON o.id = l.order_id WHERE o.inventory_status = 'RESERVED') o
	  ON o.order_id = i.order_id AND o.product_id = i.product_id
	WHERE i.quantity IS DISTINCT FROM o.quantity`
