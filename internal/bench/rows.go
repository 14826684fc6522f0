package bench

import "context"

// measure is how a row is made.
type measure struct {
	name string
	run  func(ctx context.Context, p *place) (Row, error)
}

// measures are all rows, in the order in which they are run. Each has a file of its own.
func measures() []measure {
	return []measure{
		sagaRow("optimistic"),
		sagaRow("post-payment"),
		holdRow("spread", 1000),
		holdRow("hot", 1),
		reconcileRow(),
	}
}
