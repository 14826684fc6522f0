package event

// What payment says.
const (
	PaymentProcessed Name = "payment.processed" // Payment; the money is ours
	PaymentFailed    Name = "payment.failed"    // Payment; the provider declined, nothing was charged
	PaymentUnknown   Name = "payment.unknown"   // Payment; the provider's answer was lost and is being asked for
	PaymentRefunded  Name = "payment.refunded"  // Payment; the money went back
	PaymentVoided    Name = "payment.voided"    // Payment; nothing was charged and nothing ever will be
)

// Payment is what payment says of one order.
type Payment struct {
	ChargeID string `json:"charge_id,omitempty"` // the provider's id of the charge
	RefundID string `json:"refund_id,omitempty"` // the provider's id of the refund
	Reason   string `json:"reason,omitempty"`    // why it was declined, in the provider's word
	Terms
}
