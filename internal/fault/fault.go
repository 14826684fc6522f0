// Package fault names the few kinds of error that callers act on. A kind is a problem type of the HTTP API; package web
// holds the one table from kind to status. Everything that is not a *fault.Error is a defect or an outage and is answered
// without its text.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the last part of a problem's type: /problems/<kind>.
type Kind string

// The kinds, in the order in which the API document lists them.
const (
	InvalidRequest        Kind = "invalid-request"
	Unauthorized          Kind = "unauthorized"
	Forbidden             Kind = "forbidden"
	NotFound              Kind = "not-found"
	OutOfStock            Kind = "out-of-stock"
	LimitExceeded         Kind = "limit-exceeded"
	CartEmpty             Kind = "cart-empty"
	CartChanged           Kind = "cart-changed"
	HoldExpired           Kind = "hold-expired"
	HoldLost              Kind = "hold-lost"
	PriceChanged          Kind = "price-changed"
	IdempotencyKeyMissing Kind = "idempotency-key-missing"
	IdempotencyKeyReused  Kind = "idempotency-key-reused"
	IdempotencyKeyInUse   Kind = "idempotency-key-in-use"
	Conflict              Kind = "conflict"
	Archived              Kind = "archived"
	PreconditionFailed    Kind = "precondition-failed"
	TooLarge              Kind = "too-large"
	RateLimited           Kind = "rate-limited"
	Unavailable           Kind = "unavailable"
)

// Line says what is wrong with one field or one line of a request.
type Line struct {
	Field     string `json:"field,omitempty"`      // JSON path of the field, like items[0].quantity
	ProductID string `json:"product_id,omitempty"` // the product of the line, where there is one
	SKU       string `json:"sku,omitempty"`
	Detail    string `json:"detail"`
	Requested *int64 `json:"requested,omitempty"` // units asked for
	Available *int64 `json:"available,omitempty"` // units that could be had
	Was       *Price `json:"was,omitempty"`       // the price that was last shown, where it has changed
	Now       *Price `json:"now,omitempty"`       // the price that the line has now
	Limit     string `json:"limit,omitempty"`     // the limit that the line meets, as in Problem
	Allowed   *int64 `json:"allowed,omitempty"`   // what that limit allows
}

// Price is what one unit costs.
type Price struct {
	UnitPriceMinor int64  `json:"unit_price_minor"`
	Currency       string `json:"currency"` // ISO 4217
}

// Total is what all lines cost.
type Total struct {
	TotalMinor int64
	Currency   string // ISO 4217
}

// Limits that can be met, each named like the flag that sets it.
const (
	MaxQuantity      = "max-quantity"       // units in a line
	MaxLines         = "max-lines"          // lines in a cart or an order
	MaxCartUnits     = "max-cart-units"     // units in a cart or an order
	MaxCustomerUnits = "max-customer-units" // units of a product that one customer holds or has on order
	MaxProductShare  = "max-product-share"  // the same, as a share of the product's stock
	MaxHeldShare     = "max-held-share"     // units of a product that are held, where a cart asks for more
	HoldMaxAge       = "hold-max-age"       // seconds that a customer goes on holding a product
	MaxHolds         = "max-holds"          // holds that a customer has of a product; no flag
	MaxTotal         = "max-total"          // the total of a cart, in minor units; no flag
)

// Limit is a limit that was met.
type Limit struct {
	Name    string
	Allowed int64         // units, lines or seconds, as the name says
	Again   time.Duration // when it makes sense to try again; 0: not said
}

// Error is a refusal that a caller can act on.
type Error struct {
	Kind       Kind
	Status     int           // overrides the kind's usual HTTP status when not 0 (422 for a well-formed request that cannot be done)
	Detail     string        // one sentence for a person; never SQL, never a stack
	Lines      []Line        // what is wrong, field by field or line by line
	Available  *int64        // units that could be had, for a single product
	Total      *Total        // what it would cost now, where a price has changed
	Limit      *Limit        // of a limit-exceeded, which limit
	RetryAfter time.Duration // when it makes sense to try again; 0: not said
	Cause      error         // for the log only
}

// Error gives kind, detail and cause.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Kind, e.Detail, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Kind, e.Detail)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an error of a kind.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Unprocessable is a request that is well formed and cannot be done as it stands: 422 invalid-request.
func Unprocessable(format string, args ...any) *Error {
	e := New(InvalidRequest, format, args...)
	e.Status = 422
	return e
}

// Exceeded is a limit-exceeded.
func Exceeded(limit Limit, format string, args ...any) *Error {
	e := New(LimitExceeded, format, args...)
	e.Limit, e.RetryAfter = &limit, limit.Again
	return e
}

// With adds lines.
func (e *Error) With(lines ...Line) *Error {
	e.Lines = append(e.Lines, lines...)
	return e
}

// Because keeps the cause for the log.
func (e *Error) Because(cause error) *Error {
	e.Cause = cause
	return e
}

// As finds the *Error in a chain, or nil.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// Is says whether a chain holds an error of that kind.
func Is(err error, kind Kind) bool {
	e := As(err)
	return e != nil && e.Kind == kind
}
