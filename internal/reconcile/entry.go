package reconcile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// hold is an entry of holds:{p}.
type hold struct {
	quantity int64
	expires  int64  // ms; it counts until then
	owner    string // "" where that is not kept
	marks    string // of checkouts under way, or of the order that has it
	back     int64  // ms; when it ends if those come to nothing
}

func (h hold) live(now int64) bool { return h.quantity > 0 && h.expires > now }

// parse reads an entry; false is what no script has written.
func parse(value string) (h hold, readable bool) {
	parts := strings.Split(value, ":")
	number := func(i int) (n int64) {
		if i < len(parts) {
			n, _ = strconv.ParseInt(parts[i], 10, 64)
		}
		return n
	}
	h = hold{quantity: number(0), expires: number(1)}
	if len(parts) > 2 {
		h.owner = parts[2]
	}
	if len(parts) == 5 {
		h.marks, h.back = parts[3], number(4)
	}
	return h, h.quantity > 0 && h.expires > 0
}

// as says whether an entry of the right quantity that lasts for long enough is what its cart or order ought to have.
func (h hold) as(e expected) bool {
	return (h.marks != "") == e.order && (h.owner == "" || h.owner == redisx.Owner(e.customer)) && h.back <= h.expires
}

// sums are those of the entries that can be read: all of them, and what is marked.
func (s shelf) sums() (units, marked int64) {
	for _, value := range s.entries {
		h, readable := parse(value)
		if !readable {
			continue
		}
		if units += h.quantity; h.marks != "" {
			marked += h.quantity
		}
	}
	return units, marked
}

// undated are the holds that the set by which they end does not have at their expiry, and what it has of nothing.
func (s shelf) undated() (wrong, nothing []string) {
	for id, value := range s.entries {
		if h, readable := parse(value); readable && s.dates[id] != strconv.FormatInt(h.expires, 10) {
			wrong = append(wrong, id)
		}
	}
	for id := range s.dates {
		if _, there := s.entries[id]; !there {
			nothing = append(nothing, id)
		}
	}
	return wrong, nothing
}

// within is a hold as the rows say, at the end that it has or at theirs, whichever is later.
func within(h hold, e expected) hold {
	return hold{quantity: e.quantity, expires: max(h.expires, e.expires)}
}

// compareDates judges entries that the set by which they end does not have at their expiry. What has expired goes.
func (p *pass) compareDates(s shelf, r row, ids []string, fix *repair) {
	for _, id := range ids {
		h, _ := parse(s.entries[id])
		e, known := r.holds[id]
		switch {
		case slices.Contains(fix.drop, id) || slices.ContainsFunc(fix.set, func(set entry) bool { return set.id == id }):
		case !h.live(s.now):
			fix.drop = append(fix.drop, id)
		case known && p.doubted(s.id, id, s.entries[id]):
			fix.set = append(fix.set, entry{id, hold{quantity: h.quantity, expires: h.expires}, p.behind(e, h)})
		}
	}
}

// sumsText shows what is held, and what of it is marked where that is said.
func sumsText(reserved, marked string) string {
	if marked == "" {
		return "reserved " + reserved
	}
	return "reserved " + reserved + ", marked " + marked
}
