package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

const (
	operator = "replay" // the operator that makes the catalogue
	currency = "GBP"    // what prices in pence are in
	pageSize = 200      // products per request: some 30 KB
)

// stock makes the catalogue, with opening stock for what is new and more stock for what has too little. It gives the id
// of each sku. What has more than it needs keeps it: somebody may hold it.
func (p *player) stock(ctx context.Context, products []product) (map[string]string, error) {
	ids := make(map[string]string, len(products))
	for page := range slices.Chunk(products, pageSize) {
		made, err := p.upsert(ctx, page)
		if err != nil {
			return nil, err
		}
		if err := p.topUpAll(ctx, page, made); err != nil {
			return nil, err
		}
		for sku, m := range made {
			ids[sku] = m.ID
		}
		p.tally.stocked(len(page))
	}
	return ids, nil
}

// upsert gives the products of a page by their sku.
func (p *player) upsert(ctx context.Context, page []product) (map[string]productJSON, error) {
	list := make([]newProductJSON, len(page))
	for i, q := range page {
		list[i] = newProductJSON{SKU: q.sku, Name: q.name, UnitPrice: q.price, Currency: currency, Stock: q.stock}
	}
	body, err := json.Marshal(map[string]any{"products": list})
	if err != nil {
		return nil, err
	}
	a, err := p.client.send(ctx, request{method: http.MethodPost, path: "/admin/products", sub: operator, admin: true, body: body})
	if err != nil {
		return nil, err
	}
	if a.Status >= 300 {
		return nil, p.refusedProducts(a, page)
	}
	got, err := decode[struct {
		Products []productJSON `json:"products"`
	}](a)
	if err != nil {
		return nil, err
	}
	made := make(map[string]productJSON, len(page))
	for _, m := range got.Products {
		made[m.SKU] = m
	}
	for _, q := range page {
		if made[q.sku].ID == "" {
			return nil, fmt.Errorf("upsert products: sku %q is not in the answer", q.sku)
		}
	}
	return made, nil
}

// refusedProducts leads from the fields that the server names to the lines of the file.
func (p *player) refusedProducts(a answer, page []product) error {
	errs := []error{a.unexpected("upsert products")}
	for _, wrong := range a.problem().Errors {
		var i int
		if _, err := fmt.Sscanf(wrong.Field, "products[%d]", &i); err != nil || i < 0 || i >= len(page) {
			continue
		}
		where := fmt.Sprintf("%s: line %d", p.options.Products, page[i].line)
		if page[i].line == 0 {
			where = p.options.Orders + ": a product that only the orders name"
		}
		errs = append(errs, fmt.Errorf("%s: sku %q: %s: %s", where, page[i].sku, wrong.Field, wrong.Detail))
	}
	return errors.Join(errs...)
}

func (p *player) topUpAll(ctx context.Context, page []product, made map[string]productJSON) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.options.Concurrency)
	for _, q := range page {
		if now := made[q.sku]; now.Available < q.stock {
			g.Go(func() error { return p.topUp(ctx, now, q.stock) })
		}
	}
	return g.Wait()
}

// topUp adds stock until what can be had reaches want. A restock is no request that may be sent twice, so after an attempt
// whose outcome is not known the product is read again.
func (p *player) topUp(ctx context.Context, now productJSON, want int64) error {
	end := time.Now().Add(p.options.Patience)
	for try := 0; now.Available < want; try++ {
		body := fmt.Appendf(nil, `{"quantity":%d,"reason":"replay %s"}`, want-now.Available, p.tally.run)
		a, err := p.client.attempt(ctx, request{method: http.MethodPost, path: "/admin/products/" + now.ID + "/restock", sub: operator, admin: true, body: body})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && a.Status < 300:
			return nil
		case err == nil && !a.retry(), time.Now().After(end):
			return fmt.Errorf("restock %s: answered %s", now.SKU, lastWord(a, err))
		}
		p.tally.retry()
		if err := run.Pause(ctx, pause(try, a.After)); err != nil {
			return err
		}
		if now, err = p.readProduct(ctx, now.ID); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) readProduct(ctx context.Context, id string) (productJSON, error) {
	a, err := p.client.send(ctx, request{method: http.MethodGet, path: "/products/" + id, sub: operator, admin: true})
	if err != nil {
		return productJSON{}, err
	}
	if a.Status != http.StatusOK {
		return productJSON{}, a.unexpected("read product " + id)
	}
	return decode[productJSON](a)
}
