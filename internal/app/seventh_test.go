package app

import (
	"slices"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// seventh is a strategy as somebody may add one: a table, in a file of its own, of verbs that are there. It reserves first, as
// optimistic does, and has the money closed as well when the stock cannot be had. All that an instance, the auditor and the tests need
// of it is this table: one more line names it where the others are (here that is newStage).
func seventh() saga.Strategy {
	steps := slices.DeleteFunc(slices.Clone(saga.Optimistic.Steps), func(step saga.Step) bool {
		return step.When == event.StockFailed
	})
	for _, step := range saga.PostPayment.Steps {
		if step.When == event.StockFailed { // payment gives back, order unwinds
			steps = append(steps, step)
		}
	}
	return saga.Strategy{Name: "seventh", Steps: steps}
}
