package inventory_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// frozen is a Redis that answers so many calls and then none: whoever asks waits as long as he likes.
type frozen struct{ answers int }

func (*frozen) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *frozen) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return f.wait(ctx, cmd) }
}

func (f *frozen) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return f.wait(ctx, cmds...) }
}

func (f *frozen) wait(ctx context.Context, cmds ...redis.Cmder) error {
	if f.answers--; f.answers >= 0 {
		for _, cmd := range cmds {
			if said, ok := cmd.(*redis.StatusCmd); ok {
				said.SetVal("OK")
			}
		}
		return nil
	}
	<-ctx.Done()
	for _, cmd := range cmds {
		cmd.SetErr(ctx.Err())
	}
	return ctx.Err()
}

// However a frozen Redis is met, a request spends no more than the budget on it, by a clock that nothing but waiting moves.
func TestAFrozenRedisCostsNoMoreThanTheBudget(t *testing.T) {
	if redisx.Budget >= 500*time.Millisecond {
		t.Errorf("the budget is %v", redisx.Budget)
	}
	for name, answers := range map[string]int{"before the lock": 0, "after the lock": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, err := redisx.Open("redis://127.0.0.1:1/0", redisx.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				client.AddHook(&frozen{answers: answers})
				scripts, keys := redisx.NewScripts(client, lua.Sources()), redisx.Keys{Namespace: "t"}
				shelf := inventory.NewShelf(nil, scripts, keys, nil, nil, slog.New(slog.DiscardHandler))
				began := time.Now()
				unlock, taken, err := redisx.NewLocks(client, scripts, keys).Lock(t.Context(), "ann", "key")
				if taken != (answers > 0) {
					t.Fatalf("locked: %v, %v", taken, err)
				}
				_, all, err := shelf.HoldAll(t.Context(), uuid.New(), []event.OrderLine{line(uuid.New(), 1)}, time.Now().Add(time.Hour))
				if all || !redisx.Unavailable(err) {
					t.Errorf("held: %v, %v", all, err)
				}
				unlock()
				if waited := time.Since(began); waited > redisx.Budget || waited == 0 {
					t.Errorf("waited %v, the budget is %v", waited, redisx.Budget)
				}
				time.Sleep(time.Minute) // what goes on without the request ends too
			})
		})
	}
}
