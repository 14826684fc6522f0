package audit

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// heldUnits is what somebody holds of a product, as holds:{p} has it.
type heldUnits struct {
	units   int64
	expires int64 // ms; it counts until then
	owner   string
	marks   string // of checkouts, or of the order that has it
	back    int64  // ms; when it ends if those come to nothing
}

// entryForm is what the scripts read: "units:expiry", the owner behind it where it is known, and what is marked.
var entryForm = regexp.MustCompile(`^(\d{1,16}):(\d{1,16})(?::([\w-]{16}))?$|^(\d{1,16}):(\d{1,16}):([\w-]{16})?:([\w.-]+):(\d{1,16})$`)

func readEntry(value string) (e heldUnits, readable bool) {
	m := entryForm.FindStringSubmatch(value)
	if m == nil {
		return e, false
	}
	number := func(text string) int64 {
		n, err := strconv.ParseInt(text, 10, 64)
		readable = readable && err == nil
		return n
	}
	readable = true
	if m[1] != "" {
		e = heldUnits{units: number(m[1]), expires: number(m[2]), owner: m[3]}
	} else {
		e = heldUnits{units: number(m[4]), expires: number(m[5]), owner: m[6], marks: m[7], back: number(m[8])}
	}
	return e, readable && e.units > 0 && e.expires > 0
}

func (s shelf) read() (map[string]heldUnits, error) {
	entries := make(map[string]heldUnits, len(s.entries))
	for _, id := range slices.Sorted(maps.Keys(s.entries)) {
		e, readable := readEntry(s.entries[id])
		if !readable {
			return nil, fmt.Errorf("%s: %q", id, s.entries[id])
		}
		entries[id] = e
	}
	return entries, nil
}

// compareEntries compares the holds of a product one by one, and the set by which they end.
func (s shelf) compareEntries(product uuid.UUID, entries map[string]heldUnits, books map[string]owed, now int64) (found []differs) {
	all := map[string]bool{}
	for id := range s.entries {
		all[id] = true
	}
	for id := range books {
		all[id] = true
	}
	for id := range s.dates {
		all[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		e, held := entries[id]
		differ := func(rule, should string) {
			is := "none"
			if held {
				is = s.entries[id]
			}
			found = append(found, differs{Rule: rule, Key: product, Hold: id, Redis: is, Postgres: should})
		}
		if date, dated := s.dates[id]; dated != held || held && date != float64(e.expires) {
			differ("the set by which entries end has them all at their expiry", fmt.Sprintf("in the set: %t, at %.0f", dated, date))
		}
		if rule, should := e.against(books[id], now); rule != "" {
			differ(rule, should)
		}
	}
	return found
}

// against says which rule an entry breaks, and what it ought to be; an entry without units is none.
func (e heldUnits) against(o owed, now int64) (rule, should string) {
	should = fmt.Sprintf("%d units from %d to %d", o.units, o.least, o.most)
	live := e.units > 0 && e.expires > now
	switch {
	case !live && o.least <= now, !live && o.units == 0:
		return "", ""
	case !live || e.units != o.units:
		return "the live entries are the live cart lines and the holds of orders", should
	case e.expires > o.most:
		return "no entry lasts for longer than its cart or order", should
	case e.expires < o.least:
		return "no entry ends before its cart or order", should
	case o.order && e.marks == "":
		return "what an order holds is marked", should
	case !o.order && e.marks != "":
		return "what is marked is an order's, or of a checkout under way", should
	case e.owner != "" && e.owner != redisx.Owner(o.customer):
		return "the owner of an entry is the customer", should + " of " + redisx.Owner(o.customer)
	case e.back > e.expires:
		return "no entry goes back to a later time", should
	}
	return "", ""
}
