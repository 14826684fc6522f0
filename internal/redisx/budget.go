package redisx

import "time"

// Budget is how long one request waits in all for a Redis that does not answer, so that it is refused within half a second. All
// waiting is a share of it: for the lock, for the units (of which giving back what may be half held is a part), for asking Redis
// whether it is there when they did not come in time, and for giving the lock back.
const (
	Budget     = 470 * time.Millisecond
	lockTime   = 50 * time.Millisecond
	unlockTime = 30 * time.Millisecond
	askWithin  = 70 * time.Millisecond
	Patience   = Budget - lockTime - unlockTime - askWithin
)
