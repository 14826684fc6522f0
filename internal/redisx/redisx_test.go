package redisx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func open(t *testing.T, urls string) redis.UniversalClient {
	t.Helper()
	client, err := redisx.Open(urls, redisx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestOpenTellsANodeFromACluster(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		urls    string
		cluster bool
	}{
		{"redis://localhost:1/3", false},
		{"rediss://user:secret@localhost:1", false},
		{"redis://localhost:1?cluster=true", true},
		{"redis://localhost:1, redis://localhost:2", true},
	} {
		client := open(t, tt.urls)
		if _, cluster := client.(*redis.ClusterClient); cluster != tt.cluster {
			t.Errorf("%s: %T", tt.urls, client)
		}
	}
	for _, urls := range []string{"", "localhost:6379", "http://localhost", "redis://u:se%zzcret@h", "redis://h:1,"} {
		if _, err := redisx.Open(urls, redisx.Options{}); err == nil {
			t.Errorf("%q was taken for the URL of a Redis", urls)
		}
	}
}

// What Redis does not know is loaded and run again, and what it knows runs once.
func TestRunLoadsWhatIsUnknown(t *testing.T) {
	testkit.OnEachRedis(t, func(t *testing.T, env *testkit.Env) {
		ctx, key := t.Context(), env.Namespace+":count"
		fresh := "-- " + uuid.NewString() + "\n" // a script that no Redis has seen
		scripts := redisx.NewScripts(env.Redis, map[string]string{
			"count": fresh + "return redis.call('INCR', KEYS[1])",
			"fail":  fresh + "return redis.error_reply('INVALID it is')",
		})
		scripts.Patience = 10 * time.Second // a busy machine is no outage
		calls := []redisx.Call{
			redisx.Command("SET", key, 10),
			{Script: "count", Keys: []string{key}},
			{Script: "fail", Keys: []string{key}},
			{Script: "count", Keys: []string{key}},
		}
		for round, want := range []int64{12, 12} {
			replies, err := scripts.Run(ctx, calls)
			if err != nil {
				t.Fatal(err)
			}
			if replies[3].Value != want || replies[2].Err == nil || redisx.Unavailable(replies[2].Err) {
				t.Fatalf("round %d: %v", round, replies)
			}
		}
		if got, err := scripts.One(ctx, calls[1]); got != int64(13) || err != nil {
			t.Fatalf("one = %v, %v", got, err)
		}
	})
}

func TestRunSendsLongListsInPipelines(t *testing.T) {
	testkit.OnEachRedis(t, func(t *testing.T, env *testkit.Env) {
		scripts := redisx.NewScripts(env.Redis, map[string]string{"echo": "return tonumber(ARGV[1])"})
		scripts.Patience = 10 * time.Second // a busy machine is no outage
		calls := make([]redisx.Call, 2345)
		for i := range calls {
			calls[i] = redisx.Call{Script: "echo", Keys: []string{fmt.Sprint(env.Namespace, i)}, Args: []any{i}}
		}
		replies, err := scripts.Run(t.Context(), calls)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range replies {
			if r.Value != int64(i) {
				t.Fatalf("reply %d is %v, %v", i, r.Value, r.Err)
			}
		}
	})
}

// silent accepts connections and never answers, as a frozen Redis does.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return l.Addr().String()
}

func TestNobodyWaitsLongForARedisThatIsNotThere(t *testing.T) {
	t.Parallel()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for name, addr := range map[string]string{"refused": gone.Addr().String(), "frozen": silent(t)} {
		for _, url := range []string{"redis://" + addr, "redis://" + addr + "?cluster=true"} {
			scripts := redisx.NewScripts(open(t, url), map[string]string{"one": "return 1"})
			took := time.Hour // the best of some, for the sake of a busy machine
			for range 3 {
				start := time.Now()
				if _, err := scripts.One(t.Context(), redisx.Call{Script: "one", Keys: []string{"k"}}); !redisx.Unavailable(err) {
					t.Errorf("%s %s: %v", name, url, err)
				}
				took = min(took, time.Since(start))
			}
			if took > 500*time.Millisecond {
				t.Errorf("%s %s: after %v", name, url, took)
			}
		}
	}
}

type answer string

func (a answer) Error() string { return string(a) }
func (answer) RedisError()     {}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		answer("LOADING Redis is loading the dataset in memory"), answer("CLUSTERDOWN The cluster is down"), answer("OOM command not allowed"),
		answer("MISCONF Redis is configured to save"), io.EOF, fmt.Errorf("hold: %w", syscallError()), context.DeadlineExceeded, redis.ErrPoolTimeout, redis.ErrClosed,
	} {
		if !redisx.Unavailable(fmt.Errorf("wrapped: %w", err)) {
			t.Errorf("%v is an outage", err)
		}
	}
	for _, err := range []error{nil, redis.Nil, answer("INVALID hold"), answer("WRONGTYPE"), answer("ERR syntax"), context.Canceled, errors.New("other")} {
		if redisx.Unavailable(err) {
			t.Errorf("%v is no outage", err)
		}
	}
}

func syscallError() error { return &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} }

func TestLocksOfDifferentCustomersDiffer(t *testing.T) {
	t.Parallel()
	k := redisx.Keys{Namespace: "ns"}
	if a, b := k.Lock("a}:x", "y"), k.Lock("a", "x}:y"); a == b {
		t.Errorf("one key %s for two customers", a)
	}
	if got := k.Lock("c-1", "key"); got != "ns:lock:{c-1}:key" {
		t.Errorf("lock is %s", got)
	}
}
