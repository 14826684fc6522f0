package saga

import (
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Ends gives for every state in which a table leaves an order the facts that are said on each of the ways there. A state is spelled
// strategy/status/reason/payment/inventory. The table must be one that Check accepts.
//
// Two things are left out that the walk takes for sure: order.updated, since what order hears of one order at once it tells of in one
// fact; and payment.processed of money that went back, since a charge that is given back while it is on its way says nothing else.
func Ends(s Strategy) map[string][]event.Name { return maps.Clone(endsOf(s)) }

var endsOf = once(func(s Strategy) map[string][]event.Name {
	names := s.facts()
	steps := make(map[world][]step)
	w := walker{strategy: s, seen: make(map[world]bool), stepped: func(from, to world, said []event.Name) {
		steps[from] = append(steps[from], step{to, bits(names, said)})
	}}
	if w.visit(w.start()) != nil {
		return nil
	}
	ends := make(map[string][]event.Name)
	sure := surely(w.start(), bits(names, says(event.OrderCreated)), steps)
	common := make(map[string]factSet)
	for at, said := range sure {
		if at.pending == "" && at.order.Status.Final() {
			state := spell(s.Name, at)
			if before, seen := common[state]; seen {
				said &= before
			}
			common[state] = said
		}
	}
	for state, said := range common {
		facts := said.names(names)
		back := slices.Contains(facts, event.PaymentRefunded) || slices.Contains(facts, event.PaymentVoided)
		ends[state] = slices.DeleteFunc(facts, func(name event.Name) bool {
			return name == event.OrderUpdated || name == event.PaymentProcessed && back
		})
	}
	return ends
})

func spell(strategy string, at world) string {
	o := at.order
	return strings.Join([]string{strategy, string(o.Status), string(o.Reason), string(o.Payment), string(o.Inventory)}, "/")
}

// facts are all that can be said in a table, in the order of their first mention.
func (s Strategy) facts() []event.Name {
	names := slices.Clone(begins)
	for _, row := range s.Steps {
		for _, name := range row.Then {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// factSet is a set of facts, a bit for each place in a list of names.
type factSet uint64

func bits(names, of []event.Name) (set factSet) {
	for _, name := range of {
		set |= 1 << slices.Index(names, name)
	}
	return set
}

func (set factSet) names(names []event.Name) (list []event.Name) {
	for i, name := range names {
		if set&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}

// step leads to another world and says facts on the way.
type step struct {
	to   world
	said factSet
}

// surely gives what was said on every way to a world, for all worlds: a world is looked at again whenever a way to it was found
// on which less was said.
func surely(start world, first factSet, steps map[world][]step) map[world]factSet {
	sure := map[world]factSet{start: first}
	for look := []world{start}; len(look) > 0; {
		at := look[len(look)-1]
		look = look[:len(look)-1]
		for _, next := range steps[at] {
			said := sure[at] | next.said
			before, seen := sure[next.to]
			if seen {
				said &= before
			}
			if !seen || said != before {
				sure[next.to] = said
				look = append(look, next.to)
			}
		}
	}
	return sure
}

// Ends gives the facts of Ends for all strategies.
func (b *Book) Ends() map[string][]string {
	ends := make(map[string][]string)
	for _, s := range b.strategies {
		for state, facts := range Ends(s) {
			for _, name := range facts {
				ends[state] = append(ends[state], string(name))
			}
		}
	}
	return ends
}

// Follows gives what may be said on hearing a fact, by whoever hears it: from <strategy>.<fact> to facts.
func (b *Book) Follows() map[string][]string {
	follows := make(map[string][]string)
	for _, s := range b.all() {
		for _, row := range s.Steps {
			key := event.RoutingKey(s.Name, row.When)
			for _, name := range row.Then {
				follows[key] = append(follows[key], string(name))
			}
		}
	}
	return follows
}

// Does gives the verb of each row, by "<module> <strategy>.<fact>".
func (b *Book) Does() map[string]string {
	does := make(map[string]string)
	for _, s := range b.all() {
		for _, row := range s.Steps {
			does[string(row.Do.Who)+" "+event.RoutingKey(s.Name, row.When)] = row.Do.Name
		}
	}
	return does
}
