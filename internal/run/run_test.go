package run

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parts records in which order parts end.
type parts struct {
	mu    sync.Mutex
	ended []string
}

func (p *parts) until(name string) Part {
	return Part{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ended = append(p.ended, name)
		return nil
	}}
}

func TestPartsAreStoppedInReverse(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := &parts{}
	last := Part{Name: "last", Run: func(ctx context.Context) error { cancel(); <-ctx.Done(); return nil }}
	if err := All(ctx, slog.New(slog.DiscardHandler), p.until("one"), p.until("two"), p.until("three"), last); err != nil {
		t.Fatal(err)
	}
	if want := []string{"three", "two", "one"}; !slices.Equal(p.ended, want) {
		t.Fatalf("ended %v, want %v", p.ended, want)
	}
}

func TestOnePartsEndEndsAll(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, want := range map[string]error{"with an error": boom, "without": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &parts{}
			broken := Part{Name: "broken", Run: func(context.Context) error { return want }}
			err := All(t.Context(), slog.New(slog.DiscardHandler), p.until("one"), broken, p.until("three"))
			if err == nil || (want != nil && !errors.Is(err, want)) {
				t.Fatalf("got %v", err)
			}
			if !slices.Equal(p.ended, []string{"three", "one"}) {
				t.Fatalf("ended %v", p.ended)
			}
		})
	}
}
