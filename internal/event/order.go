package event

import (
	"time"

	"github.com/google/uuid"
)

// What order says.
const (
	OrderCreated   Name = "order.created"   // Order
	OrderUpdated   Name = "order.updated"   // OrderState
	OrderEnding    Name = "order.ending"    // OrderState; inventory and payment give back what they hold
	OrderCompleted Name = "order.completed" // OrderEnd
	OrderFailed    Name = "order.failed"    // OrderEnd
	OrderCancelled Name = "order.cancelled" // OrderEnd
)

// What order asks for, where it conducts the others itself. What they answer is what they say in every strategy.
const (
	StockReserveRequested  Name = "stock.reserve.requested"  // Order
	StockReleaseRequested  Name = "stock.release.requested"  // Order; without lines
	PaymentChargeRequested Name = "payment.charge.requested" // Order; without lines
	PaymentRefundRequested Name = "payment.refund.requested" // Order; without lines
)

// Terms are what an order is to be paid with. They travel from order.created along the saga.
type Terms struct {
	TotalMinor    int64  `json:"total_minor"`
	Currency      string `json:"currency"`
	PaymentMethod string `json:"payment_method"`
}

// OrderLine is one line of an order.
type OrderLine struct {
	ProductID uuid.UUID `json:"product_id"`
	Quantity  int64     `json:"quantity"`
}

// Order is what order.created says, and what is asked for in an order's name.
type Order struct {
	Customer string      `json:"customer"`
	HoldID   uuid.UUID   `json:"hold_id"` // the hold that keeps its units in Redis: the cart's id, or one made of the request; zero for none
	Lines    []OrderLine `json:"lines"`
	Terms
}

// OrderEnd is what the final facts of an order say: all that another program needs to tell the customer.
type OrderEnd struct {
	OrderState
	Lines []SoldLine `json:"lines"`
}

// SoldLine is one line of an order as its customer knows it: with name and price of the moment in which the order was made.
type SoldLine struct {
	ProductID      uuid.UUID `json:"product_id"`
	SKU            string    `json:"sku"`
	Name           string    `json:"name"`
	Quantity       int64     `json:"quantity"`
	UnitPriceMinor int64     `json:"unit_price_minor"`
}

// OrderState is what the other facts of an order say: all of its state, at a version. A reader keeps the highest version.
type OrderState struct {
	Version         int64      `json:"version"`
	Customer        string     `json:"customer"`
	Status          string     `json:"status"`
	PaymentStatus   string     `json:"payment_status"`
	InventoryStatus string     `json:"inventory_status"`
	DisplayStatus   string     `json:"display_status"`
	FailureReason   string     `json:"failure_reason,omitempty"`
	EndingReason    string     `json:"ending_reason,omitempty"` // while it is ending: the failure reason, or CANCELLED
	HoldID          uuid.UUID  `json:"hold_id"`
	TotalMinor      int64      `json:"total_minor"`
	Currency        string     `json:"currency"`
	EndedAt         *time.Time `json:"ended_at,omitempty"`
}
