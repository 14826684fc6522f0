package saga

import (
	"slices"
	"strings"
)

// States gives every state that an order of a table can be seen in, on any path, spelled strategy/status/reason/payment/inventory. It
// is what the auditor holds orders against. The table must be one that Check accepts.
func States(s Strategy) []string {
	w := walker{strategy: s, seen: make(map[world]bool)}
	if w.visit(w.start()) != nil {
		return nil
	}
	var states []string
	for at := range w.seen {
		if _, atOnce := w.due(at); !atOnce { // within a transaction nobody sees it
			o := at.order
			states = append(states, strings.Join([]string{s.Name, string(o.Status), string(o.Reason), string(o.Payment), string(o.Inventory)}, "/"))
		}
	}
	slices.Sort(states)
	return slices.Compact(states)
}

// States gives those of all strategies.
func (b *Book) States() []string {
	var states []string
	for _, s := range b.all() {
		if s.Name != shop.Name {
			states = append(states, States(s)...)
		}
	}
	return states
}
