package saga

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// States gives every state that an order of a table can be seen in, on any path, spelled strategy/status/reason/payment/inventory. It
// is what the auditor holds orders against. The table must be one that Check accepts.
func States(s Strategy) []string { return slices.Clone(statesOf(s)) }

var statesOf = once(func(s Strategy) []string {
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
})

// once remembers what was found of a table: a walk goes through thousands of worlds, and always the same.
func once[T any](find func(Strategy) T) func(Strategy) T {
	type finding struct {
		of  Strategy // kept, so that its verbs stay the ones at these addresses
		get func() T
	}
	var found sync.Map
	return func(s Strategy) T {
		table := fmt.Sprintf("%q %q", s.Name, s.AtOnce)
		for _, row := range s.Steps {
			table += fmt.Sprintf(" %q %p %q", row.When, row.Do, row.Then)
		}
		f, _ := found.LoadOrStore(table, finding{s, sync.OnceValue(func() T { return find(s) })})
		return f.(finding).get()
	}
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
