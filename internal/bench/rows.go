package bench

import (
	"context"

	"github.com/holdfast-checkout/holdfast/internal/relay"
	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// measure is how a row is made.
type measure struct {
	name string
	run  func(ctx context.Context, p *place) (Row, error)
}

// measures are all rows, in the order in which they are run. Each has a file of its own.
func measures() []measure {
	var rows []measure
	for _, strategy := range saga.All() {
		rows = append(rows, sagaRow(strategy.Name))
	}
	return append(rows,
		holdRow("spread", 1000),
		holdRow("hot", 1),
		reconcileRow(),
		outboxRow(relay.CDC),
		outboxRow(relay.Polling),
	)
}
