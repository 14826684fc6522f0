package inventory

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// Codes that the scripts of a product answer first.
const (
	yes       = 1
	no        = 0
	again     = 2
	notLoaded = -1
	past      = -2
	limited   = 3
)

// Bounds of what one call repeats. A script that answers again has dropped 100 expired entries; a load that is refused was
// overtaken by a change, and somebody has got on.
const (
	mostRounds = 2000
	mostLoads  = 20
)

var errRestless = errors.New("the product changes faster than it can be loaded")

// each runs calls(i) for every product, the first of which is a script that answers a code, and hands the answers to take.
// What is not loaded is loaded and run again, and so is what answered again. A product that the books do not have is refused
// with zeros.
func (s *Shelf) each(ctx context.Context, products []uuid.UUID, calls func(i int) []redisx.Call, take func(i int, code int64, answer []any) error) error {
	open := make([]int, len(products))
	for i := range products {
		open[i] = i
	}
	for round, loads := 0, 0; len(open) > 0; round++ {
		if round == mostRounds || loads > mostLoads {
			return errRestless
		}
		repeat, missing, err := s.round(ctx, open, calls, take)
		if err != nil && round > 0 {
			err = redisx.Sent(err)
		}
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			loads++
			there, err := s.load(ctx, pick(products, missing))
			if err != nil {
				return redisx.Sent(err)
			}
			for _, i := range missing {
				if there[products[i]] {
					repeat = append(repeat, i)
				} else if err := take(i, no, nil); err != nil {
					return err
				}
			}
		}
		open = repeat
	}
	return nil
}

// round sends the open calls once.
func (s *Shelf) round(ctx context.Context, open []int, calls func(i int) []redisx.Call, take func(i int, code int64, answer []any) error) (repeat, missing []int, err error) {
	var list []redisx.Call
	first := make([]int, len(open))
	for at, i := range open {
		first[at] = len(list)
		list = append(list, calls(i)...)
	}
	replies, err := s.scripts.Run(ctx, list)
	if err != nil {
		return nil, nil, err
	}
	for at, i := range open {
		answer, err := listOf(replies[first[at]])
		if err != nil {
			return nil, nil, err
		}
		switch code := number(answer, 0); code {
		case again:
			repeat = append(repeat, i)
		case notLoaded:
			missing = append(missing, i)
		default:
			if err := take(i, code, answer); err != nil {
				return nil, nil, err
			}
		}
	}
	return repeat, missing, nil
}

// Load puts products on the shelf that are not there, or are damaged there, as the books and the owners of holds have them.
func (s *Shelf) Load(ctx context.Context, productIDs []uuid.UUID) error {
	_, err := s.load(ctx, productIDs)
	return err
}

// entriesPerCall is how many holds one call of the load script takes.
const entriesPerCall = 500

// load gives the products that the books have; all of these are loaded then, by this call or another's.
//
// The sequence is asked for first, the owners of holds then, the books last: what changes on the shelf from the first step
// on has the load refused, and a hold whose order the books have decided on meanwhile is left out.
func (s *Shelf) load(ctx context.Context, products []uuid.UUID) (map[uuid.UUID]bool, error) {
	there := make(map[uuid.UUID]bool, len(products))
	for range mostLoads {
		var open []uuid.UUID
		sequence, err := s.open(ctx, products)
		if err != nil {
			return nil, err
		}
		for _, p := range products {
			if _, closed := sequence[p]; closed {
				open = append(open, p)
			} else {
				there[p] = true
			}
		}
		if len(open) == 0 {
			return there, nil
		}
		live, err := s.holders.LiveHolds(ctx, open)
		if err != nil {
			return nil, fmt.Errorf("live holds of %d products: %w", len(open), err)
		}
		stock, err := readStock(ctx, s.db, open, live)
		if err != nil {
			return nil, err
		}
		if products, err = s.write(ctx, stock, sequence); err != nil {
			return nil, err
		}
		for p := range stock {
			there[p] = true
		}
		if len(products) == 0 {
			return there, nil
		}
	}
	return nil, errRestless
}

// open gives the change sequence of the products that are not loaded.
func (s *Shelf) open(ctx context.Context, products []uuid.UUID) (map[uuid.UUID]any, error) {
	calls := make([]redisx.Call, len(products))
	for i, p := range products {
		calls[i] = redisx.Call{Script: lua.Open, Keys: s.keys.Product(p)}
	}
	replies, err := s.scripts.Run(ctx, calls)
	if err != nil {
		return nil, err
	}
	sequence := make(map[uuid.UUID]any, len(products))
	for i, p := range products {
		answer, err := listOf(replies[i])
		if err != nil {
			return nil, fmt.Errorf("open product %s: %w", p, err)
		}
		if number(answer, 0) != yes {
			sequence[p] = answer[1]
		}
	}
	return sequence, nil
}

// write sends what was read, and gives the products that have changed meanwhile.
func (s *Shelf) write(ctx context.Context, stock map[uuid.UUID]*shelved, sequence map[uuid.UUID]any) (restless []uuid.UUID, err error) {
	for len(stock) > 0 {
		var calls []redisx.Call
		var order []uuid.UUID
		for p, row := range stock {
			calls = append(calls, s.loadCall(p, row, sequence[p]))
			order = append(order, p)
		}
		at := len(calls)
		for p, row := range stock {
			for _, h := range row.next() {
				calls = append(calls, redisx.Command("ZADD", s.keys.Due(p), "LT", h.ExpiresAt.UnixMilli(), p.String()))
			}
		}
		replies, err := s.scripts.Run(ctx, calls)
		if err != nil {
			return nil, err
		}
		left := map[uuid.UUID]*shelved{}
		for i, r := range replies[:at] {
			p := order[i]
			answer, err := listOf(r)
			if err != nil {
				return nil, fmt.Errorf("load product %s: %w", p, err)
			}
			row := stock[p]
			row.holds = row.holds[len(row.next()):]
			switch {
			case number(answer, 0) != yes:
				restless = append(restless, p)
			case len(row.holds) > 0:
				left[p], sequence[p] = row, answer[1]
			}
		}
		stock = left
	}
	return restless, nil
}

// shelved is what the books and the owners of holds say of one product.
type shelved struct {
	available, version int64
	holds              []LiveHold
}

// next are the holds that go in the next call.
func (r *shelved) next() []LiveHold { return r.holds[:min(len(r.holds), entriesPerCall)] }

func (s *Shelf) loadCall(p uuid.UUID, row *shelved, sequence any) redisx.Call {
	last := 1
	if len(row.holds) > entriesPerCall {
		last = 0
	}
	args := []any{sequence, last, row.available, row.version}
	for _, h := range row.next() {
		args = append(args, h.HoldID.String(), h.Quantity, s.Limits.dated(h))
	}
	return redisx.Call{Script: lua.Load, Keys: s.keys.Product(p), Args: args}
}

func pick(products []uuid.UUID, at []int) []uuid.UUID {
	picked := make([]uuid.UUID, len(at))
	for i, j := range at {
		picked[i] = products[j]
	}
	return picked
}

func listOf(r redisx.Reply) ([]any, error) {
	if r.Err != nil {
		return nil, r.Err
	}
	list, ok := r.Value.([]any)
	if !ok || len(list) == 0 {
		return nil, fmt.Errorf("script answered %v", r.Value)
	}
	return list, nil
}

// number gives a whole number of a script's answer, 0 where there is none.
func number(answer []any, at int) int64 {
	if at >= len(answer) {
		return 0
	}
	n, _ := answer[at].(int64)
	return n
}
