package order

// Status is where an order is on its way. Completed, Failed and Cancelled are final.
type Status string

// The states of an order. Ending means that the end is decided and what is held is being given back.
const (
	Created    Status = "CREATED"
	Processing Status = "PROCESSING"
	Completed  Status = "COMPLETED"
	Ending     Status = "ENDING"
	Failed     Status = "FAILED"
	Cancelled  Status = "CANCELLED"
)

// Final says whether nothing will change any more.
func (s Status) Final() bool { return s == Completed || s == Failed || s == Cancelled }

// PaymentStatus is what order has heard of the money.
type PaymentStatus string

// The states of the money.
const (
	PaymentNotStarted PaymentStatus = "NOT_STARTED"
	PaymentPending    PaymentStatus = "PENDING"
	PaymentUnknown    PaymentStatus = "UNKNOWN"
	PaymentSuccess    PaymentStatus = "SUCCESS"
	PaymentDeclined   PaymentStatus = "DECLINED"
	PaymentRefunding  PaymentStatus = "REFUNDING"
	PaymentRefunded   PaymentStatus = "REFUNDED"
	PaymentVoided     PaymentStatus = "VOIDED"
)

func (p PaymentStatus) open() bool {
	return p == PaymentNotStarted || p == PaymentPending || p == PaymentUnknown
}

// settled says that no money is held and none will be.
func (p PaymentStatus) settled() bool {
	return p == PaymentDeclined || p == PaymentRefunded || p == PaymentVoided
}

// InventoryStatus is what order has heard of the stock.
type InventoryStatus string

// The states of the stock.
const (
	InventoryNotStarted InventoryStatus = "NOT_STARTED"
	InventoryReserved   InventoryStatus = "RESERVED"
	InventoryReleased   InventoryStatus = "RELEASED"
	InventoryOutOfStock InventoryStatus = "OUT_OF_STOCK"
)

func (i InventoryStatus) settled() bool { return i == InventoryReleased || i == InventoryOutOfStock }

// Reason is why an order failed.
type Reason string

// The reasons.
const (
	OutOfStock    Reason = "OUT_OF_STOCK"
	PaymentFailed Reason = "PAYMENT_FAILED"
	TimedOut      Reason = "TIMED_OUT"
)
