package inventory_test

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/inventory"
)

type verb int

const (
	doLoad    verb = iota // the product is on the shelf with a stock and a version
	doHold                // one id, a quantity, an expiry
	doRelease             // one id
	doExtend              // one id, an expiry
	doRead
	doSettle // stock, version, ids that end
	doTick   // time reaches an expiry
)

// act is what was asked of one product, told what was answered.
type act struct {
	product  uuid.UUID
	verb     verb
	id       uuid.UUID
	quantity int64 // the stock of a load and of a settle
	version  int64
	until    int64 // ms
	ended    []uuid.UUID
	checkout bool // an extend marks what it finds
}

type told struct {
	held, past bool
	units      int64 // what could be held, or what an extended hold has
	outcome    inventory.Outcome
	expiry     int64
}

// onShelf is one product as everybody may think of it: a stock, and live holds. No damage, no cleaning, no entries that have
// expired and are still there.
type onShelf struct {
	stock, version, now int64
	holds               []heldUnits // by id
}

type heldUnits struct {
	id            uuid.UUID
	units, expiry int64
	marked        bool // by a checkout: promised
}

func byID(h heldUnits, id uuid.UUID) int { return slices.Compare(h.id[:], id[:]) }

func (s onShelf) find(id uuid.UUID) (heldUnits, bool) {
	i, found := slices.BinarySearchFunc(s.holds, id, byID)
	if !found {
		return heldUnits{}, false
	}
	return s.holds[i], true
}

func (s onShelf) free() int64 {
	free := s.stock
	for _, h := range s.holds {
		free -= h.units
	}
	return free
}

func (s onShelf) without(gone func(heldUnits) bool) onShelf {
	s.holds = slices.DeleteFunc(slices.Clone(s.holds), gone)
	return s
}

func (s onShelf) with(h heldUnits) onShelf {
	i, found := slices.BinarySearchFunc(s.holds, h.id, byID)
	s.holds = slices.Clone(s.holds)
	if found {
		s.holds[i] = h
	} else {
		s.holds = slices.Insert(s.holds, i, h)
	}
	return s
}

// shelfModel says what one product answers, one act after the other. Expiry is exact, because time is an act as well: the
// tick of every expiry that was asked for takes place at its millisecond, and whatever was under way then may come before it
// or after it.
var shelfModel = porcupine.Model{
	Init:  func() any { return onShelf{} },
	Step:  func(state, input, output any) (bool, any) { return state.(onShelf).step(input.(act), output.(told)) },
	Equal: func(a, b any) bool { return a.(onShelf).same(b.(onShelf)) },
	Hash:  func(state any) uint64 { return state.(onShelf).hash() },
	DescribeOperation: func(input, output any) string {
		return fmt.Sprintf("%+v -> %+v", input, output)
	},
}

func (s onShelf) step(a act, t told) (bool, onShelf) {
	switch a.verb {
	case doLoad:
		s.stock, s.version = a.quantity, a.version
		return true, s
	case doTick:
		s.now = max(s.now, a.until)
		return true, s.without(func(h heldUnits) bool { return h.expiry <= s.now })
	case doHold:
		return s.hold(a, t)
	case doRelease:
		return true, s.without(func(h heldUnits) bool { return h.id == a.id })
	case doExtend:
		return s.extend(a, t)
	case doRead:
		return t.units == max(0, s.free()), s
	case doSettle:
		if a.version > s.version {
			s.stock, s.version = a.quantity, a.version
		}
		return true, s.without(func(h heldUnits) bool { return slices.Contains(a.ended, h.id) })
	}
	return false, s
}

func (s onShelf) hold(a act, t told) (bool, onShelf) {
	if a.until <= s.now || t.past {
		return a.until <= s.now && t.past, s
	}
	own, _ := s.find(a.id)
	most := max(0, s.free()+own.units)
	held := a.quantity <= max(most, own.units) // what the stock does not cover any more is kept
	if held {
		most = max(most, a.quantity)
	}
	if t.units != most || t.held != held {
		return false, s
	}
	if !t.held {
		return true, s
	}
	return true, s.with(heldUnits{a.id, a.quantity, a.until, own.marked})
}

func (s onShelf) extend(a act, t told) (bool, onShelf) {
	own, there := s.find(a.id)
	if !there { // what has expired may have been cleaned away
		return t.outcome == inventory.Missing || t.outcome == inventory.Expired && t.expiry <= s.now, s
	}
	if left := s.left(a.id); a.checkout && s.free() < 0 && left < own.units {
		return t.outcome == inventory.Cut && t.units == max(0, left), s
	}
	own.expiry, own.marked = max(own.expiry, a.until), own.marked || a.checkout
	return t.outcome == inventory.Extended && t.units == own.units && t.expiry == own.expiry, s.with(own)
}

// left is what of the stock is not promised to others.
func (s onShelf) left(id uuid.UUID) int64 {
	left := s.stock
	for _, h := range s.holds {
		if h.marked && h.id != id {
			left -= h.units
		}
	}
	return left
}

func (s onShelf) same(o onShelf) bool {
	return s.stock == o.stock && s.version == o.version && s.now == o.now && slices.Equal(s.holds, o.holds)
}

var hashSeed = maphash.MakeSeed()

func (s onShelf) hash() uint64 {
	sum := maphash.Comparable(hashSeed, [3]int64{s.stock, s.version, s.now})
	for _, h := range s.holds {
		sum = sum*31 + maphash.Comparable(hashSeed, h)
	}
	return sum
}

// withTime adds the ticks to the history of one product: one for each expiry that came before the last answer.
func withTime(history []porcupine.Operation) []porcupine.Operation {
	var last int64
	seen := map[int64]bool{}
	for _, o := range history {
		last = max(last, o.Return)
		if until := o.Input.(act).until; until > 0 {
			seen[until] = true
		}
	}
	for until := range seen {
		if at := until * 1_000_000; at <= last {
			history = append(history, porcupine.Operation{Input: act{verb: doTick, until: until}, Call: at, Output: told{}, Return: at})
		}
	}
	slices.SortStableFunc(history, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	return history
}
