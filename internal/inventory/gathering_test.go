package inventory

import (
	"testing"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Every choice of lanes that cannot have their lines, of up to four, in every order of answers, with the order given up at any
// moment or never: it is RESERVED exactly if all have taken and nobody gave up before, what was taken is asked back otherwise, and
// what it has come to is said once, after the last answer.
func TestGathering(t *testing.T) {
	t.Parallel()
	line := event.StockLine{ProductID: uuid.New(), Quantity: 1}
	for n := 1; n <= 4; n++ {
		for short := range 1 << n { // in the order in which they answer
			for given := -1; given <= 2*n+1; given++ {
				g := gathering{State: Gathering, Open: n}
				var said []event.Name
				returning, step := 0, 0
				hear := func(did next) {
					switch did {
					case fetch:
						returning = g.Taken
					case decided:
						said = append(said, g.says())
						if g.Open != 0 {
							t.Fatalf("%b of %d, given up at %d: %s with %d answers open", short, n, given, g.State, g.Open)
						}
					}
				}
				giveUp := func() {
					if step == given {
						hear(g.giveUp(uuid.New()))
						hear(g.giveUp(uuid.New())) // a second fact that gives up changes nothing
					}
					step++
				}
				giveUp()
				for lane := range n {
					if short>>lane&1 == 1 {
						g.failed([]event.StockLine{line})
					} else {
						g.took()
					}
					hear(g.answered())
					giveUp()
				}
				for ; returning > 0; giveUp() {
					returning--
					g.returned()
					hear(g.answered())
					if returning == 0 {
						break
					}
				}
				want := []event.Name{event.StockReserved}
				switch {
				case given >= 0 && given < n: // before the last answer
					want = []event.Name{event.StockReleased}
				case short != 0:
					want = []event.Name{event.StockFailed}
				case given == n: // once all had taken
					want = []event.Name{event.StockReserved, event.StockReleased}
				}
				if len(said) != len(want) || said[len(said)-1] != want[len(want)-1] {
					t.Errorf("%b of %d cannot, given up at %d: said %v, want %v", short, n, given, said, want)
				}
			}
		}
	}
}

func TestLaneOfSpreadsProducts(t *testing.T) {
	t.Parallel()
	const lanes, products = 8, 8000
	var in [lanes]int
	for range products {
		id := uuid.Must(uuid.NewV7())
		in[LaneOf(id, lanes)]++
	}
	for lane, n := range in {
		if n < products/lanes*8/10 || n > products/lanes*12/10 {
			t.Errorf("lane %d has %d of %d products", lane, n, products)
		}
	}
}
