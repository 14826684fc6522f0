package clock

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Other is the clock of a server elsewhere, as the Date of its answers tells it, to the second. The zero value is ready for use.
type Other struct{ latest atomic.Pointer[reference] }

// Heard takes the time from the header of an answer that has just come.
func (o *Other) Heard(header http.Header) {
	if theirs, err := http.ParseTime(header.Get("Date")); err == nil {
		o.latest.Store(&reference{theirs: theirs, ours: time.Now()})
	}
}

// Now returns the time by that clock, and by Postgres' before it has told any.
func (o *Other) Now() time.Time {
	if r := o.latest.Load(); r != nil {
		return r.theirs.Add(time.Since(r.ours)).UTC()
	}
	return Now()
}
