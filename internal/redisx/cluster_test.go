package redisx_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A script whose answer was lost has run once, and is not run again behind the caller's back.
func TestNothingIsSentTwice(t *testing.T) {
	testkit.OnEachRedis(t, func(t *testing.T, env *testkit.Env) {
		client, err := redisx.Open(env.RedisURL, redisx.Options{ReadTimeout: 100 * time.Millisecond, DialTimeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Close() }()
		scripts := redisx.NewScripts(client, map[string]string{"slow": `
			redis.call('INCR', KEYS[1])
			local t = redis.call('TIME')
			local till = t[1] * 1000000 + t[2] + 300000
			repeat t = redis.call('TIME') until t[1] * 1000000 + t[2] > till
			return 1`})
		scripts.Patience = 5 * time.Second
		key := env.Namespace + ":count"
		slow := redisx.Call{Script: "slow", Keys: []string{key}}
		if _, err := scripts.One(t.Context(), slow); !redisx.Unavailable(err) {
			t.Fatalf("an answer that did not come in time: %v", err)
		}
		for range 3 { // while it would be sent again
			if n, err := env.Redis.Get(t.Context(), key).Int(); err != nil || n != 1 {
				t.Fatalf("it ran %d times, %v", n, err)
			}
		}
	})
}

// Slots move to another master, and scripts follow them there.
func TestScriptsFollowSlotsThatMove(t *testing.T) {
	t.Parallel()
	servers := testkit.PrivateCluster(t)
	client := open(t, servers.RedisURL())
	scripts := redisx.NewScripts(client, map[string]string{"count": "return redis.call('INCR', KEYS[1])"})
	scripts.Patience = 10 * time.Second
	calls := make([]redisx.Call, 60)
	for i := range calls {
		calls[i] = redisx.Call{Script: "count", Keys: []string{fmt.Sprintf("key:{%d}", i)}}
	}
	count := func(want int64) {
		t.Helper()
		replies, err := scripts.Run(t.Context(), calls)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range replies {
			if r.Err != nil || r.Value != want {
				t.Fatalf("call %d: %v, %v, want %d", i, r.Value, r.Err, want)
			}
		}
	}
	count(1)
	slot, err := client.ClusterKeySlot(t.Context(), calls[7].Keys[0]).Result()
	if err != nil {
		t.Fatal(err)
	}
	move(t, client, slot)
	count(1)
	count(2)
}

// move gives a slot without keys to another master than the one that has it, and tells all of them.
func move(t *testing.T, client redis.UniversalClient, slot int64) {
	t.Helper()
	var masters []redis.ClusterSlot
	masters, err := client.ClusterSlots(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	var other string
	for _, m := range masters {
		if slot < int64(m.Start) || slot > int64(m.End) {
			other = m.Nodes[0].ID
		}
	}
	err = redisx.EachMaster(t.Context(), client, func(ctx context.Context, node *redis.Client) error {
		if err := node.FlushAll(ctx).Err(); err != nil {
			return err
		}
		return node.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", other).Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}
