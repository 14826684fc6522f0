// Package saga says how an order goes. A strategy is one table in one file: when this fact is said, who does what, and which
// facts may follow. The tables are the only truth: queues are bound, facts are handed to verbs, and drawings are made from
// their rows. Verbs do not know which strategy they work for.
package saga

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// Module is who hears: the name of an inbox and of a queue.
type Module string

// The modules.
const (
	Order     Module = order.Module
	Inventory Module = inventory.Module
	Payment   Module = payment.Module
	View      Module = order.ViewModule
	Shelf     Module = inventory.ShelfModule
)

// Modules are all who hear, in the order of the drawings.
func Modules() []Module { return []Module{Order, Inventory, Payment, View, Shelf} }

// Handler hears a batch of facts: one transaction, each fact once.
type Handler func(ctx context.Context, facts []event.Fact) error

// Actors are the modules whose verbs the tables name.
type Actors struct {
	Order     *order.Service
	Inventory *inventory.Service
	Payment   *payment.Service
	Shelf     *inventory.Shelf
}

// Verb is something that a module can do on hearing a fact.
type Verb struct {
	Who   Module
	Name  string
	lanes bool // it is done in lanes, by whoever consumes theirs
	bind  func(Actors) Handler
	play  func(world, event.Name) []outcome // what it may do, for Check; nil: nothing that an order's end depends on
}

// String is module.verb.
func (v *Verb) String() string { return string(v.Who) + "." + v.Name }

// Step is one row: on hearing When, Do is done, and one of the facts Then is said, or nothing.
type Step struct {
	When event.Name
	Do   *Verb
	Then []event.Name
}

// Strategy is a named table.
type Strategy struct {
	Name  string
	Steps []Step
	// AtOnce are facts whose rows are done in the transaction that makes the order, instead of being bound to queues (but for
	// those of the modules that only follow). A strategy that has some is gone on with in the request that made the order.
	AtOnce []event.Name
}

// says reads better in a table than the type of its values.
func says(facts ...event.Name) []event.Name { return facts }

// PaysFirst says whether payment hears of an order as soon as it is made.
func (s Strategy) PaysFirst() bool {
	return slices.ContainsFunc(s.Steps, func(step Step) bool {
		return step.When == event.OrderCreated && step.Do.Who == Payment
	})
}

// bound says whether a row's module hears its fact from its queue.
func (s Strategy) bound(step Step) bool {
	return step.Do.play == nil || !slices.Contains(s.AtOnce, step.When)
}

// Book is the strategies that orders can have, and the one that new orders take.
type Book struct {
	strategies map[string]Strategy
	allowed    []string
	chosen     string
}

// NewBook checks every strategy and chooses one of them for new orders; allowed are those that an order may ask for (nil:
// all of them).
func NewBook(strategies []Strategy, chosen string, allowed []string) (*Book, error) {
	b := &Book{strategies: make(map[string]Strategy, len(strategies)), chosen: chosen, allowed: allowed}
	for _, s := range strategies {
		if err := Check(s); err != nil {
			return nil, err
		}
		b.strategies[s.Name] = s
	}
	if b.allowed == nil {
		b.allowed = slices.Sorted(maps.Keys(b.strategies))
	}
	for _, name := range append([]string{chosen}, b.allowed...) {
		if _, known := b.strategies[name]; !known {
			return nil, fmt.Errorf("saga: there is no strategy %q, only %v", name, slices.Sorted(maps.Keys(b.strategies)))
		}
	}
	return b, nil
}

// Choose gives the strategy of a new order: the one asked for, if it is allowed, or the chosen one when none is asked for.
func (b *Book) Choose(asked string) (name string, ok bool) {
	if asked == "" {
		return b.chosen, true
	}
	return asked, slices.Contains(b.allowed, asked)
}

// PaysFirst says whether a strategy asks for payment as soon as an order is made.
func (b *Book) PaysFirst(name string) bool { return b.strategies[name].PaysFirst() }

// all are the strategies and the shop's own table, by name.
func (b *Book) all() []Strategy {
	names := slices.Sorted(maps.Keys(b.strategies))
	tables := make([]Strategy, 0, len(names)+1)
	for _, name := range names {
		tables = append(tables, b.strategies[name])
	}
	return append(tables, shop)
}

// Bindings gives what every module hears from queues: all rows of all tables, whatever strategy is chosen, so that a restart with
// another flag strands no order; but those that are done at once.
func (b *Book) Bindings() map[Module][]string {
	keys := make(map[Module][]string)
	for _, s := range b.all() {
		for _, step := range s.Steps {
			if s.bound(step) {
				keys[step.Do.Who] = append(keys[step.Do.Who], event.RoutingKey(s.Name, step.When))
			}
		}
	}
	return keys
}

// Queue is what a queue is bound to.
type Queue struct {
	Module Module   // who hears it
	Keys   []string // routing keys
	Not    []string // routing keys that it was bound to while there was another number of lanes
	Lane   bool     // it has one consumer at a time
}

// LaneQueue is the name of a lane's queue, without the prefix.
func LaneQueue(lane int) string { return string(Inventory) + ".lane." + inventory.LanePart(lane) }

// Queues gives every queue by its name, without the prefix: each module's own, and so many lanes. The first lane also hears what
// was said to lanes that there are no more.
func (b *Book) Queues(lanes int) map[string]Queue {
	queues := make(map[string]Queue)
	for _, s := range b.all() {
		for _, step := range s.Steps {
			if !s.bound(step) {
				continue
			}
			if step.Do.lanes {
				bindLanes(queues, s.Name, step.When, lanes)
				continue
			}
			q := queues[string(step.Do.Who)]
			q.Module, q.Keys = step.Do.Who, append(q.Keys, event.RoutingKey(s.Name, step.When))
			queues[string(step.Do.Who)] = q
		}
	}
	return queues
}

func bindLanes(queues map[string]Queue, strategy string, name event.Name, lanes int) {
	for part := range inventory.MaxLanes {
		key := event.PartKey(strategy, name, inventory.LanePart(part))
		to := part
		if part >= lanes {
			to = 0
		}
		q := queues[LaneQueue(to)]
		q.Module, q.Lane, q.Keys = Inventory, true, append(q.Keys, key)
		queues[LaneQueue(to)] = q
		if to > 0 {
			first := queues[LaneQueue(0)]
			first.Not = append(first.Not, key)
			queues[LaneQueue(0)] = first
		}
	}
}

// Hears gives, for every routing key, the modules that hear it, from a queue or at once.
func (b *Book) Hears() map[string][]string {
	hears := make(map[string][]string)
	for _, s := range b.all() {
		for _, step := range s.Steps {
			key := event.RoutingKey(s.Name, step.When)
			hears[key] = append(hears[key], string(step.Do.Who))
		}
	}
	return hears
}

// Unbound gives the routing keys that every module which hears them hears at once, so that no queue is bound to them.
func (b *Book) Unbound() []string {
	unbound := b.Hears()
	for _, keys := range b.Bindings() {
		for _, key := range keys {
			delete(unbound, key)
		}
	}
	return slices.Sorted(maps.Keys(unbound))
}
