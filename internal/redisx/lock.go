package redisx

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/lua"
)

// lockLife is how long a lock outlives an owner that has died, or does not give it back.
const lockLife = 10 * time.Second

// unlockLife bounds the giving back, for which the answer waits no longer than unlockTime.
const unlockLife = 300 * time.Millisecond

// Locks are short locks on a customer's idempotency keys. They spare work and decide nothing.
type Locks struct {
	Patience time.Duration // how long taking one may take: the package's, unless it is set before the first use

	client  redis.UniversalClient
	scripts *Scripts
	keys    Keys
}

// NewLocks makes them.
func NewLocks(client redis.UniversalClient, scripts *Scripts, keys Keys) *Locks {
	return &Locks{Patience: lockTime, client: client, scripts: scripts, keys: keys}
}

// Lock takes the lock, unless it is taken. unlock is never nil, and gives the lock back only if it is still the caller's.
func (l *Locks) Lock(ctx context.Context, customer, key string) (unlock func(), taken bool, err error) {
	name, owner := l.keys.Lock(customer, key), uuid.NewString()
	soon, cancel := context.WithTimeout(ctx, l.Patience)
	defer cancel()
	reply, err := l.client.SetArgs(soon, name, owner, redis.SetArgs{Mode: "NX", TTL: lockLife}).Result()
	if err == redis.Nil { //nolint:errorlint // the client answers the value itself
		return func() {}, false, nil
	}
	if err != nil {
		return func() {}, false, fmt.Errorf("lock: %w", err)
	}
	return func() { l.unlock(context.WithoutCancel(ctx), name, owner) }, reply == "OK", nil
}

// unlock gives a lock back. One that is not given back ends by itself.
func (l *Locks) unlock(ctx context.Context, name, owner string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(ctx, unlockLife)
		defer cancel()
		_, _ = l.scripts.One(ctx, Call{Script: lua.Unlock, Keys: []string{name}, Args: []any{owner}})
	}()
	timer := time.NewTimer(unlockTime)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
