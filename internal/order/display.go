package order

// Display is the one word for a customer.
func (s *State) Display() string {
	switch s.Status {
	case Completed, Cancelled:
		return string(s.Status)
	case Ending, Failed:
		return s.displayEnd()
	}
	switch {
	case s.Payment == PaymentPending, s.Payment == PaymentUnknown:
		return "AWAITING_PAYMENT"
	case s.Payment == PaymentSuccess:
		return "AWAITING_INVENTORY"
	default:
		return "PROCESSING"
	}
}

func (s *State) displayEnd() string {
	switch {
	case s.Payment == PaymentRefunding:
		return "REFUND_IN_PROGRESS"
	case s.Reason == "":
		return string(Cancelled)
	case s.Payment == PaymentRefunded:
		return "REFUNDED"
	case s.Reason == OutOfStock:
		return "FAILED_OUT_OF_STOCK"
	case s.Reason == TimedOut:
		return "FAILED_TIMED_OUT"
	default:
		return "FAILED_PAYMENT"
	}
}
