package inventory

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/bojanz/currency"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/text"
)

// Limits of a product, in characters, minor units and units. The schema holds the same.
const (
	MaxSKU         = 64
	MaxName        = 300
	MaxDescription = 4000
	MaxPrice       = 1_000_000_000_000
	MaxStock       = 1_000_000_000_000
	MaxReason      = 500
)

// Product is what is sold. Version counts the changes of all but the stock; it is the ETag.
type Product struct {
	ID             uuid.UUID
	SKU            string
	Name           string
	Description    string
	UnitPriceMinor int64
	Currency       string // ISO 4217
	Version        int64
	CutAt          *time.Time // when an operator last took units away: what is held since before may be more than there is
}

// NewProduct is a product as an operator puts it in. Its opening stock counts for a new sku only.
type NewProduct struct {
	Product
	Stock           int64
	KeepPrice       bool // the price stays as it is stored; a new sku needs one
	KeepDescription bool // the description stays as it is stored
}

// check returns what is wrong with the fields, each named with its path under prefix. The sku may be left out of a change.
func (p Product) check(prefix string, withoutSKU bool) []fault.Line {
	var wrong []fault.Line
	add := func(ok bool, field, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fault.Line{Field: prefix + field, SKU: p.SKU, Detail: fmt.Sprintf(format, args...)})
		}
	}
	said := func(why, field string) { add(why == "", field, "must be %s", why) }
	add(withoutSKU || within(p.SKU, 1, MaxSKU), "sku", "must be 1 to %d characters", MaxSKU)
	said(text.Wrong(p.SKU), "sku")
	add(within(p.Name, 1, MaxName), "name", "must be 1 to %d characters", MaxName)
	said(text.Wrong(p.Name), "name")
	add(within(p.Description, 0, MaxDescription), "description", "must be at most %d characters", MaxDescription)
	said(text.WrongLines(p.Description), "description")
	add(p.UnitPriceMinor >= 0 && p.UnitPriceMinor <= MaxPrice, "unit_price_minor", "must be 0 to %d", int64(MaxPrice))
	add(currency.IsValid(p.Currency), "currency", "must be an ISO 4217 code like GBP")
	return wrong
}

func within(s string, least, most int) bool {
	n := utf8.RuneCountInString(s)
	return n >= least && n <= most
}

// checkNew gives what is wrong with a list of products, a sku that is there twice included.
func checkNew(products []NewProduct) []fault.Line {
	var wrong []fault.Line
	first := make(map[string]int, len(products))
	for i, p := range products {
		prefix := fmt.Sprintf("products[%d].", i)
		wrong = append(wrong, p.check(prefix, false)...)
		if p.Stock < 0 || p.Stock > MaxStock {
			wrong = append(wrong, fault.Line{Field: prefix + "stock", SKU: p.SKU, Detail: fmt.Sprintf("must be 0 to %d", int64(MaxStock))})
		}
		if at, twice := first[p.SKU]; twice {
			wrong = append(wrong, fault.Line{Field: prefix + "sku", SKU: p.SKU, Detail: fmt.Sprintf("is also that of products[%d]", at)})
		}
		first[p.SKU] = i
	}
	return wrong
}
