package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/client"
	"github.com/holdfast-checkout/holdfast/internal/run"
)

// maxTries bounds how often a customer tries to buy after having been refused for a reason that can be helped.
const maxTries = 8

// outcome of a checkout: an order, or why there is none.
type outcome struct {
	order   orderJSON // when placed
	placed  bool
	problem problemJSON
	took    time.Duration
}

// buy checks out, and does what a customer does about a refusal: puts right what the shop says is wrong and tries again,
// as a new request under a new key.
func (v *visit) buy(ctx context.Context) error {
	var last outcome
	for try := range maxTries {
		if !v.plan.buyNow {
			if err := v.fill(ctx); err != nil {
				return err
			}
		}
		if len(v.want) == 0 {
			v.tally.goneEmpty()
			return nil
		}
		body, err := v.checkoutBody()
		if err != nil {
			return err
		}
		key := fmt.Sprintf("replay-%s-%d-%d", v.tally.run, v.index, try)
		if last, err = v.order(ctx, request{method: http.MethodPost, path: "/orders", sub: v.sub, key: key, body: body}); err != nil {
			return err
		}
		if last.placed {
			v.tally.place(placed{v.sub, last.order.fingerprint()}, v.asWanted(last.order))
			return nil
		}
		if !v.learn(last.problem) {
			break
		}
	}
	v.tally.giveUp(last.problem.kind())
	if v.plan.buyNow {
		return nil
	}
	return v.emptyCart(ctx)
}

func (v *visit) checkoutBody() ([]byte, error) {
	b := checkoutJSON{PaymentMethod: v.plan.method, Strategy: v.options.Strategy}
	if v.plan.buyNow {
		for _, w := range v.want {
			b.Items = append(b.Items, itemJSON{w.product, w.quantity})
		}
		return json.Marshal(b)
	}
	cart, err := decode[cartJSON](answer{Answer: client.Answer{Status: http.StatusOK, Body: v.seen}})
	if err != nil {
		return nil, err
	}
	b.CartVersion = cart.Version
	return json.Marshal(b)
}

// learn changes the wish after a refusal, and says whether another try makes sense.
func (v *visit) learn(p problemJSON) bool {
	switch p.kind() {
	case "out-of-stock":
		gone := map[string]bool{}
		for _, e := range p.Errors {
			gone[e.ProductID], gone[e.SKU] = true, true
		}
		delete(gone, "")
		dropped := v.drop(func(w wanted) bool { return gone[w.product] || gone[w.sku] })
		v.tally.rejectAtCheckout(dropped)
		return dropped > 0 || !v.plan.buyNow
	case "hold-expired", "hold-lost", "price-changed":
		return true
	case "cart-changed", "cart-empty":
		return !v.plan.buyNow
	}
	return false
}

// order sends one checkout, and a second one that is the same where that is the plan.
func (v *visit) order(ctx context.Context, r request) (outcome, error) {
	if v.plan.repeat == twins {
		return v.orderTwins(ctx, r)
	}
	first, err := v.post(ctx, r)
	if err != nil || !first.placed {
		return first, err
	}
	v.tally.checkout(first.took)
	if v.plan.repeat == again {
		err = v.orderAgain(ctx, r, first.order)
	}
	return first, err
}

// orderTwins sends the same request twice at the same time. If only one of them came through, the other is asked again:
// by now it has to get the same order.
func (v *visit) orderTwins(ctx context.Context, r request) (outcome, error) {
	var out [2]outcome
	var errs [2]error
	var both sync.WaitGroup
	for i := range out {
		both.Go(func() { out[i], errs[i] = v.post(ctx, r) })
	}
	both.Wait()
	for _, err := range errs {
		if err != nil {
			return outcome{}, err
		}
	}
	first, second := out[0], out[1]
	if !first.placed {
		first, second = second, first
	}
	switch {
	case !first.placed:
		return first, nil
	case second.placed:
		v.tally.checkout(first.took)
		v.tally.repeat(first.order.fingerprint() == second.order.fingerprint())
		return first, nil
	}
	v.tally.checkout(first.took)
	return first, v.orderAgain(ctx, r, first.order)
}

// orderAgain repeats a request that made an order.
func (v *visit) orderAgain(ctx context.Context, r request, made orderJSON) error {
	second, err := v.post(ctx, r)
	if err != nil {
		return err
	}
	v.tally.repeat(second.placed && second.order.fingerprint() == made.fingerprint())
	return nil
}

// post sends a checkout until it is answered. A refusal after an attempt of unknown outcome may be that attempt's doing,
// so it is asked for once more when that attempt has had the time to end.
func (v *visit) post(ctx context.Context, r request) (outcome, error) {
	a, err := v.client.send(ctx, r)
	if err == nil && a.refused() && a.unsure {
		if err := run.Pause(ctx, lastPause); err != nil {
			return outcome{}, err
		}
		a, err = v.client.send(ctx, r)
	}
	switch {
	case err != nil:
		return outcome{}, err
	case a.refused():
		return outcome{problem: a.problem()}, nil
	case a.Status != http.StatusCreated && a.Status != http.StatusAccepted:
		return outcome{}, a.unexpected("check out")
	}
	order, err := decode[orderJSON](a)
	return outcome{order: order, placed: true, took: a.Took}, err
}

// asWanted says whether an order has the lines that were asked for.
func (v *visit) asWanted(o orderJSON) bool {
	left := make(map[string]int64, len(v.want))
	for _, w := range v.want {
		left[w.product] += w.quantity
	}
	for _, l := range o.Lines {
		left[l.ProductID] -= l.Quantity
	}
	for _, n := range left {
		if n != 0 {
			return false
		}
	}
	return true
}
