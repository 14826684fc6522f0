package testkit

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// openRedis connects, and deletes every key that begins with the namespace afterwards.
func openRedis(t testing.TB, url, namespace string, tidy tidying) redis.UniversalClient {
	t.Helper()
	open := func() (redis.UniversalClient, error) {
		return redisx.Open(url, redisx.Options{ReadTimeout: cleanupPatience, DialTimeout: cleanupPatience}) // a busy machine is no outage
	}
	client, err := open()
	if err != nil {
		t.Fatalf("read the address of Redis: %v", err)
	}
	t.Cleanup(func() { _ = client.Close() }) // after the keys; a test may have closed it
	tidy(t, "delete the test's keys", func(ctx context.Context) error {
		again, err := open() // the test's own may be closed
		if err != nil {
			return err
		}
		defer func() { _ = again.Close() }()
		return redisx.EachMaster(ctx, again, func(ctx context.Context, node *redis.Client) error { return deleteKeys(ctx, node, namespace) })
	})
	return client
}

// scanPage is how many keys the server looks at per question.
const scanPage = 1000

func deleteKeys(ctx context.Context, node *redis.Client, namespace string) error {
	for cursor := uint64(0); ; {
		keys, next, err := node.Scan(ctx, cursor, namespace+"*", scanPage).Result()
		if err != nil {
			return err
		}
		_, err = node.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, key := range keys { // one by one: those of different slots go in no one command
				pipe.Unlink(ctx, key)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
