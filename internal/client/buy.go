package client

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

const (
	pageSize  = 200              // products per request
	holdBack  = 30 * time.Second // of the answer to a purchase, until its end
	pollPause = 20 * time.Millisecond
)

// Product is an article as it is put into the catalogue. The price is per unit, in the currency's smallest.
type Product struct {
	SKU      string `json:"sku"`
	Name     string `json:"name"`
	Price    int64  `json:"unit_price_minor"`
	Currency string `json:"currency"`
	Stock    int64  `json:"stock"`
}

// Fill puts products into the catalogue, as an operator, and gives the server's ids by SKU.
func (c *Client) Fill(ctx context.Context, token string, products []Product) (map[string]string, error) {
	ids := make(map[string]string, len(products))
	for page := range slices.Chunk(products, pageSize) {
		body, err := json.Marshal(map[string]any{"products": page})
		if err != nil {
			return nil, err
		}
		a, err := c.Send(ctx, Request{Method: http.MethodPost, Path: "/admin/products", Token: token, Body: body})
		if err != nil {
			return nil, fmt.Errorf("make products: %w", err)
		}
		var made struct{ Products []struct{ ID, SKU string } }
		if err := a.Into(&made); err != nil {
			return nil, fmt.Errorf("make products: %w", err)
		}
		if len(made.Products) != len(page) {
			return nil, fmt.Errorf("make products: %d were sent, %d made", len(page), len(made.Products))
		}
		for _, p := range made.Products {
			ids[p.SKU] = p.ID
		}
	}
	return ids, nil
}

// Item is a line of a purchase.
type Item struct {
	ProductID string `json:"product_id"`
	Quantity  int64  `json:"quantity"`
}

// Purchase is a cart that is bought at once.
type Purchase struct {
	Token string `json:"-"`
	Key   string `json:"-"` // Idempotency-Key

	Items         []Item `json:"items"`
	PaymentMethod string `json:"payment_method"`
	Strategy      string `json:"strategy,omitempty"` // empty: the server's
}

// End is how a purchase ended.
type End struct {
	OrderID       string `json:"id"`
	Status        string `json:"status"`
	FailureReason string `json:"failure_reason"` // empty unless it failed
}

func (e End) final() bool {
	return e.Status == "COMPLETED" || e.Status == "FAILED" || e.Status == "CANCELLED"
}

// Buy sends a purchase and follows it to its end: the answer is held back until then, and what takes longer is asked for. A server
// that has too much to do is asked again, with the same key; each time again is called before. A purchase that is refused is no error:
// it is answered with the refusal and no End.
func (c *Client) Buy(ctx context.Context, p Purchase, again func()) (End, Answer, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return End{}, Answer{}, err
	}
	a, err := c.place(ctx, Request{Method: http.MethodPost, Path: "/orders", Token: p.Token, Key: p.Key, Wait: holdBack, Body: body}, again)
	if err != nil || a.Status >= 400 {
		return End{}, a, err
	}
	var end End
	for {
		if err := a.Into(&end); err != nil || end.final() {
			return end, a, err
		}
		if err := run.Pause(ctx, pollPause); err != nil {
			return End{}, a, fmt.Errorf("order %s has not ended: %w", end.OrderID, err)
		}
		if a, err = c.Send(ctx, Request{Method: http.MethodGet, Path: "/orders/" + end.OrderID, Token: p.Token}); err != nil {
			return End{}, a, err
		}
	}
}

// place sends a purchase until it is answered otherwise than with "try again". Customers take the wait that is asked for more or less
// exactly, or they would all come back at once.
func (c *Client) place(ctx context.Context, r Request, again func()) (Answer, error) {
	for {
		a, err := c.Send(ctx, r)
		if err != nil || a.Status < 400 || a.After == 0 {
			return a, err
		}
		again()
		if err := run.Pause(ctx, a.After/2+rand.N(a.After)); err != nil {
			return a, err
		}
	}
}
