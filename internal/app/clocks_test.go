package app

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// An instance whose clock is far from those of Postgres and Redis is not ready, and one that is a little off says so.
func TestClocks(t *testing.T) {
	t.Parallel()
	s := newStage(t, saga.Optimistic)
	for off, want := range map[time.Duration]string{
		0: "ready", 20 * time.Minute: "refused", -20 * time.Minute: "refused", 31 * time.Second: "refused", 5 * time.Second: "noted", -5 * time.Second: "noted",
	} {
		s.clocks.now = func() time.Time { return time.Now().Add(off) }
		for name, err := range map[string]error{"all": s.checkClocks(t.Context()), "postgres": s.checkPostgresClock(t.Context()), "redis": s.checkRedisClock(t.Context())} {
			got, noted := "ready", web.Noted{}
			switch {
			case errors.Is(err, errSkew):
				got = "refused"
			case errors.As(err, &noted):
				got = "noted"
			case err != nil:
				t.Error(err)
			}
			if got != want {
				t.Errorf("%s, off by %s: %s, want %s: %v", name, off, got, want, err)
			}
		}
	}
}
