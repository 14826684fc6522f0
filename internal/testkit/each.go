package testkit

import (
	"context"
	"testing"
)

// kinds are the ways in which Redis may be run, and how a test finds each.
var kinds = []struct {
	name string
	url  func(ctx context.Context) (string, error)
}{
	{"node", func(ctx context.Context) (string, error) { urls, err := shared.get(ctx); return urls.Redis, err }},
	{"cluster", shared.getCluster},
}

// OnEach runs a test on a single node of Redis and on a cluster of three masters, both at the same time and each in a place
// of its own, as New gives it.
func OnEach(t *testing.T, test func(t *testing.T, env *Env)) {
	t.Helper()
	onEach(t, func(t *testing.T, redisURL string) {
		urls, err := shared.get(t.Context())
		if err != nil {
			t.Fatalf("start the servers of this test run: %v", err)
		}
		urls.Redis = redisURL
		test(t, newEnv(t, urls, afterwards))
	})
}

// NewOnCluster is New with a cluster of three masters for its Redis.
func NewOnCluster(t testing.TB) *Env {
	t.Helper()
	urls, err := shared.get(t.Context())
	if err == nil {
		urls.Redis, err = shared.getCluster(t.Context())
	}
	if err != nil {
		t.Fatalf("start the servers of this test run: %v", err)
	}
	return newEnv(t, urls, afterwards)
}

// OnEachRedis is OnEach for a test that needs nothing but Redis: its place has no database and no broker.
func OnEachRedis(t *testing.T, test func(t *testing.T, env *Env)) {
	t.Helper()
	onEach(t, func(t *testing.T, redisURL string) {
		env := &Env{Log: newLog(t), Namespace: newNamespace(), RedisURL: redisURL}
		env.Redis = openRedis(t, redisURL, env.Namespace, afterwards)
		test(t, env)
	})
}

func onEach(t *testing.T, test func(t *testing.T, redisURL string)) {
	t.Helper()
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			url, err := kind.url(t.Context())
			if err != nil {
				t.Fatalf("start the Redis of this test run: %v", err)
			}
			test(t, url)
		})
	}
}
