package saga

import (
	"slices"
	"strings"

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

// lanes is what the lanes of an order have come to. Two are enough to have one that takes and one that cannot.
type lanes struct {
	asked  int8 // have not answered
	taken  int8 // hold their lines
	failed int8
}

func playSplit(at world, _ event.Name) []outcome {
	if at.inventory != "" {
		return []outcome{{world: at}}
	}
	at.inventory = "gathering"
	one, two := at, at
	one.lanes.asked, two.lanes.asked = 1, 2
	return []outcome{
		{one, says(event.LaneReserveRequested)},
		{two, says(event.LaneReserveRequested, event.LaneReserveRequested)},
	}
}

func playLaneReserve(at world, _ event.Name) []outcome {
	at.lanes.asked--
	taken, failed := at, at
	taken.lanes.taken++
	failed.lanes.failed++
	return []outcome{{taken, says(event.LaneReserved)}, {failed, says(event.LaneFailed)}}
}

func playLaneRelease(at world, _ event.Name) []outcome {
	at.lanes.taken--
	return []outcome{{at, says(event.LaneReleased)}}
}

// playGather concludes once it hears the last answer: while another is on its way, that one will.
func playGather(at world, _ event.Name) []outcome {
	if strings.Contains(at.pending, " lane.") {
		return []outcome{{world: at}}
	}
	switch at.inventory {
	case "gathering", "recalled":
		if at.inventory == "gathering" && at.lanes.failed == 0 {
			at.inventory = "reserved"
			return []outcome{{at, says(event.StockReserved)}}
		}
		at.inventory = map[string]string{"gathering": "failing", "recalled": "releasing"}[at.inventory]
		if at.lanes.taken > 0 {
			return []outcome{{at, at.lanes.giveBack()}}
		}
	}
	if at.inventory == "failing" {
		at.inventory = "failed"
		return []outcome{{at, says(event.StockFailed)}}
	}
	at.inventory = "released"
	return []outcome{{at, says(event.StockReleased)}}
}

func playRecall(at world, _ event.Name) []outcome {
	switch at.inventory {
	case "":
		at.inventory = "released"
		return []outcome{{at, says(event.StockReleased)}}
	case "gathering":
		at.inventory = "recalled"
	case "reserved":
		at.inventory = "releasing"
		return []outcome{{at, at.lanes.giveBack()}}
	}
	return []outcome{{world: at}}
}

func (l lanes) giveBack() []event.Name {
	return slices.Repeat(says(event.LaneReleaseRequested), int(l.taken))
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
		{declined, says(event.PaymentUnknown, event.PaymentFailed)},
	}
}

func playGiveBack(at world, _ event.Name) []outcome {
	switch at.payment {
	case "":
		at.payment = "voided"
		return []outcome{{at, says(event.PaymentVoided)}}
	case "charged":
		refunded, voided := at, at
		refunded.payment, voided.payment = "refunded", "voided"
		return []outcome{{refunded, says(event.PaymentRefunded)}, {voided, says(event.PaymentVoided)}} // of nothing, or while it was asked for
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
