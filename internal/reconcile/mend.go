package reconcile

import (
	"context"
	"fmt"
	"strconv"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// repair is what is to be done about one product.
type repair struct {
	shelf  shelf
	row    row
	sum    int64    // of the quantities of all entries that can be read, as they were shown
	marked int64    // the same of those that are marked
	single bool     // it is of many holds that change meanwhile: each is set right by itself
	drop   []string // hold ids
	set    []entry
	found  []Difference // what it puts right
}

type entry struct {
	id string
	hold
	owner string // ":" and the owner's name, or nothing
}

// perCall is how many ids and how many entries one call of the script takes.
const perCall = 500

// call gives the next call of the script and leaves the rest in the repair. The books' stock goes along always: the rows were
// read after the shelf, so they know of every unit whose hold is ended here.
func (r *repair) call(keys redisx.Keys, seq string, first bool) redisx.Call {
	drop, set := r.drop[:min(len(r.drop), perCall)], r.set[:min(len(r.set), perCall)]
	r.drop, r.set = r.drop[len(drop):], r.set[len(set):]
	sum, marked := any(""), any("")
	if first {
		sum, marked = r.sum, r.marked
	}
	args := []any{seq, r.row.available, r.row.version, sum, marked, len(drop)}
	for _, id := range drop {
		args = append(args, id)
	}
	for _, e := range set {
		args = append(args, e.id, e.quantity, strconv.FormatInt(e.expires, 10)+e.owner)
	}
	return redisx.Call{Script: lua.Repair, Keys: keys.Product(r.shelf.id), Args: args}
}

// mend runs repairs and says of each whether it was done. A product with many holds takes several calls, each of which must
// find what the one before has left.
func (p *pass) mend(ctx context.Context, repairs []*repair) ([]bool, error) {
	done, seqs, open := make([]bool, len(repairs)), make([]string, len(repairs)), make([]int, len(repairs))
	for i, r := range repairs {
		seqs[i], open[i] = r.shelf.seq, i
	}
	due := p.dueCalls(repairs)
	for round := 0; len(open) > 0; round++ {
		var calls []redisx.Call
		for _, i := range open {
			calls = append(calls, repairs[i].call(p.Keys, seqs[i], round == 0))
		}
		replies, err := p.Scripts.Run(ctx, append(calls, due...))
		if err != nil {
			return nil, err
		}
		var more []int
		for at, i := range open {
			answer, _ := replies[at].Value.([]any)
			if replies[at].Err != nil || len(answer) != 2 {
				return nil, fmt.Errorf("repair product %s: answered %v: %w", repairs[i].shelf.id, answer, replies[at].Err)
			}
			code, _ := answer[0].(int64)
			done[i] = code == 1
			if seqs[i] = word(answer[1]); done[i] && len(repairs[i].drop)+len(repairs[i].set) > 0 {
				more = append(more, i)
			}
		}
		open, due = more, nil
	}
	return done, nil
}
