package inventory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// Codes that the scripts of a product answer first.
const (
	yes       = 1
	no        = 0
	again     = 2
	notLoaded = -1
	past      = -2
	limited   = 3
	cut       = 4
)

// mostRounds bounds what one call repeats: a script that answers again has dropped 100 expired entries.
const mostRounds = 2000

var errRestless = errors.New("the product has more expired holds than can be dropped")

// errLoading says that units cannot be held, for the product is still coming back to Redis. What has been asked of other products
// is done.
var errLoading = errors.New("the product is being loaded")

// Loading says of an error that what was asked for is on its way to Redis: whoever comes again shortly is served.
func Loading(err error) bool { return errors.Is(err, errLoading) }

// errNoneHeld says of a call that it has held nothing.
var errNoneHeld = errors.New("nothing was held")

// NothingHeld says of an error of holding that no unit is held by that call, for sure.
func NothingHeld(err error) bool { return redisx.NotSent(err) || errors.Is(err, errNoneHeld) }

// stillLoading refuses what waits for products that are not there yet.
func stillLoading(products int) error {
	f := fault.New(fault.Unavailable, "%d products are coming back from an outage: try again", products).Because(errLoading)
	f.RetryAfter = time.Second
	return f
}

// each runs calls(i) for every product, the first of which is a script that answers a code, and hands the answers to take.
// What is not loaded is loaded and run again, and so is what answered again. A product that the books do not have is refused
// with zeros. What takes longer to load than a request waits is an error that is Loading, once all others have been served.
func (s *Shelf) each(ctx context.Context, products []uuid.UUID, calls func(i int) []redisx.Call, take func(i int, code int64, answer []any) error) error {
	open := make([]int, len(products))
	for i := range products {
		open[i] = i
	}
	loading, wait := 0, patience{most: s.LoadWait, forLong: s.LoadWait / 4}
	for round := 0; len(open) > 0; round++ {
		if round == mostRounds {
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
			there, err := s.load(ctx, pick(products, missing), &wait)
			if err != nil {
				return redisx.Sent(err)
			}
			for _, i := range missing {
				switch there[products[i]] {
				case isLoaded:
					repeat = append(repeat, i)
				case isLoading:
					loading++
				case isUnknown:
					if err := take(i, no, nil); err != nil {
						return err
					}
				}
			}
		}
		open = repeat
	}
	if loading > 0 {
		return stillLoading(loading)
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
