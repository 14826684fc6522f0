package testkit

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
)

// openRedis connects, and deletes every key that begins with the namespace afterwards.
func openRedis(t testing.TB, url, namespace string, tidy tidying) redis.UniversalClient {
	t.Helper()
	opts, err := redis.ParseURL(url)
	if err != nil {
		t.Fatalf("read the address of Redis: %v", err)
	}
	opts.MaxRetries, opts.ContextTimeoutEnabled = -1, true
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() }) // after the keys; a test may have closed it
	tidy(t, "delete the test's keys", func(ctx context.Context) error { return deleteKeys(ctx, opts, namespace) })
	return client
}

// scanPage is how many keys the server looks at per question.
const scanPage = 1000

func deleteKeys(ctx context.Context, opts *redis.Options, namespace string) error {
	client := redis.NewClient(opts) // the test's own may be closed
	defer func() { _ = client.Close() }()
	for cursor := uint64(0); ; {
		keys, next, err := client.Scan(ctx, cursor, namespace+"*", scanPage).Result()
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			if err := client.Unlink(ctx, keys...).Err(); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
