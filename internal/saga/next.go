//go:build nextbuild

package saga

import (
	"slices"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// A build with this tag stands for the version after this one, in the tests that run two versions side by side: it has a strategy
// more, and in one that is there a row more, which has no effect but that its module handles the fact.
func init() {
	next = []Strategy{{Name: "next", Steps: slices.Clone(Optimistic.Steps)}}
	Optimistic.Steps = append(Optimistic.Steps, Step{event.StockReserved, show, nil})
}
