// Package testkit gives each test a place of its own on real servers: a migrated database, a Redis key prefix and a
// broker namespace, all gone when the test has ended, so that tests run in parallel and never meet.
//
// One set of servers serves a whole test run. `make test` starts it and names it in HOLDFAST_TEST_STACK; a package that is
// tested alone starts a set on its first call of New and stops it at the end of Main. Redis is there twice, as a single node
// and as a cluster: OnEach runs a test on both.
package testkit

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/stack"
)

// Env is one test's place.
type Env struct {
	DB          *postgres.DB // a pool on the test's own database
	PostgresURL string       // of that database
	Redis       redis.UniversalClient
	RedisURL    string
	RabbitURL   string
	Namespace   string       // prefix of every key, queue, exchange and slot that the test makes
	Log         *slog.Logger // writes to the test's log
}

// New makes a place on the servers of this test run, and takes it away when the test has ended.
func New(t testing.TB) *Env {
	t.Helper()
	urls, err := shared.get(t.Context())
	if err != nil {
		t.Fatalf("start the servers of this test run: %v", err)
	}
	return newEnv(t, urls, afterwards)
}

// NewBroker is New for a test that needs nothing but RabbitMQ: its place has no database and no Redis.
func NewBroker(t testing.TB) *Env {
	t.Helper()
	urls, err := shared.get(t.Context())
	if err != nil {
		t.Fatalf("start the servers of this test run: %v", err)
	}
	env := &Env{Log: newLog(t), Namespace: newNamespace(), RabbitURL: urls.Rabbit}
	cleanBroker(t, env.RabbitURL, env.Namespace, afterwards)
	return env
}

// PrivateBroker is NewBroker on a RabbitMQ that this test alone has, as Private gives it.
func PrivateBroker(t testing.TB) (*Env, *stack.Stack) {
	t.Helper()
	s := private(t, stack.Options{PostgresURL: given, RedisURL: given})
	return &Env{Log: newLog(t), Namespace: newNamespace(), RabbitURL: s.RabbitURL()}, s
}

// NewOn is New on servers of the test's own, as Private gives them. What the test leaves there goes with the servers.
func NewOn(t testing.TB, s *stack.Stack) *Env {
	t.Helper()
	return newEnv(t, urlsOf(s), leave)
}

// Private starts servers that this test alone has, so that it may kill, pause and starve them. They take three seconds to
// start: tests that only need a clean place use New.
func Private(t testing.TB) *stack.Stack {
	t.Helper()
	return private(t, stack.Options{})
}

// PrivatePair is Private with a standby of Postgres.
func PrivatePair(t testing.TB) *stack.Stack {
	t.Helper()
	return private(t, stack.Options{Standby: true})
}

// PrivateClocks is Private with clocks that can be moved.
func PrivateClocks(t testing.TB) *stack.Stack {
	t.Helper()
	return private(t, stack.Options{Clocks: true})
}

// PrivateRedis starts a Redis that this test alone has, and makes a place that has it beside the Postgres and the broker of this
// test run: a tenth of the work of Private.
func PrivateRedis(t testing.TB) (*Env, *stack.Stack) {
	t.Helper()
	urls, err := shared.get(t.Context())
	if err != nil {
		t.Fatalf("start the servers of this test run: %v", err)
	}
	s := private(t, stack.Options{PostgresURL: given, RabbitURL: given})
	urls.Redis = s.RedisURL()
	return newPlace(t, urls, afterwards, leave), s
}

// PrivatePostgres starts a Postgres that this test alone has, and makes a place that has it beside the Redis and the broker of this test
// run: for what transactions of others would disturb.
func PrivatePostgres(t testing.TB) (*Env, *stack.Stack) {
	t.Helper()
	urls, err := shared.get(t.Context())
	if err != nil {
		t.Fatalf("start the servers of this test run: %v", err)
	}
	s := private(t, stack.Options{RedisURL: given, RabbitURL: given})
	urls.Postgres = s.PostgresURL()
	return newEnv(t, urls, afterwards), s
}

// PrivateCluster starts three masters of a Redis Cluster that this test alone has, and nothing else.
func PrivateCluster(t testing.TB) *stack.Stack {
	t.Helper()
	return private(t, clusterOnly)
}

// PrivateNodes is Private with three RabbitMQ nodes that are one cluster. They take fifteen seconds of a processor to start, so that
// only tests that are built with the tag drill do so.
func PrivateNodes(t testing.TB) *stack.Stack {
	t.Helper()
	return private(t, stack.Options{RabbitNodes: 3})
}

func private(t testing.TB, opts stack.Options) *stack.Stack {
	t.Helper()
	dir, err := makeDir()
	if err != nil {
		t.Fatalf("make a folder for private servers: %v", err)
	}
	opts.Dir, opts.Log, opts.Relaxed = dir, newLog(t), true
	s, err := stack.Start(t.Context(), opts)
	if err != nil {
		t.Fatalf("start private servers: %v", err)
	}
	t.Cleanup(func() {
		s.Kill()
		if err := s.Remove(); err != nil {
			t.Errorf("remove private servers: %v", err)
		}
	})
	return s
}

func newEnv(t testing.TB, urls URLs, tidy tidying) *Env {
	t.Helper()
	return newPlace(t, urls, tidy, tidy)
}

// newPlace is newEnv where the keys in Redis are tidied away in a way of their own.
func newPlace(t testing.TB, urls URLs, tidy, tidyRedis tidying) *Env {
	t.Helper()
	env := &Env{Log: newLog(t), Namespace: newNamespace(), RedisURL: urls.Redis, RabbitURL: urls.Rabbit}
	env.PostgresURL = newDatabase(t, urls.Postgres, env.Namespace, tidy)
	env.DB = openPool(t, env.PostgresURL)
	env.Redis = openRedis(t, env.RedisURL, env.Namespace, tidyRedis)
	cleanBroker(t, env.RabbitURL, env.Namespace, tidy)
	return env
}

// newNamespace is a name that no other test has, good for a database, a key, a queue and a replication slot.
func newNamespace() string {
	return "t" + strings.ReplaceAll(uuid.Must(uuid.NewV7()).String(), "-", "")
}

// cleanupPatience bounds what is tidied away after a test, when its own context has ended already.
const cleanupPatience = 20 * time.Second

// tidying is what becomes of a test's things on the servers.
type tidying func(t testing.TB, what string, clean func(ctx context.Context) error)

// afterwards removes them at the end of the test, and fails the test when that cannot be done.
func afterwards(t testing.TB, what string, clean func(ctx context.Context) error) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), cleanupPatience)
		defer cancel()
		if err := clean(ctx); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	})
}

// leave leaves them to go with the servers, which the test may have killed.
func leave(testing.TB, string, func(context.Context) error) {}
