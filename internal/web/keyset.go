package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// How often a JWK Set is read: regularly; while it could not be; and at most when a token names a key that is not in it.
const (
	keySetEvery   = time.Hour
	keySetRetry   = 5 * time.Second
	keySetAtMost  = 10 * time.Second
	keySetMaxSize = 1 << 20
)

var errNoKeys = errors.New("no JWK Set was read yet")

// keySet is a JWK Set from a URL or a file, read again from time to time. Its keys are found by kid in memory only: no part
// of a token ever names a file or an address.
type keySet struct {
	source  string
	client  *http.Client
	current atomic.Pointer[keyfunc.Keyfunc]
	missed  chan struct{} // a token named an unknown key
}

func newKeySet(source string) *keySet {
	return &keySet{source: source, client: &http.Client{Timeout: 10 * time.Second}, missed: make(chan struct{}, 1)}
}

func (k *keySet) key(token *jwt.Token) (any, error) {
	keys := k.current.Load()
	if keys == nil {
		return nil, errNoKeys
	}
	key, err := (*keys).Keyfunc(token)
	if err != nil {
		select {
		case k.missed <- struct{}{}:
		default:
		}
	}
	return key, err
}

// run reads the set until ctx ends. A set that cannot be read any more stays in use: its keys were good.
func (k *keySet) run(ctx context.Context, log *slog.Logger) {
	for ctx.Err() == nil {
		wait := keySetEvery
		if err := k.read(ctx); err != nil && ctx.Err() == nil {
			log.Warn("keys of tokens", "error", err)
			wait = keySetRetry
		}
		read := time.Now()
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-k.missed:
			_ = run.Pause(ctx, time.Until(read.Add(keySetAtMost)))
		}
	}
}

func (k *keySet) read(ctx context.Context) error {
	body, err := k.fetch(ctx)
	if err != nil {
		return fmt.Errorf("read JWK Set %s: %w", k.source, err)
	}
	keys, err := keyfunc.NewJWKSetJSON(body)
	if err != nil {
		return fmt.Errorf("read JWK Set %s: %w", k.source, err)
	}
	k.current.Store(&keys)
	return nil
}

func (k *keySet) fetch(ctx context.Context) ([]byte, error) {
	if !strings.HasPrefix(k.source, "http://") && !strings.HasPrefix(k.source, "https://") {
		return os.ReadFile(k.source)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.source, nil)
	if err != nil {
		return nil, err
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, keySetMaxSize))
}

// ready is the readiness check of the set.
func (k *keySet) ready(context.Context) error {
	if k.current.Load() == nil {
		return errNoKeys
	}
	return nil
}
