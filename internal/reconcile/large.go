package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// compareLarge compares a product with many holds, of which some change at any time: each hold is judged by itself, and set right if it
// is still the one that was read. The sums are added up anew while it goes on changing.
func (p *pass) compareLarge(ctx context.Context, id uuid.UUID) error {
	s, err := p.readLarge(ctx, id)
	if err != nil {
		return err
	}
	if s.condition != loaded {
		return p.compareShelves(ctx, []shelf{s})
	}
	rows, err := p.readRows(ctx, []shelf{s})
	if err != nil {
		return err
	}
	fix := &repair{shelf: s, row: rows[id], single: true}
	if d, differs := compareStock(s, fix.row); differs {
		fix.found = append(fix.found, d)
	}
	if d, differs := p.compareHolds(s, fix.row, fix); differs {
		fix.found = append(fix.found, d)
	}
	if err := p.index(ctx, []shelf{s}); err != nil {
		return err
	}
	done := true
	if len(fix.found) > 0 && !p.run.DryRun {
		if done, err = p.amend(ctx, fix); err != nil {
			return err
		}
	}
	for i := range fix.found {
		fix.found[i].Action = p.action(done)
	}
	if d, differs, err := p.recount(ctx, id); err != nil {
		return err
	} else if differs {
		fix.found = append(fix.found, d)
	}
	return p.differ(ctx, fix.found)
}

// perAmend is how many holds one call sets right.
const perAmend = 100

// amend sets the stock and single holds right, and says whether all of them still were as they had been read.
func (p *pass) amend(ctx context.Context, fix *repair) (bool, error) {
	args := make([][]any, 0, len(fix.drop)+len(fix.set))
	for _, id := range fix.drop {
		args = append(args, []any{id, fix.shelf.entries[id], "", ""})
	}
	for _, e := range fix.set {
		args = append(args, []any{e.id, fix.shelf.entries[e.id], e.quantity, strconv.FormatInt(e.expires, 10) + e.owner})
	}
	calls := p.dueCalls([]*repair{fix})
	first := len(calls)
	for some := range slices.Chunk(append(args, nil), perAmend) { // one call at least, for the stock
		call := []any{fix.shelf.stock, fix.shelf.version, fix.row.available, fix.row.version}
		for _, one := range some {
			call = append(call, one...)
		}
		calls = append(calls, redisx.Call{Script: lua.Amend, Keys: p.Keys.Product(fix.shelf.id), Args: call})
	}
	replies, err := p.Scripts.Run(ctx, calls)
	if err != nil {
		return false, err
	}
	all := true
	for _, r := range replies[first:] {
		answer := listOf(r.Value)
		if r.Err != nil || len(answer) == 0 {
			return false, fmt.Errorf("amend product %s: answered %v: %w", fix.shelf.id, r.Value, r.Err)
		}
		for _, done := range answer {
			all = all && done == int64(1)
		}
	}
	return all, nil
}

// recount has the sums of a product added up anew, and set right. What is no longer loaded, or damaged, is for another run.
func (p *pass) recount(ctx context.Context, id uuid.UUID) (d Difference, differs bool, err error) {
	begin, fix := "1", "1"
	if p.run.DryRun {
		fix = "0"
	}
	for {
		reply, err := p.Scripts.One(ctx, redisx.Call{Script: lua.Recount, Keys: p.Keys.Product(id), Args: []any{begin, fix}})
		if err != nil {
			return d, false, err
		}
		answer := listOf(reply)
		if len(answer) == 0 {
			return d, false, fmt.Errorf("recount product %s: answered %v", id, reply)
		}
		switch begin = "0"; answer[0] {
		case int64(0):
		case int64(1):
			d = Difference{
				Pair: pairHolds, Key: "holds:{" + id.String() + "}", Action: p.action(true),
				Redis: sumsText(word(answer[1]), word(answer[2])), Postgres: sumsText(word(answer[3]), word(answer[4])),
			}
			return d, word(answer[1]) != word(answer[3]) || word(answer[2]) != "" && word(answer[2]) != word(answer[4]), nil
		default:
			p.mu.Lock()
			p.restless = true
			p.mu.Unlock()
			return d, false, nil
		}
	}
}
