package saga

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
)

// Whatever the number of lanes was, and is now: what was said to a lane, then or now, comes to one queue that is consumed, once.
func TestLanesHearWhatOtherNumbersOfLanesWereTold(t *testing.T) {
	t.Parallel()
	book, err := NewBook(All(), "sequenced", nil)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, name := range []event.Name{event.LaneReserveRequested, event.LaneReleaseRequested} {
		for lane := range inventory.MaxLanes {
			said = append(said, event.PartKey("sequenced", name, inventory.LanePart(lane)))
		}
	}
	for _, was := range []int{1, 2, 5, 8, 31, 32} {
		for _, is := range []int{1, 2, 5, 8, 31, 32} {
			bound := map[string][]string{} // what RabbitMQ has after one start and the other
			for _, lanes := range []int{was, is} {
				for name, q := range book.Queues(lanes) {
					bound[name] = slices.DeleteFunc(append(bound[name], q.Keys...), func(key string) bool { return slices.Contains(q.Not, key) })
				}
			}
			served := book.Queues(is)
			for _, key := range said {
				var hears []string
				for name := range served {
					if slices.Contains(bound[name], key) {
						hears = append(hears, name)
					}
				}
				if len(hears) != 1 || !served[hears[0]].Lane || served[hears[0]].Module != Inventory {
					t.Fatalf("%d lanes, then %d: %s comes to %v", was, is, key, hears)
				}
			}
		}
	}
}

func TestQueuesAreOfAllTables(t *testing.T) {
	t.Parallel()
	book, err := NewBook(All(), "optimistic", nil)
	if err != nil {
		t.Fatal(err)
	}
	queues := book.Queues(3)
	if len(queues) != len(Modules())+3 {
		t.Errorf("%d queues", len(queues))
	}
	for module, rows := range book.Bindings() {
		for _, row := range rows {
			lane := strings.Contains(row, ".lane.") && strings.HasSuffix(row, ".requested")
			if own := slices.Contains(queues[string(module)].Keys, row); own == lane {
				t.Errorf("%s hears %s in its own queue: %v", module, row, own)
			}
		}
	}
	for lane := range 3 {
		if key := fmt.Sprint("sequenced.lane.reserve.requested.", lane); !slices.Contains(queues[LaneQueue(lane)].Keys, key) {
			t.Errorf("lane %d does not hear %s", lane, key)
		}
	}
}

// Whatever lanes answer, and whenever the order is given up: an order that has its units has them in all of its lanes, and one that
// has not has them in none.
func TestSequencedHasAllOrNothing(t *testing.T) {
	t.Parallel()
	w := walker{strategy: Sequenced, seen: make(map[world]bool)}
	if err := w.visit(w.start()); err != nil {
		t.Fatal(err)
	}
	ends := map[string]bool{}
	for at := range w.seen {
		ends[at.inventory] = true
		if at.inventory == "reserved" && (at.lanes.asked > 0 || at.lanes.failed > 0) ||
			(at.inventory == "failed" || at.inventory == "released") && at.lanes != (lanes{failed: at.lanes.failed}) {
			t.Errorf("%q with %+v", at.inventory, at.lanes)
		}
	}
	for _, end := range []string{"gathering", "recalled", "failing", "releasing", "reserved", "failed", "released"} {
		if !ends[end] {
			t.Errorf("no way leads to %q", end)
		}
	}
}
