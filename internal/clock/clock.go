// Package clock tells the time by Postgres, whose clock judges deadlines and expiries. Between two looks at it this process counts on by
// its monotonic clock, so that neither a wrong clock of the machine nor one that is put right in between decides anything.
//
// What is measured (how long something took, when to try again) needs none of this: time.Now and time.Since are right for it.
package clock

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// reference is a moment of Postgres' clock, and when it was by the monotonic clock of this process.
type reference struct{ theirs, ours time.Time }

// One for the process: it works with one Postgres.
var latest atomic.Pointer[reference]

// Set says that it was theirs by Postgres' clock when it was ours by the machine's, as time.Now gave it.
func Set(theirs, ours time.Time) { latest.Store(&reference{theirs: theirs, ours: ours}) }

// Notice takes what a query has answered for the time as it is now, if that is more than a second from what was known: then Postgres'
// clock was moved, or another Postgres has taken over.
func Notice(theirs time.Time) {
	if ours := time.Now(); Since(theirs).Abs() > time.Second {
		Set(theirs, ours)
	}
}

// Now returns the time by Postgres' clock, and by the machine's before anybody has looked.
func Now() time.Time {
	if r := latest.Load(); r != nil {
		return r.theirs.Add(time.Since(r.ours)).UTC()
	}
	return time.Now().UTC()
}

// Since returns how long ago a moment is by Postgres' clock.
func Since(at time.Time) time.Duration { return Now().Sub(at) }

// Until returns how long it is until a moment by Postgres' clock.
func Until(at time.Time) time.Duration { return at.Sub(Now()) }

// last is the time of the last id: each is greater than the one before.
var last struct {
	sync.Mutex
	ticks int64
}

// perMilli is how many ids a millisecond has room for before they run ahead of the clock.
const perMilli = 1 << 12

// NewID makes a UUIDv7 of now: the partition of a fact, and which fact is older, are told by its id.
func NewID() uuid.UUID {
	now := Now()
	ticks := now.UnixMilli()*perMilli + int64(now.Nanosecond()%1e6)*perMilli/1e6
	last.Lock()
	last.ticks = max(last.ticks+1, ticks)
	if last.ticks > ticks+1000*perMilli { // the clock was put back: ids follow it
		last.ticks = ticks
	}
	ticks = last.ticks
	last.Unlock()
	id := uuid.New()
	for i, shift := range []int{40, 32, 24, 16, 8, 0} {
		id[i] = byte(ticks / perMilli >> shift)
	}
	id[6], id[7] = 0x70|byte(ticks>>8&0xf), byte(ticks)
	return id
}
