package saga

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/order"
)

// Check refuses a table in which a fact is said that nobody hears, or heard that nobody says, an actor hears one fact twice,
// facts lead to one another in a circle, a verb says what its row does not announce, or an order does not end, or ends while
// stock or money is still held. The last three are found by walking every path: every outcome of every verb, in every order of
// arrival, with the order's time running out, or its customer cancelling it, at any moment or never. What is done at once is one
// step; a fact that is heard at once must be said at once, too.
func Check(s Strategy) error {
	if err := errors.Join(checkHeard(s), checkTwice(s), checkCircle(s), checkAtOnce(s)); err != nil {
		return fmt.Errorf("strategy %s: %w", s.Name, err)
	}
	if err := walked(s); err != nil {
		return fmt.Errorf("strategy %s: %w", s.Name, err)
	}
	return nil
}

var walked = once(walk)

// begins are the facts that no row has to announce: a customer and the clock say them.
var begins = []event.Name{event.OrderCreated, event.OrderEnding}

func checkHeard(s Strategy) error {
	var errs []error
	said, heard := slices.Clone(begins), []event.Name{}
	for _, step := range s.Steps {
		said, heard = append(said, step.Then...), append(heard, step.When)
	}
	for _, name := range distinct(said) {
		if !slices.Contains(heard, name) {
			errs = append(errs, fmt.Errorf("nobody hears %s", name))
		}
	}
	for _, name := range distinct(heard) {
		if !slices.Contains(said, name) {
			errs = append(errs, fmt.Errorf("nobody says %s", name))
		}
	}
	return errors.Join(errs...)
}

func distinct(names []event.Name) []event.Name {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

func checkTwice(s Strategy) error {
	var errs []error
	seen := make(map[string]bool)
	for _, step := range s.Steps {
		key := fmt.Sprintf("%s hears %s", step.Do.Who, step.When)
		if seen[key] {
			errs = append(errs, fmt.Errorf("%s twice", key))
		}
		seen[key] = true
	}
	return errors.Join(errs...)
}

func checkCircle(s Strategy) error {
	next := make(map[event.Name][]event.Name)
	for _, step := range s.Steps {
		next[step.When] = append(next[step.When], step.Then...)
	}
	done := make(map[event.Name]bool)
	var visit func(name event.Name, path []event.Name) error
	visit = func(name event.Name, path []event.Name) error {
		if slices.Contains(path, name) {
			return fmt.Errorf("a circle: %v %s", path, name)
		}
		if done[name] {
			return nil
		}
		for _, then := range next[name] {
			if err := visit(then, append(path, name)); err != nil {
				return err
			}
		}
		done[name] = true
		return nil
	}
	var errs []error
	for _, name := range begins {
		errs = append(errs, visit(name, nil))
	}
	return errors.Join(errs...)
}

// checkAtOnce refuses what is heard at once but may be said later, by somebody who hears a queue: nobody would hear it.
func checkAtOnce(s Strategy) error {
	var errs []error
	for _, step := range s.Steps {
		for _, name := range step.Then {
			if slices.Contains(s.AtOnce, name) && s.bound(step) {
				errs = append(errs, fmt.Errorf("%s is heard at once, and said on %s, which is not", name, step.When))
			}
		}
	}
	if slices.Contains(s.AtOnce, event.OrderEnding) {
		errs = append(errs, fmt.Errorf("%s is heard at once, and said at any time", event.OrderEnding))
	}
	return errors.Join(errs...)
}

// world is what Check's walk knows: the order as order knows it, what inventory and payment hold, and the facts that have
// been said and not yet heard by every module.
type world struct {
	order     order.State
	inventory string // "", reserved, failed, released; between them gathering, recalled, failing, releasing, where lanes are asked
	lanes     lanes
	payment   string // "", charged, declined, voided, refunded
	pending   string // deliveries under way, sorted, one per line: module, fact
}

// outcome is what a verb may make of a world, and the facts that it says.
type outcome struct {
	world world
	says  []event.Name
}

type walker struct {
	strategy Strategy
	seen     map[world]bool
	stepped  func(from, to world, said []event.Name) // called for every step between two worlds, when set
}

func walk(s Strategy) error {
	w := walker{strategy: s, seen: make(map[world]bool)}
	return w.visit(w.start())
}

// step goes on to a world in which more was said.
func (w walker) step(from, to world, said ...event.Name) error {
	for _, name := range said {
		to = w.say(to, name)
	}
	if w.stepped != nil {
		w.stepped(from, to, said)
	}
	return w.visit(to)
}

// start is a world in which an order was just made.
func (w walker) start() world {
	at := world{order: order.State{Status: order.Created, Payment: order.PaymentNotStarted, Inventory: order.InventoryNotStarted}}
	if w.strategy.PaysFirst() {
		at.order.Payment = order.PaymentPending
	}
	return w.say(at, event.OrderCreated)
}

func (w walker) visit(at world) error {
	if w.seen[at] {
		return nil
	}
	w.seen[at] = true
	if err := holdsNothing(at); err != nil {
		return err
	}
	if at.pending == "" && !at.order.Status.Final() {
		return fmt.Errorf("an order is left at %s with nothing under way", describe(at))
	}
	due, atOnce := w.due(at)
	for _, delivery := range due {
		if err := w.deliver(at, delivery); err != nil {
			return err
		}
	}
	if atOnce {
		return nil
	}
	for _, end := range []func(*order.State) bool{(*order.State).TimeOut, (*order.State).Cancel} {
		if ended := at; end(&ended.order) {
			if err := w.step(at, ended, ended.order.SaysEnding()); err != nil {
				return err
			}
		}
	}
	return nil
}

// due are the deliveries of which one comes next: any that is under way, but those that are made at once before all others.
func (w walker) due(at world) (due []string, atOnce bool) {
	for line := range strings.Lines(at.pending) {
		delivery := strings.TrimSpace(line)
		_, fact, _ := strings.Cut(delivery, " ")
		now := slices.Contains(w.strategy.AtOnce, event.Name(fact))
		if now && !atOnce {
			due, atOnce = nil, true
		}
		if now || !atOnce {
			due = append(due, delivery)
		}
	}
	return due, atOnce
}

// deliver lets one module hear one fact, with every outcome that this may have.
func (w walker) deliver(at world, delivery string) error {
	who, fact, _ := strings.Cut(delivery, " ")
	for _, step := range w.strategy.Steps {
		if string(step.Do.Who) != who || string(step.When) != fact {
			continue
		}
		after := at
		after.pending = strings.Replace(at.pending, delivery+"\n", "", 1)
		for _, out := range step.Do.play(after, step.When) {
			for _, name := range out.says {
				if !slices.Contains(step.Then, name) {
					return fmt.Errorf("%s on %s says %s, which its row does not announce", step.Do, step.When, name)
				}
			}
			if err := w.step(at, out.world, out.says...); err != nil {
				return err
			}
		}
	}
	return nil
}

// say puts a fact on its way to every module that hears it.
func (w walker) say(at world, name event.Name) world {
	deliveries := slices.Collect(strings.Lines(at.pending))
	for _, step := range w.strategy.Steps {
		if step.When == name && step.Do.play != nil {
			deliveries = append(deliveries, fmt.Sprintf("%s %s\n", step.Do.Who, name))
		}
	}
	slices.Sort(deliveries)
	at.pending = strings.Join(deliveries, "")
	return at
}

func holdsNothing(at world) error {
	switch at.order.Status {
	case order.Completed:
		if at.inventory != "reserved" || at.payment != "charged" {
			return fmt.Errorf("an order is complete without stock and money: %s", describe(at))
		}
	case order.Failed, order.Cancelled:
		if at.inventory == "reserved" || at.lanes.taken > 0 || at.payment == "charged" {
			return fmt.Errorf("an order ends while stock or money is held: %s", describe(at))
		}
	}
	return nil
}

func describe(at world) string {
	return fmt.Sprintf("%s (inventory %q, payment %q)", at.order.Status, at.inventory, at.payment)
}
