package reconcile

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// glances is how many plain commands read one product: together they cost Redis a fifth of what the script state costs.
const glances = 5

// mostEntries is how many holds a glance takes in.
const mostEntries = 500

// glance reads products with plain commands. The change sequence is read first and last: every change of a product changes
// it, so what lies between two equal ones is of one moment. It gives the products that are loaded or not, and the ids of
// those that changed meanwhile, have many holds or are in any way odd: these are for the script to look at.
func (p *pass) glance(ctx context.Context, ids []uuid.UUID) (shelves []shelf, unsure []uuid.UUID, err error) {
	calls := make([]redisx.Call, 1, 1+glances*len(ids))
	calls[0] = redisx.Command("TIME") // before the rest: what is live then is not taken for expired
	for _, id := range ids {
		k := p.Keys.Product(id)
		calls = append(calls, redisx.Command("HMGET", k[0], "seq", "n", "v", "m"), redisx.Command("GET", k[1]),
			redisx.Command("HSCAN", k[2], "0", "COUNT", mostEntries), redisx.Command("ZRANGE", k[3], 0, mostEntries, "WITHSCORES"), redisx.Command("HGET", k[0], "seq"))
	}
	replies, err := p.Scripts.Run(ctx, calls)
	if err != nil {
		return nil, nil, err
	}
	now, err := clockOf(replies[0])
	if err != nil {
		return nil, nil, err
	}
	shelves = make([]shelf, 0, len(ids))
	for i, id := range ids {
		if s, sure := glanced(replies[1+glances*i:][:glances]); sure {
			s.id, s.now = id, now
			shelves = append(shelves, s)
		} else {
			unsure = append(unsure, id)
		}
	}
	return shelves, unsure, nil
}

// clockOf reads the answer to TIME, in ms.
func clockOf(r redisx.Reply) (int64, error) {
	parts, _ := r.Value.([]any)
	if r.Err != nil || len(parts) != 2 {
		return 0, fmt.Errorf("ask Redis for the time: answered %v: %w", r.Value, r.Err)
	}
	seconds, err1 := strconv.ParseInt(word(parts[0]), 10, 64)
	micros, err2 := strconv.ParseInt(word(parts[1]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("ask Redis for the time: answered %v", r.Value)
	}
	return seconds*1000 + micros/1000, nil
}

// glanced reads the answers to one product's commands. It is sure of a product that is sound, by the rules of
// product.inc.lua, and of one of which there is nothing.
func glanced(r []redisx.Reply) (s shelf, sure bool) {
	stock, scan := listOf(r[0].Value), listOf(r[2].Value)
	dates, readable := datesOf(r[3])
	if len(stock) != 4 || len(scan) != 2 || word(scan[0]) != "0" || !readable {
		return s, false
	}
	flat, _ := scan[1].([]any)
	if stock[1] == nil && nothing(r[1]) && len(flat) == 0 && len(dates) == 0 {
		return shelf{condition: notLoaded}, true
	}
	s = shelf{condition: loaded, seq: word(stock[0]), stock: word(stock[1]), version: word(stock[2]), reserved: word(r[1].Value), marked: word(stock[3]), dates: dates}
	reserved, ok := whole(s.reserved)
	if !ok || word(r[4].Value) != s.seq || (reserved > 0) != (len(flat) > 0) {
		return s, false
	}
	for _, text := range []string{s.seq, s.stock, s.version} {
		if _, ok := whole(text); !ok {
			return s, false
		}
	}
	if len(flat) > 0 {
		s.entries = make(map[string]string, len(flat)/2)
		for i := 0; i+1 < len(flat); i += 2 {
			s.entries[word(flat[i])] = word(flat[i+1])
		}
	}
	return s, len(s.entries) == len(dates)
}

// datesOf reads the answer to ZRANGE with scores, which are numbers in one version of the protocol and text in the other.
func datesOf(r redisx.Reply) (dates map[string]string, readable bool) {
	list, isList := r.Value.([]any)
	if r.Err != nil || !isList {
		return nil, false
	}
	if len(list) == 0 {
		return nil, true
	}
	dates = make(map[string]string, len(list))
	for i := 0; i < len(list); i++ {
		if pair, isPair := list[i].([]any); isPair && len(pair) == 2 {
			score, _ := pair[1].(float64)
			dates[word(pair[0])] = strconv.FormatFloat(score, 'f', -1, 64)
		} else if i++; i < len(list) {
			dates[word(list[i-1])] = word(list[i])
		}
	}
	return dates, true
}

func listOf(v any) []any {
	list, _ := v.([]any)
	return list
}

// whole reads a number as the scripts do.
func whole(text string) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 53)
	return int64(n), err == nil && len(text) <= 16
}
