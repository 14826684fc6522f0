package testkit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestPlacesDoNotMeet(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 4)
	t.Run("all", func(t *testing.T) {
		for range cap(seen) {
			t.Run("one", func(t *testing.T) {
				t.Parallel()
				env := testkit.New(t)
				if _, err := env.DB.Exec(t.Context(), "CREATE TABLE shared.mine (n int)"); err != nil {
					t.Error(err)
				}
				if n, err := env.Redis.Incr(t.Context(), env.Namespace+":mine").Result(); err != nil || n != 1 {
					t.Errorf("counter is %d: %v", n, err)
				}
				seen <- env.Namespace
			})
		}
	})
	close(seen)
	names := map[string]bool{}
	for name := range seen {
		names[name] = true
	}
	if len(names) != cap(seen) {
		t.Errorf("names are used twice: %v", names)
	}
}

func TestDatabaseIsMigrated(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	var rows int
	if err := env.DB.QueryRow(t.Context(), "SELECT count(*) FROM shared.outbox").Scan(&rows); err != nil {
		t.Error(err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	watcher := testkit.New(t)
	var gone *testkit.Env
	t.Run("somebody", func(t *testing.T) {
		gone = testkit.New(t)
		if err := gone.Redis.MSet(t.Context(), gone.Namespace+":a", 1, gone.Namespace+":b:{c}", 2).Err(); err != nil {
			t.Fatal(err)
		}
		declare(t, gone.RabbitURL, gone.Namespace+".order")
		readSlot(t, gone)
	})

	var databases, slots int
	err := errors.Join(
		watcher.DB.QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = $1", gone.Namespace).Scan(&databases),
		watcher.DB.QueryRow(t.Context(), "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1", gone.Namespace).Scan(&slots),
	)
	if err != nil || databases+slots != 0 {
		t.Errorf("%d databases and %d slots are left: %v", databases, slots, err)
	}
	if keys, err := watcher.Redis.Keys(t.Context(), gone.Namespace+"*").Result(); err != nil || len(keys) != 0 {
		t.Errorf("keys are left: %v, %v", keys, err)
	}
	if queueExists(t, gone.RabbitURL, gone.Namespace+".order") {
		t.Error("a queue is left")
	}
}

func channel(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func declare(t *testing.T, url, queue string) {
	t.Helper()
	if _, err := channel(t, url).QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		t.Fatal(err)
	}
}

func queueExists(t *testing.T, url, queue string) bool {
	t.Helper()
	_, err := channel(t, url).QueueDeclarePassive(queue, true, false, false, false, nil)
	var refusal *amqp.Error
	if err != nil && (!errors.As(err, &refusal) || refusal.Code != amqp.NotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// readSlot leaves a replication slot that is being read, which stands in the way of dropping its database.
func readSlot(t *testing.T, env *testkit.Env) {
	t.Helper()
	if _, err := env.DB.Exec(t.Context(), "CREATE PUBLICATION test FOR TABLE shared.outbox"); err != nil {
		t.Fatal(err)
	}
	conn, err := pgconn.Connect(t.Context(), env.PostgresURL+"&replication=database")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	if _, err := pglogrepl.CreateReplicationSlot(t.Context(), conn, env.Namespace, "pgoutput", pglogrepl.CreateReplicationSlotOptions{}); err != nil {
		t.Fatal(err)
	}
	err = pglogrepl.StartReplication(t.Context(), conn, env.Namespace, 0,
		pglogrepl.StartReplicationOptions{PluginArgs: []string{"proto_version '1'", "publication_names 'test'"}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEachRedisIsItsOwnAndLeftClean(t *testing.T) {
	t.Parallel()
	places := make(chan *testkit.Env, 4)
	t.Run("somebody", func(t *testing.T) {
		for _, each := range []func(*testing.T, func(*testing.T, *testkit.Env)){testkit.OnEach, testkit.OnEachRedis} {
			t.Run("each", func(t *testing.T) {
				each(t, func(t *testing.T, env *testkit.Env) {
					for i := range 50 { // on every master
						if n, err := env.Redis.Incr(t.Context(), fmt.Sprint(env.Namespace, ":", i)).Result(); err != nil || n != 1 {
							t.Errorf("counter is %d: %v", n, err)
						}
					}
					places <- env
				})
			})
		}
	})
	close(places)
	kinds := map[bool]int{}
	for env := range places {
		client, err := redisx.Open(env.RedisURL, redisx.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, cluster := client.(*redis.ClusterClient)
		kinds[cluster]++
		err = redisx.EachMaster(t.Context(), client, func(ctx context.Context, node *redis.Client) error {
			if left, err := node.Keys(ctx, env.Namespace+"*").Result(); err != nil || len(left) > 0 {
				return fmt.Errorf("keys are left: %v, %w", left, err)
			}
			return nil
		})
		if err := errors.Join(err, client.Close()); err != nil {
			t.Error(err)
		}
	}
	if kinds[true] != 2 || kinds[false] != 2 {
		t.Errorf("tests ran on %v", kinds)
	}
}

// failing is a test that is told to fail, for what may only be tried on a test.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	panic(f)
}

func TestEventually(t *testing.T) {
	t.Parallel()
	calls := 0
	testkit.Eventually(t, 3*time.Minute, func() bool { calls++; return calls == 3 })
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}

	f := &failing{TB: t}
	func() {
		defer func() {
			if recover() != any(f) {
				t.Error("it did not fail the test")
			}
		}()
		testkit.Eventually(f, time.Millisecond, func() error { return errors.New("still red") })
	}()
	if !strings.Contains(f.said, "still red") {
		t.Errorf("it fails with %q", f.said)
	}
}
