package saga

import "testing"

// Whatever ends an order, and whenever: the stock goes back only once the money is settled.
func TestOrchestratedUndoesInReverse(t *testing.T) {
	t.Parallel()
	w := walker{strategy: Orchestrated, seen: make(map[world]bool)}
	if err := w.visit(w.start()); err != nil {
		t.Fatal(err)
	}
	undone := 0
	for at := range w.seen {
		if at.inventory == "released" {
			undone++
			if at.payment == "charged" {
				t.Errorf("the stock was given back while the money was held: %s", describe(at))
			}
		}
	}
	if undone == 0 {
		t.Error("no way leads to stock that is given back")
	}
}
