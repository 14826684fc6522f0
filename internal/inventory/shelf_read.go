package inventory

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// reading is how far the holds of one product have been read from the rows of carts and orders: first all of the carts, then all of
// the orders, so that a cart that is being bought is not missed. It may come as both.
type reading struct {
	product  uuid.UUID
	was, at  place      // before and after the last page
	complete bool       // there are no more
	holds    []LiveHold // of the last page
	stock    *shelved   // once it is complete, and read after that; nil: the books do not have the product
}

// place is where the next page begins.
type place struct {
	onOrder bool
	after   uuid.UUID // id of a cart, or of an order
}

func (p place) String() string {
	switch {
	case p.onOrder:
		return "order:" + p.after.String()
	case p.after != uuid.Nil:
		return "cart:" + p.after.String()
	}
	return ""
}

func placeOf(text string) (place, error) {
	if text == "" {
		return place{}, nil
	}
	kind, id, _ := strings.Cut(text, ":")
	after, err := uuid.Parse(id)
	if err != nil || kind != "cart" && kind != "order" {
		return place{}, fmt.Errorf("%q is no place in the rows", text)
	}
	return place{onOrder: kind == "order", after: after}, nil
}

// rowsPerRead is how many rows of holds are read at once.
const rowsPerRead = 1000

// read reads the next page of each product. The books are read last: what they have decided on by then holds no more, and what
// they decide later is told to the shelf while it keeps the ids of what has ended.
func (s *Shelf) read(ctx context.Context, list []*reading) error {
	for _, r := range list {
		r.was, r.holds = r.at, nil
	}
	live, err := s.readCarts(ctx, list)
	if err != nil {
		return err
	}
	onOrder, err := s.readOrders(ctx, list)
	if err != nil {
		return err
	}
	live = append(live, onOrder...)
	var complete []uuid.UUID
	pages := make(map[uuid.UUID]*shelved, len(list))
	for _, r := range list {
		pages[r.product] = &shelved{}
		if r.complete {
			complete = append(complete, r.product)
		}
	}
	stock, decided, err := readBooks(ctx, s.db, complete, live)
	if err != nil {
		return err
	}
	shelve(pages, live, decided)
	for _, r := range list {
		r.holds, r.stock = pages[r.product].holds, stock[r.product]
	}
	return nil
}

// readCarts reads holds of carts on those products of which not all are read.
func (s *Shelf) readCarts(ctx context.Context, list []*reading) ([]LiveHold, error) {
	var products, after []uuid.UUID
	for _, r := range list {
		if !r.at.onOrder {
			products, after = append(products, r.product), append(after, r.at.after)
		}
	}
	if len(products) == 0 {
		return nil, nil
	}
	most := max(entriesPerPage, rowsPerRead/len(products))
	live, ends, err := s.holders.InCarts(ctx, products, after, most)
	if err != nil {
		return nil, fmt.Errorf("holds of carts on %d products: %w", len(products), err)
	}
	for _, r := range list {
		if r.at.onOrder {
			continue
		}
		if end, more := ends[r.product]; more {
			r.at.after = end
		} else {
			r.at = place{onOrder: true}
		}
	}
	return live, nil
}

// readOrders reads the next orders under way for those products whose carts are read. They are gone through once for all of these.
func (s *Shelf) readOrders(ctx context.Context, list []*reading) ([]LiveHold, error) {
	var products []uuid.UUID
	var after uuid.UUID
	for _, r := range list {
		if !r.at.onOrder || r.complete {
			continue
		}
		if len(products) == 0 || compareIDs(r.at.after, after) < 0 {
			after = r.at.after
		}
		products = append(products, r.product)
	}
	if len(products) == 0 {
		return nil, nil
	}
	live, end, more, err := s.holders.OnOrder(ctx, products, after, rowsPerRead)
	if err != nil {
		return nil, fmt.Errorf("holds of orders on %d products: %w", len(products), err)
	}
	for _, r := range list {
		if r.at.onOrder && !r.complete {
			if r.complete = !more; more && compareIDs(end, r.at.after) > 0 {
				r.at.after = end
			}
		}
	}
	return live, nil
}

// eachPage reads all holds of products, page by page.
func (s *Shelf) eachPage(ctx context.Context, products []uuid.UUID, do func(r *reading)) error {
	list := make([]*reading, len(products))
	for i, p := range products {
		list[i] = &reading{product: p}
	}
	for len(list) > 0 {
		if err := s.read(ctx, list); err != nil {
			return err
		}
		var left []*reading
		for _, r := range list {
			do(r)
			if !r.complete {
				left = append(left, r)
			}
		}
		list = left
	}
	return nil
}
