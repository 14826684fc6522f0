package event

import "github.com/google/uuid"

// What inventory says.
const (
	StockCreated  Name = "stock.created"  // Stock of new products; strategy Shop
	StockAdjusted Name = "stock.adjusted" // Stock after a restock or an adjustment; strategy Shop
	StockReserved Name = "stock.reserved" // OrderStock; all lines are taken
	StockFailed   Name = "stock.failed"   // OrderStock; nothing is taken, Lines are those that could not be had
	StockReleased Name = "stock.released" // OrderStock; what was taken is given back (no lines: nothing was, and nothing will be)
)

// StockLine is one product's stock after the fact.
type StockLine struct {
	ProductID uuid.UUID `json:"product_id"`
	Quantity  int64     `json:"quantity"`  // units the fact moved, or asked for in stock.failed; never negative for facts of an order
	Available int64     `json:"available"` // units in the books afterwards
	Version   int64     `json:"version"`   // version of the stock row afterwards
}

// Stock is what the shop's stock facts say.
type Stock struct {
	Lines []StockLine `json:"lines"`
}

// OrderStock is what inventory says of one order.
type OrderStock struct {
	HoldID uuid.UUID   `json:"hold_id"` // ended in the script that lowers the stock; zero for none
	Lines  []StockLine `json:"lines"`
	Terms
}
