package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// baskets is how many different orders the reference takes in turn: what a row holds is read from memory, as the engine's
// driver does.
const baskets = 500

// basket is an order as the reference takes it: what the engine works out in Go, worked out before.
type basket struct {
	n                                                int
	customer, print                                  string
	products                                         []uuid.UUID
	skus, names                                      []string
	quantities, prices                               []int64
	total                                            int64
	lines                                            string
	created, reserved, processed, updated, completed string
}

// newBasket makes the n-th. Lines are by product id, as stock is locked; the bodies of facts are as long as real ones.
func newBasket(n int, order []bought) (basket, error) {
	b := basket{n: n, customer: fmt.Sprintf("bench-%d", n%customers)}
	slices.SortFunc(order, func(x, y bought) int { return strings.Compare(x.ID, y.ID) })
	type shown struct {
		ProductID uuid.UUID `json:"product_id"`
		SKU       string    `json:"sku"`
		Name      string    `json:"name"`
		Quantity  int64     `json:"quantity"`
		Price     int64     `json:"unit_price_minor"`
	}
	var view []shown
	for _, l := range order {
		id, err := uuid.Parse(l.ID)
		if err != nil {
			return b, fmt.Errorf("product %s: %w", l.SKU, err)
		}
		b.products, b.skus, b.names = append(b.products, id), append(b.skus, l.SKU), append(b.names, l.Name)
		b.quantities, b.prices = append(b.quantities, l.Quantity), append(b.prices, l.Price)
		b.total += l.Quantity * l.Price
		view = append(view, shown{id, l.SKU, l.Name, l.Quantity, l.Price})
	}
	lines, err := json.Marshal(view)
	if err != nil {
		return b, err
	}
	print := sha256.Sum256(lines)
	b.lines, b.print = string(lines), `\x`+hex.EncodeToString(print[:])
	b.say()
	return b, nil
}

// say writes the bodies of the facts.
func (b *basket) say() {
	order, now := newID(), time.Now().UTC()
	terms := event.Terms{TotalMinor: b.total, Currency: "GBP", PaymentMethod: "pm_ok"}
	created := event.Order{Customer: b.customer, HoldID: order, Terms: terms}
	reserved := event.OrderStock{HoldID: order, Terms: terms}
	for i, id := range b.products {
		created.Lines = append(created.Lines, event.OrderLine{ProductID: id, Quantity: b.quantities[i]})
		reserved.Lines = append(reserved.Lines, event.StockLine{ProductID: id, Quantity: b.quantities[i], Available: openingStock - 1, Version: 1000})
	}
	state := event.OrderState{
		Version: 2, Customer: b.customer, Status: "PROCESSING", PaymentStatus: "PENDING", InventoryStatus: "RESERVED",
		DisplayStatus: "AWAITING_PAYMENT", HoldID: order, TotalMinor: b.total, Currency: "GBP",
	}
	first := event.New(event.OrderCreated, referenceStrategy, order, created)
	body := func(name event.Name, data any) string { return string(event.Encode(first.Answer(name, data))) }
	b.created, b.reserved = string(event.Encode(first)), body(event.StockReserved, reserved)
	b.processed = body(event.PaymentProcessed, event.Payment{ChargeID: "ch_" + order.String(), Terms: terms})
	b.updated = body(event.OrderUpdated, state)
	state.Version, state.Status, state.PaymentStatus, state.DisplayStatus, state.EndedAt = 3, "COMPLETED", "SUCCESS", "COMPLETED", &now
	b.completed = body(event.OrderCompleted, state)
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
