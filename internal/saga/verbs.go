package saga

import "github.com/holdfast-checkout/holdfast/internal/order"

// The verbs that tables are made of.
var (
	reserve = &Verb{
		Who: Inventory, Name: "Reserve", play: playReserve,
		bind: func(a Actors) Handler { return a.Inventory.Reserve },
	}
	release = &Verb{
		Who: Inventory, Name: "Release", play: playRelease,
		bind: func(a Actors) Handler { return a.Inventory.Release },
	}
	split = &Verb{
		Who: Inventory, Name: "Split", play: playSplit,
		bind: func(a Actors) Handler { return a.Inventory.Split },
	}
	laneReserve = &Verb{
		Who: Inventory, Name: "LaneReserve", lanes: true, play: playLaneReserve,
		bind: func(a Actors) Handler { return a.Inventory.LaneReserve },
	}
	laneRelease = &Verb{
		Who: Inventory, Name: "LaneRelease", lanes: true, play: playLaneRelease,
		bind: func(a Actors) Handler { return a.Inventory.LaneRelease },
	}
	gather = &Verb{
		Who: Inventory, Name: "Gather", play: playGather,
		bind: func(a Actors) Handler { return a.Inventory.Gather },
	}
	recall = &Verb{
		Who: Inventory, Name: "Recall", play: playRecall,
		bind: func(a Actors) Handler { return a.Inventory.Recall },
	}
	charge = &Verb{
		Who: Payment, Name: "Charge", play: playCharge,
		bind: func(a Actors) Handler { return a.Payment.Charge },
	}
	giveBack = &Verb{
		Who: Payment, Name: "GiveBack", play: playGiveBack,
		bind: func(a Actors) Handler { return a.Payment.GiveBack },
	}
	advance = &Verb{
		Who: Order, Name: "Advance", play: playOrder((*order.State).Advance),
		bind: func(a Actors) Handler { return a.Order.Advance },
	}
	fail = &Verb{
		Who: Order, Name: "Fail", play: playOrder((*order.State).Fail),
		bind: func(a Actors) Handler { return a.Order.Fail },
	}
	unwind = &Verb{
		Who: Order, Name: "Unwind", play: playOrder((*order.State).Unwind),
		bind: func(a Actors) Handler { return a.Order.Unwind },
	}
	settle = &Verb{
		Who: Order, Name: "Settle", play: playOrder((*order.State).Settle),
		bind: func(a Actors) Handler { return a.Order.Settle },
	}
	orchestrate = &Verb{
		Who: Order, Name: "Orchestrate", play: playOrder((*order.State).Orchestrate),
		bind: func(a Actors) Handler { return a.Order.Orchestrate },
	}
	show = &Verb{
		Who: View, Name: "View",
		bind: func(a Actors) Handler { return a.Order.View },
	}
	shelve = &Verb{
		Who: Shelf, Name: "Settle",
		bind: func(a Actors) Handler { return a.Shelf.Settle },
	}
)
