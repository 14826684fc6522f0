package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// product is what the demo catalogue needs of the API's.
type product struct {
	ID             string `json:"id,omitempty"`
	SKU            string `json:"sku"`
	Name           string `json:"name"`
	Description    string `json:"description"`
	UnitPriceMinor int64  `json:"unit_price_minor"`
	Currency       string `json:"currency"`
	Stock          int64  `json:"stock,omitempty"`
}

var demo = []product{
	{SKU: "MUG-01", Name: "Stoneware mug", Description: "Holds a third of a litre.", UnitPriceMinor: 1275, Currency: "GBP", Stock: 200},
	{SKU: "LAMP-02", Name: "Desk lamp", Description: "Brass, with a linen shade.", UnitPriceMinor: 4900, Currency: "GBP", Stock: 40},
	{SKU: "BAG-03", Name: "Canvas bag", Description: "Carries a week's shopping.", UnitPriceMinor: 1850, Currency: "GBP", Stock: 120},
	{SKU: "CLOCK-04", Name: "Wall clock", Description: "Silent hands.", UnitPriceMinor: 3200, Currency: "GBP", Stock: 25},
	{SKU: "PRINT-05", Name: "Numbered print", Description: "One of three.", UnitPriceMinor: 12000, Currency: "GBP", Stock: 3},
}

// welcome fills an empty shop and prints what to do next, so that it works as pasted.
func (c *devCmd) welcome(ctx context.Context, state stack.State, out io.Writer) error {
	if c.JWTSecret == "" {
		fmt.Fprintf(out, "\nHoldfast is ready at %s; tokens are checked with the JWKS given.\n\n", state.HTTPURL)
		return nil
	}
	tokens := web.Tokens{Secret: []byte(c.JWTSecret)}
	customer, err := tokens.Issue("demo-customer", false, tokenLife)
	if err != nil {
		return err
	}
	operator, err := tokens.Issue("demo-operator", true, tokenLife)
	if err != nil {
		return err
	}
	first, err := c.stockShop(ctx, state.HTTPURL, operator)
	if err != nil {
		return fmt.Errorf("demo catalogue: %w", err)
	}
	books := "Payments  with Stripe"
	if state.SandboxURL != "" {
		books = fmt.Sprintf("Sandbox   %s/ledger (the payment provider's books: any name, password %s)", state.SandboxURL, c.SandboxKey)
	}
	fmt.Fprintf(out, greeting, state.HTTPURL, books, customer, operator, first)
	return nil
}

const greeting = `
Holdfast is ready.

  API       %[1]s/api/v1
  Document  %[1]s/docs
  Metrics   %[1]s/metrics
  %[2]s

Paste these two for a customer's and an operator's token:

  export CUSTOMER=%[3]s
  export OPERATOR=%[4]s

Then buy something, and see it paid:

  curl -s %[1]s/api/v1/orders \
    -H "Authorization: Bearer $CUSTOMER" -H "Idempotency-Key: $(date +%%s%%N)" -H 'Prefer: wait=5' \
    -H 'Content-Type: application/json' \
    -d '{"payment_method":"pm_ok","items":[{"product_id":"%[5]s","quantity":1}]}'

In another terminal in this folder: bin/holdfast audit, bin/holdfast replay --help. Ctrl-C stops everything.

`

// stockShop fills an empty catalogue and gives the id of a product to buy.
func (c *devCmd) stockShop(ctx context.Context, url, operator string) (string, error) {
	var list struct {
		Items []product `json:"items"`
	}
	if err := call(ctx, http.MethodGet, url+"/api/v1/products?limit=1", operator, nil, &list); err != nil {
		return "", err
	}
	if len(list.Items) == 0 && c.Demo {
		body := map[string]any{"products": demo}
		if err := call(ctx, http.MethodPost, url+"/api/v1/admin/products", operator, body, nil); err != nil {
			return "", err
		}
		if err := call(ctx, http.MethodGet, url+"/api/v1/products?limit=1", operator, nil, &list); err != nil {
			return "", err
		}
	}
	if len(list.Items) == 0 {
		return "PRODUCT_ID", nil
	}
	return list.Items[0].ID, nil
}

// call sends one request and reads one answer of at most 1 MiB.
func call(ctx context.Context, method, url, token string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		encoded = nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, url, res.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
