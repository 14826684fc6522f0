package inventory

import (
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// States of an order whose lines are in lanes, before it comes to one of the others.
const (
	Gathering = "GATHERING" // lanes were asked to take
	Returning = "RETURNING" // lanes were asked to give back
)

// MaxLanes bounds the number of lanes.
const MaxLanes = 32

// LanePart is the part of the routing key of what a lane is asked for.
func LanePart(lane int) string { return strconv.Itoa(lane) }

// LaneOf is the lane of a product among so many: always the same, and products are spread evenly.
func LaneOf(productID uuid.UUID, lanes int) int {
	sum := uint32(2166136261) // FNV-1a
	for _, b := range productID {
		sum = (sum ^ uint32(b)) * 16777619
	}
	return int(sum % uint32(lanes))
}

// inLanes sorts lines by lane. Lanes without lines are left out.
func inLanes(lines []event.OrderLine, lanes int) map[int][]event.OrderLine {
	parts := make(map[int][]event.OrderLine)
	for _, l := range lines {
		lane := LaneOf(l.ProductID, lanes)
		parts[lane] = append(parts[lane], l)
	}
	return parts
}

// gathering is what is known of an order whose lines are in lanes. Its methods are the rules: they hear what lanes have answered,
// each answer once, in whatever order, and say what is to be done next.
type gathering struct {
	State   string
	GivenUp uuid.UUID // the fact by which the order has given up its units; zero: it wants them
	Open    int       // lanes that were asked and have not answered
	Taken   int       // lanes that have taken their lines
	Short   []event.StockLine
}

// next is what is to be done after a change.
type next int

const (
	wait    next = iota
	fetch        // ask the lanes that have taken to give back
	decided      // say what the order has come to: State
)

// took hears that a lane has taken its lines.
func (g *gathering) took() { g.Open, g.Taken = g.Open-1, g.Taken+1 }

// failed hears that a lane could not have these lines.
func (g *gathering) failed(short []event.StockLine) {
	g.Open, g.Short = g.Open-1, slices.Concat(g.Short, short)
}

// returned hears that a lane has given back its lines.
func (g *gathering) returned() { g.Open-- }

// answered goes on once every lane that was asked has answered. Until then an order that is given up waits, too: what a lane takes
// later could not be asked back before.
func (g *gathering) answered() next {
	switch {
	case g.Open > 0 || g.State != Gathering && g.State != Returning:
		return wait
	case g.State == Gathering && g.Short == nil && g.GivenUp == uuid.Nil:
		g.State = Reserved
	case g.State == Gathering && g.Taken > 0:
		g.State, g.Open = Returning, g.Taken
		return fetch
	case g.GivenUp != uuid.Nil:
		g.State = Released
	default:
		g.State = OutOfStock
	}
	return decided
}

// giveUp hears a fact by which the order gives up its units. One that is out of stock, or about to be, has none: that is said anyway.
func (g *gathering) giveUp(by uuid.UUID) next {
	switch {
	case g.State == Reserved:
		g.State, g.GivenUp, g.Open = Returning, by, g.Taken
		return fetch
	case g.State == Gathering && g.GivenUp == uuid.Nil:
		g.GivenUp = by
	}
	return wait
}

// says is the fact that tells what the order has come to.
func (g *gathering) says() event.Name {
	switch g.State {
	case Reserved:
		return event.StockReserved
	case OutOfStock:
		return event.StockFailed
	default:
		return event.StockReleased
	}
}
