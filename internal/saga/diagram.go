package saga

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Diagram draws a table as a Mermaid flow chart: facts are the boxes, verbs the arrows between them. The modules that only
// follow (view and shelf) are left out.
func Diagram(s Strategy) string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, name := range drawn(s) {
		fmt.Fprintf(&b, "    %s%s\n", node(name), box(name))
	}
	for _, step := range s.Steps {
		if step.Do.play == nil {
			continue
		}
		for _, then := range step.Then {
			fmt.Fprintf(&b, "    %s -->|%s| %s\n", node(step.When), step.Do, node(then))
		}
	}
	return b.String()
}

// drawn are the facts of the table in the order in which it comes to them.
func drawn(s Strategy) []event.Name {
	var names []event.Name
	add := func(name event.Name) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, step := range s.Steps {
		if step.Do.play != nil {
			add(step.When)
			for _, then := range step.Then {
				add(then)
			}
		}
	}
	return names
}

func node(name event.Name) string { return strings.ReplaceAll(string(name), ".", "_") }

// box is round where an order begins or ends.
func box(name event.Name) string {
	switch name {
	case event.OrderCreated, event.OrderEnding, event.OrderCompleted, event.OrderFailed, event.OrderCancelled:
		return fmt.Sprintf("([%s])", name)
	default:
		return fmt.Sprintf("[%s]", name)
	}
}
