package saga

import (
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/order"
)

// What each verb may do to a world. Order's rules are its own; of inventory and payment this is what their docs promise.

func playReserve(at world, _ event.Name) []outcome {
	if at.inventory != "" {
		return []outcome{{world: at}}
	}
	taken, failed := at, at
	taken.inventory, failed.inventory = "reserved", "failed"
	return []outcome{{taken, says(event.StockReserved)}, {failed, says(event.StockFailed)}}
}

func playRelease(at world, _ event.Name) []outcome {
	if at.inventory == "failed" || at.inventory == "released" {
		return []outcome{{world: at}}
	}
	at.inventory = "released"
	return []outcome{{at, says(event.StockReleased)}}
}

func playCharge(at world, _ event.Name) []outcome {
	if at.payment != "" {
		return []outcome{{world: at}}
	}
	charged, declined := at, at
	charged.payment, declined.payment = "charged", "declined"
	return []outcome{
		{charged, says(event.PaymentProcessed)},
		{charged, says(event.PaymentUnknown, event.PaymentProcessed)},
		{declined, says(event.PaymentFailed)},
	}
}

func playGiveBack(at world, _ event.Name) []outcome {
	switch at.payment {
	case "":
		at.payment = "voided"
		return []outcome{{at, says(event.PaymentVoided)}}
	case "charged":
		at.payment = "refunded"
		return []outcome{{at, says(event.PaymentRefunded)}}
	default:
		return []outcome{{world: at}}
	}
}

func playOrder(rule func(*order.State, event.Name)) func(world, event.Name) []outcome {
	return func(at world, fact event.Name) []outcome {
		before := at.order
		rule(&at.order, fact)
		if at.order == before {
			return []outcome{{world: at}}
		}
		facts := says(at.order.Says())
		if at.order.Asked != before.Asked {
			facts = append(facts, at.order.Asked)
		}
		return []outcome{{at, facts}}
	}
}
