package clock

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"
)

// The time and the ids are Postgres', whatever the machine's clock says, and ids grow also where the clock stands still.
func TestTheTimeIsPostgres(t *testing.T) {
	t.Cleanup(func() { latest.Store(nil) })
	if d := time.Since(Now()).Abs(); d > time.Minute {
		t.Errorf("before anybody looked it is off by %s", d)
	}
	Set(time.Now(), time.Now())
	for off, want := range map[time.Duration]time.Duration{time.Second / 2: 0, 20 * time.Minute: 20 * time.Minute} {
		if Notice(time.Now().Add(off)); (Until(time.Now()) + want).Abs() > 10*time.Second {
			t.Errorf("a time that is off by %s was not noticed, or was", off)
		}
		Set(time.Now(), time.Now())
	}
	for _, off := range []time.Duration{20 * time.Minute, -20 * time.Minute, 0} {
		Set(time.Now().Add(off), time.Now())
		var before uuid.UUID
		for range 10_000 {
			id := NewID()
			sec, nsec := id.Time().UnixTime()
			if d := time.Until(time.Unix(sec, nsec)) - off; id.Version() != 7 || id.Variant() != uuid.RFC4122 || d.Abs() > time.Minute {
				t.Fatalf("%s is off by %s", id, d)
			}
			if bytes.Compare(id[:], before[:]) <= 0 {
				t.Fatalf("%s after %s", id, before)
			}
			before = id
		}
		if d := Until(time.Now()) + off; d.Abs() > time.Minute {
			t.Errorf("off by %s", d)
		}
		if d := Since(time.Now()) - off; d.Abs() > time.Minute {
			t.Errorf("off by %s", d)
		}
	}
}
