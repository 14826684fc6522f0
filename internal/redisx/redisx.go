// Package redisx is the way to Redis, one node or a cluster: the client with time-outs that keep a request short, the names of
// the keys, and the scripts, run as pipelines.
package redisx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options of a client. Zero values mean the defaults.
type Options struct {
	ReadTimeout time.Duration // 300 ms; also the wait for a free connection
	DialTimeout time.Duration // half of ReadTimeout: who has patience has it from the first packet on
	PoolSize    int           // 64 connections to each node
	Admission   *Admission    // nil: every server is worked with
}

func (o Options) withDefaults() Options {
	if o.ReadTimeout == 0 {
		o.ReadTimeout = 300 * time.Millisecond
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = o.ReadTimeout / 2
	}
	if o.PoolSize == 0 {
		o.PoolSize = 64
	}
	return o
}

// Open makes a client for one node (redis://user:password@host:port/db) or, given several URLs between commas or one with
// ?cluster=true, for the cluster that they belong to. It connects when it is first used, so that a Redis that is down keeps
// nobody from starting. Nothing is retried behind the caller's back: a command whose answer was lost may have been done.
func Open(urls string, o Options) (redis.UniversalClient, error) {
	o = o.withDefaults()
	u, err := parse(urls)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	u.MaxRetries = -1
	u.MaxRedirects = -1 // following one, the cluster's client would also send again what it had no answer to
	u.DialerRetries = 1
	u.ContextTimeoutEnabled = true
	u.DialTimeout, u.ReadTimeout, u.WriteTimeout = o.DialTimeout, o.ReadTimeout, o.ReadTimeout
	u.PoolTimeout, u.PoolSize = o.ReadTimeout, o.PoolSize
	u.DisableIdentity = true
	if o.Admission != nil {
		u.OnConnect = o.Admission.onConnect
	}
	u.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewUniversalClient(u), nil
}

func parse(urls string) (*redis.UniversalOptions, error) {
	u := &redis.UniversalOptions{}
	for one := range strings.SplitSeq(urls, ",") {
		parsed, err := url.Parse(strings.TrimSpace(one))
		if err != nil {
			return nil, errors.New("a URL cannot be read") // without its text: it may hold a password
		}
		query := parsed.Query()
		u.IsClusterMode = u.IsClusterMode || query.Get("cluster") == "true"
		query.Del("cluster")
		parsed.RawQuery = query.Encode()
		node, err := redis.ParseURL(parsed.String())
		if err != nil {
			return nil, errors.New("a URL is not redis://[user:password@]host:port[/db]")
		}
		u.Addrs = append(u.Addrs, node.Addr)
		u.Username, u.Password, u.DB, u.TLSConfig = node.Username, node.Password, node.DB, node.TLSConfig
	}
	u.IsClusterMode = u.IsClusterMode || len(u.Addrs) > 1
	return u, nil
}

// EachMaster does something on every node that has keys of its own: the single node, or all masters of a cluster at once.
func EachMaster(ctx context.Context, client redis.UniversalClient, do func(ctx context.Context, node *redis.Client) error) error {
	switch client := client.(type) {
	case *redis.ClusterClient:
		return client.ForEachMaster(ctx, do)
	case *redis.Client:
		return do(ctx, client)
	default:
		return fmt.Errorf("redis: the nodes of a %T are not known", client)
	}
}

// LogTo has what the client library would print by itself logged as debug lines. It is for the start of a program, before
// any client is opened: the library has one logger for all of them.
func LogTo(log *slog.Logger) { redis.SetLogger(printer{log}) }

type printer struct{ log *slog.Logger }

// Printf is what the library calls.
func (p printer) Printf(ctx context.Context, format string, args ...any) {
	p.log.DebugContext(ctx, fmt.Sprintf(format, args...), "component", "redis client")
}

// notServing are the beginnings of what Redis answers when it is there and cannot do its work.
var notServing = []string{
	"LOADING", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "READONLY", "OOM", "MISCONF", "BUSY", "NOREPLICAS", "MOVED", "ASK", "ERR max number of clients",
}

// Unavailable says whether an error means that Redis could not be reached in time or is not serving, rather than that it
// refused what was asked.
func Unavailable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, redis.Nil) {
		return false
	}
	var answer redis.Error
	if errors.As(err, &answer) {
		for _, start := range notServing {
			if strings.HasPrefix(answer.Error(), start) {
				return true
			}
		}
		return false
	}
	var network net.Error
	return errors.Is(err, errCrowded) || errors.Is(err, errForeign) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrClosed) || errors.Is(err, redis.ErrPoolTimeout) ||
		errors.Is(err, redis.ErrPoolExhausted) || strings.Contains(err.Error(), "cluster has no nodes")
}
