package replay

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"time"
)

// The parts of the contract's shapes that a customer looks at.

type productJSON struct {
	ID        string `json:"id"`
	SKU       string `json:"sku"`
	Available int64  `json:"available"`
}

type newProductJSON struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	UnitPrice int64  `json:"unit_price_minor"`
	Currency  string `json:"currency"`
	Stock     int64  `json:"stock"`
}

type cartJSON struct {
	Version int64          `json:"version"`
	Items   []cartItemJSON `json:"items"`
}

type cartItemJSON struct {
	ProductID string `json:"product_id"`
	Quantity  int64  `json:"quantity"`
	Held      bool   `json:"held"`
}

type checkoutJSON struct {
	PaymentMethod string     `json:"payment_method"`
	CartVersion   int64      `json:"cart_version,omitempty"`
	Items         []itemJSON `json:"items,omitempty"`
	Strategy      string     `json:"strategy,omitempty"`
}

type itemJSON struct {
	ProductID string `json:"product_id"`
	Quantity  int64  `json:"quantity"`
}

type orderJSON struct {
	ID            string          `json:"id"`
	Status        string          `json:"status"`
	FailureReason string          `json:"failure_reason"`
	Lines         []orderLineJSON `json:"lines"`
	TotalMinor    int64           `json:"total_minor"`
	Currency      string          `json:"currency"`
	CreatedAt     time.Time       `json:"created_at"`
	EndedAt       *time.Time      `json:"ended_at"`
}

type orderLineJSON struct {
	ProductID string `json:"product_id"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price_minor"`
}

// problemJSON is an RFC 9457 answer.
type problemJSON struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Field     string `json:"field"`
		ProductID string `json:"product_id"`
		SKU       string `json:"sku"`
		Detail    string `json:"detail"`
	} `json:"errors"`
}

// kind is the last part of the problem's type.
func (p problemJSON) kind() string { return path.Base(cmp.Or(p.Type, "about:blank")) }

// problem reads a refusal. A body that is none gives a problem without a type.
func (a answer) problem() problemJSON {
	var p problemJSON
	if json.Unmarshal(a.Body, &p) != nil {
		p = problemJSON{}
	}
	p.Status = a.Status
	return p
}

// refused says whether the server understood the request and cannot do it. What is neither done nor refused is an error:
// the request itself is wrong, or may not be made.
func (a answer) refused() bool {
	return a.Status == http.StatusConflict || a.Status == http.StatusUnprocessableEntity || a.Status == http.StatusNotFound
}

// unexpected is the error for an answer that the contract does not have for a request.
func (a answer) unexpected(what string) error { return fmt.Errorf("%s: answered %s", what, a) }

// fingerprint is what may not differ between two answers about one order: its id, lines and total.
type fingerprint struct {
	id    string
	total int64
	lines [sha256.Size]byte
}

func (o orderJSON) fingerprint() fingerprint {
	lines := slices.Clone(o.Lines)
	slices.SortFunc(lines, func(a, b orderLineJSON) int { return cmp.Compare(a.ProductID, b.ProductID) })
	return fingerprint{o.ID, o.TotalMinor, sha256.Sum256(fmt.Appendf(nil, "%s %v", o.Currency, lines))}
}

// final says whether nothing will happen to the order any more.
func (o orderJSON) final() bool {
	return o.Status == "COMPLETED" || o.Status == "FAILED" || o.Status == "CANCELLED"
}
