package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// condition is what Redis has of a product.
type condition int64

const (
	loaded    condition = 1
	notLoaded condition = 0
	damaged   condition = -1 // its keys do not agree, or are of the wrong type, or hold no numbers
)

// shelf is what Redis has of a product at one moment.
type shelf struct {
	id        uuid.UUID
	condition condition
	seq       string // changes with every change; what a repair must find unchanged
	stock     string
	version   string
	reserved  string
	marked    string            // what it says is marked; '' if that has yet to be counted
	now       int64             // Redis' clock, ms
	entries   map[string]string // hold id to "quantity:expiry in ms[:owner]", expired ones too
	dates     map[string]string // hold id to the expiry by which it ends
}

// readShelves reads products, most of them at a glance. Those with more holds than fit a page are only named: each is to be read, and
// compared, by itself, so that many of them are never in memory together.
func (p *pass) readShelves(ctx context.Context, ids []uuid.UUID) (shelves []shelf, large []uuid.UUID, err error) {
	shelves, unsure, err := p.glance(ctx, ids)
	if err != nil || len(unsure) == 0 {
		return shelves, nil, err
	}
	calls := make([]redisx.Call, 0, 2*len(unsure))
	for _, id := range unsure {
		calls = append(calls, p.stateCall(id, "0"), redisx.Command("HGET", p.Keys.Product(id)[0], "n"))
	}
	replies, err := p.Scripts.Run(ctx, calls)
	if err != nil {
		return nil, nil, err
	}
	for i, id := range unsure {
		s, cursor, err := stateOf(id, replies[2*i])
		if err != nil {
			return nil, nil, err
		}
		if cursor != "0" && s.condition == loaded {
			large = append(large, id)
			continue
		}
		if s.condition == notLoaded && !nothing(replies[2*i+1]) {
			s.condition, s.stock = damaged, strings.TrimSpace(fmt.Sprint(replies[2*i+1].Value, " ", errText(replies[2*i+1].Err)))
		}
		shelves = append(shelves, s)
	}
	return shelves, large, nil
}

// nothing says that a field is not there.
func nothing(r redisx.Reply) bool {
	return errors.Is(r.Err, redis.Nil) || r.Err == nil && r.Value == nil
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func wrongType(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE") }

func (p *pass) stateCall(id uuid.UUID, cursor string) redisx.Call {
	return redisx.Call{Script: lua.State, Keys: p.Keys.Product(id), Args: []any{cursor}}
}

// readLarge reads a product page by page. It may change meanwhile: each entry is as it was at some moment of the reading.
func (p *pass) readLarge(ctx context.Context, id uuid.UUID) (s shelf, err error) {
	for cursor := "0"; ; {
		reply, err := p.Scripts.One(ctx, p.stateCall(id, cursor))
		if err != nil {
			return s, err
		}
		next, following, err := stateOf(id, redisx.Reply{Value: reply})
		if err != nil || next.condition != loaded {
			return next, err
		}
		if cursor == "0" {
			s = next
		} else {
			maps.Copy(s.entries, next.entries)
			maps.Copy(s.dates, next.dates)
			s.now = next.now
		}
		if cursor = following; cursor == "0" {
			return s, nil
		}
	}
}

// stateOf reads an answer of the script state.
func stateOf(id uuid.UUID, r redisx.Reply) (shelf, string, error) {
	answer, ok := r.Value.([]any)
	if r.Err != nil || !ok || len(answer) != 10 {
		return shelf{}, "", fmt.Errorf("state of product %s: answered %v: %w", id, r.Value, r.Err)
	}
	code, _ := answer[0].(int64)
	s := shelf{
		id: id, condition: condition(code), seq: word(answer[1]), stock: word(answer[2]), version: word(answer[3]), reserved: word(answer[4]),
		marked: word(answer[5]), entries: map[string]string{}, dates: map[string]string{},
	}
	var err error
	if s.now, err = strconv.ParseInt(word(answer[6]), 10, 64); err != nil {
		return shelf{}, "", fmt.Errorf("state of product %s: clock: %w", id, err)
	}
	flat, dates := listOf(answer[8]), listOf(answer[9])
	for i := 0; i+1 < len(flat); i += 2 {
		s.entries[word(flat[i])] = word(flat[i+1])
		if i/2 < len(dates) && word(dates[i/2]) != "" {
			s.dates[word(flat[i])] = word(dates[i/2])
		}
	}
	return s, word(answer[7]), nil
}

func word(v any) string {
	s, _ := v.(string)
	return s
}
