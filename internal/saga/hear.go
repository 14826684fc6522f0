package saga

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/failpoint"
)

// ErrNoRow says that a module was handed a fact that no table has it hear.
var ErrNoRow = errors.New("saga: no row of any table")

// Hear gives what a module does with the facts of its queue: each goes to the verb of its row, those of one verb together,
// so that one transaction serves many orders.
func (b *Book) Hear(who Module, actors Actors) Handler {
	verbs := b.verbs(who)
	handlers := make(map[*Verb]Handler)
	for _, verb := range verbs {
		if handlers[verb] == nil {
			handlers[verb] = verb.bind(actors)
		}
	}
	return func(ctx context.Context, facts []event.Fact) error {
		order, groups, err := group(who, verbs, facts)
		if err != nil {
			return err
		}
		for _, verb := range order {
			failpoint.Reach("hearing", string(who), verb.Name)
			if err := handlers[verb](ctx, groups[verb]); err != nil {
				return fmt.Errorf("%s: %w", verb, err)
			}
			failpoint.Reach("heard", string(who), verb.Name) // committed, and not acknowledged yet
		}
		return nil
	}
}

// Knows gives whether a module can take a fact: a table has a row for it, and its data has a shape that this program reads.
func (b *Book) Knows(who Module) func(event.Fact) bool {
	verbs := b.verbs(who)
	return func(f event.Fact) bool { return verbs[f.Row()] != nil && f.Version <= event.Version(f.Name) }
}

func (b *Book) verbs(who Module) map[string]*Verb {
	verbs := make(map[string]*Verb)
	for _, s := range b.all() {
		for _, step := range s.Steps {
			if step.Do.Who == who {
				verbs[event.RoutingKey(s.Name, step.When)] = step.Do
			}
		}
	}
	return verbs
}

// group sorts facts by verb; verbs stay in the order in which their first fact came.
func group(who Module, verbs map[string]*Verb, facts []event.Fact) (order []*Verb, groups map[*Verb][]event.Fact, err error) {
	groups = make(map[*Verb][]event.Fact)
	for _, f := range facts {
		verb := verbs[f.Row()]
		if verb == nil || f.Version > event.Version(f.Name) {
			return nil, nil, fmt.Errorf("%w: %s hears %s", ErrNoRow, who, f.RoutingKey())
		}
		if groups[verb] == nil {
			order = append(order, verb)
		}
		groups[verb] = append(groups[verb], f)
	}
	return order, groups, nil
}
