package compare

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/client"
)

const (
	patience = 3 * time.Minute // with one order
	price    = 250
)

// shop is a server as the customers of one cell reach it.
type shop struct {
	*client.Client
	cell     cell
	prefix   string // of the skus
	token    func(sub string, admin bool) (string, error)
	operator string
	ids      map[string]string // of products, by their sku
}

func newShop(server *Server, c cell) (*shop, error) {
	s := &shop{Client: client.New(server.URL, c.customers, patience), cell: c, prefix: c.name + "-", token: server.Token}
	var err error
	s.operator, err = server.Token("compare", true)
	return s, err
}

// stock makes the products.
func (s *shop) stock(ctx context.Context, units map[string]int64) error {
	products := make([]client.Product, 0, len(units))
	for _, sku := range slices.Sorted(maps.Keys(units)) {
		products = append(products, client.Product{SKU: s.prefix + sku, Name: "Article " + sku, Price: price, Currency: "GBP", Stock: units[sku]})
	}
	var err error
	s.ids, err = s.Fill(ctx, s.operator, products)
	return err
}

// ending is how an order ended, or that there was none because it was refused for want of stock.
type ending struct {
	client.End
	refused bool
}

func (e ending) reason() string {
	if e.FailureReason != "" {
		return e.FailureReason
	}
	return e.Status
}

// buy buys the n-th order at once, and waits for its end. again is called before it is tried again, when the server asks for that.
func (s *shop) buy(ctx context.Context, n int, again func()) (ending, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, err := s.purchase(n)
	if err != nil {
		return ending{}, err
	}
	end, a, err := s.Buy(ctx, p, again)
	switch {
	case err != nil:
		return ending{}, fmt.Errorf("order %d: %w", n, err)
	case a.Status == http.StatusConflict && bytes.Contains(a.Body, []byte("/problems/out-of-stock")):
		return ending{refused: true}, nil
	case a.Status >= 400:
		return ending{}, fmt.Errorf("order %d: answered %s", n, a)
	}
	return ending{End: end}, nil
}

func (s *shop) purchase(n int) (client.Purchase, error) {
	o := s.cell.orders[n]
	p := client.Purchase{Key: uuid.NewString(), Items: make([]client.Item, len(o.lines)), PaymentMethod: "pm_ok", Strategy: s.cell.strategy}
	for i, l := range o.lines {
		p.Items[i] = client.Item{ProductID: s.ids[s.prefix+l.SKU], Quantity: l.Quantity}
	}
	if o.declined {
		p.PaymentMethod = "pm_declined"
	}
	var err error
	p.Token, err = s.token(fmt.Sprintf("%s-%d", s.cell.name, n), false)
	return p, err
}
