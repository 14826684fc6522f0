package replay

import (
	"context"
	"fmt"
	"net/http"
	"slices"
)

// visit is one customer with one invoice.
type visit struct {
	*player
	sub     string
	index   int // of the invoice in the run
	plan    plan
	want    []wanted // lines that can still be had
	visited bool     // the cart was filled before, so that it has to be read first
	seen    []byte   // the cart as last answered
}

// wanted is a line by the server's id of the product.
type wanted struct {
	product, sku string
	quantity     int64
}

func (p *player) newVisit(inv invoice, index int) *visit {
	v := &visit{player: p, sub: inv.customer, index: index, plan: inv.plan}
	if v.sub == "" {
		v.sub = fmt.Sprintf("guest-%s-%d", p.tally.run, index)
	}
	for _, l := range inv.lines {
		v.want = append(v.want, wanted{p.products[l.sku], l.sku, l.quantity})
	}
	return v
}

// fill makes the cart what is wanted, line by line, and drops what cannot be had.
func (v *visit) fill(ctx context.Context) error {
	have := map[string]cartItemJSON{}
	if v.visited {
		cart, err := v.readCart(ctx)
		if err != nil {
			return err
		}
		for _, item := range cart.Items {
			have[item.ProductID] = item
		}
	}
	v.visited = true
	if err := v.takeOut(ctx, have); err != nil {
		return err
	}
	for _, w := range slices.Clone(v.want) {
		if item, ok := have[w.product]; ok && item.Held && item.Quantity == w.quantity {
			continue
		}
		if err := v.put(ctx, w, have[w.product].Quantity > 0); err != nil {
			return err
		}
	}
	return nil
}

// takeOut removes from the cart what is not wanted any more.
func (v *visit) takeOut(ctx context.Context, have map[string]cartItemJSON) error {
	for product := range have {
		if slices.ContainsFunc(v.want, func(w wanted) bool { return w.product == product }) {
			continue
		}
		if _, err := v.setQuantity(ctx, product, 0); err != nil {
			return err
		}
	}
	return nil
}

// put puts one line into the cart, or drops it when the shop cannot give it; what the cart still has of it goes too.
func (v *visit) put(ctx context.Context, w wanted, inCart bool) error {
	a, err := v.setQuantity(ctx, w.product, w.quantity)
	if err != nil {
		return err
	}
	v.tally.cart(a.Took)
	if !a.refused() {
		return nil
	}
	v.tally.rejectAtCart(a.problem().kind())
	v.drop(func(x wanted) bool { return x.product == w.product })
	if inCart {
		_, err = v.setQuantity(ctx, w.product, 0)
	}
	return err
}

// setQuantity sets a line of the cart. The answer is the cart, or a refusal.
func (v *visit) setQuantity(ctx context.Context, product string, quantity int64) (answer, error) {
	body := fmt.Appendf(nil, `{"quantity":%d}`, quantity)
	a, err := v.client.send(ctx, request{method: http.MethodPut, path: "/cart/items/" + product, sub: v.sub, body: body})
	if err != nil {
		return a, err
	}
	if a.Status == http.StatusOK {
		v.seen = a.Body
	} else if !a.refused() {
		return a, a.unexpected("put into the cart")
	}
	return a, nil
}

func (v *visit) readCart(ctx context.Context) (cartJSON, error) {
	a, err := v.client.send(ctx, request{method: http.MethodGet, path: "/cart", sub: v.sub})
	if err != nil {
		return cartJSON{}, err
	}
	if a.Status != http.StatusOK {
		return cartJSON{}, a.unexpected("read the cart")
	}
	v.seen = a.Body
	return decode[cartJSON](a)
}

func (v *visit) emptyCart(ctx context.Context) error {
	a, err := v.client.send(ctx, request{method: http.MethodDelete, path: "/cart", sub: v.sub})
	if err != nil {
		return err
	}
	if a.Status >= 300 && a.Status != http.StatusNotFound {
		return a.unexpected("empty the cart")
	}
	return nil
}

// drop takes out of the wish what cannot be had, and says how many lines it were.
func (v *visit) drop(gone func(wanted) bool) int {
	before := len(v.want)
	v.want = slices.DeleteFunc(v.want, gone)
	return before - len(v.want)
}
