package testkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/holdfast-checkout/holdfast/internal/stack"
)

// StackVariable names, in the environment, the servers that a test run has started for all its packages.
const StackVariable = "HOLDFAST_TEST_STACK"

// URLs is where the servers are. It is what StackVariable holds, as JSON.
type URLs struct {
	Postgres string `json:"postgres"`
	Redis    string `json:"redis"`
	Cluster  string `json:"redis_cluster,omitempty"` // the masters of a Redis Cluster, between commas
	Rabbit   string `json:"rabbitmq"`
}

func urlsOf(s *stack.Stack) URLs {
	return URLs{Postgres: s.PostgresURL(), Redis: s.RedisURL(), Rabbit: s.RabbitURL()}
}

// given stands for a server that a stack is not to start.
const given = "given"

// What is started for a test run, at the same time.
var (
	everything  = stack.Options{Relaxed: true}
	clusterOnly = stack.Options{RedisMasters: 3, PostgresURL: given, RabbitURL: given}
)

// servers is the set that all tests of this process use.
type servers struct {
	urls, cluster lazily
}

// lazily is a part of the set: named in the environment, or started by the first test that needs it.
type lazily struct {
	mu    sync.Mutex
	url   *URLs
	own   *stack.Stack // nil when the environment names it
	tried error        // what could not be started is not tried again by every test
}

// shared is the one thing here that outlives a test: servers are too slow to start for each.
var shared servers

// get gives the servers apart from the cluster.
func (s *servers) get(ctx context.Context) (URLs, error) {
	return s.urls.get(ctx, everything, func(named URLs) bool { return named.Postgres != "" })
}

// getCluster gives the URL of the cluster.
func (s *servers) getCluster(ctx context.Context) (string, error) {
	urls, err := s.cluster.get(ctx, clusterOnly, func(named URLs) bool { return named.Cluster != "" })
	return urls.Cluster, err
}

func (l *lazily) get(ctx context.Context, options stack.Options, isNamed func(URLs) bool) (URLs, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.url == nil && l.tried == nil {
		l.tried = l.open(context.WithoutCancel(ctx), options, isNamed) // it outlives the test that happened to come first
	}
	if l.tried != nil {
		return URLs{}, l.tried
	}
	return *l.url, nil
}

func (l *lazily) open(ctx context.Context, options stack.Options, isNamed func(URLs) bool) error {
	var urls URLs
	if named := os.Getenv(StackVariable); named != "" {
		if err := json.Unmarshal([]byte(named), &urls); err != nil {
			return fmt.Errorf("read %s: %w", StackVariable, err)
		}
	}
	if isNamed(urls) {
		l.url = &urls
		return nil
	}
	own, err := startIn(ctx, options)
	if err != nil {
		return err
	}
	urls = urlsOf(own)
	urls.Cluster = urls.Redis // which is asked for where it is one
	l.own, l.url = own, &urls
	return nil
}

func (s *servers) close() error { return errors.Join(s.cluster.close(), s.urls.close()) }

func (l *lazily) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own == nil {
		return nil
	}
	l.own.Kill()
	err := l.own.Remove()
	l.own, l.url = nil, nil
	return err
}

// Shared are the servers of a test run.
type Shared struct {
	stacks []*stack.Stack
}

// StartShared starts the servers for a test run, a Redis Cluster among them, in folders of their own under the temporary one.
// Remove ends them. The folders of test runs that were killed are removed first.
func StartShared(ctx context.Context) (*Shared, error) {
	if err := sweep(); err != nil {
		return nil, err
	}
	options := []stack.Options{everything, clusterOnly}
	s := &Shared{stacks: make([]*stack.Stack, len(options))}
	errs := make([]error, len(options))
	var wg sync.WaitGroup
	for i, o := range options {
		wg.Go(func() { s.stacks[i], errs[i] = startIn(ctx, o) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

// URLs is what StackVariable is to be set to.
func (s *Shared) URLs() URLs {
	urls := urlsOf(s.stacks[0])
	urls.Cluster = s.stacks[1].RedisURL()
	return urls
}

// Remove ends the servers and throws away what they have written.
func (s *Shared) Remove() error {
	var errs []error
	for _, one := range s.stacks {
		if one != nil {
			one.Kill()
			errs = append(errs, one.Remove())
		}
	}
	return errors.Join(errs...)
}

// startIn starts servers in a folder of their own.
func startIn(ctx context.Context, options stack.Options) (*stack.Stack, error) {
	dir, err := makeDir()
	if err != nil {
		return nil, err
	}
	options.Dir = dir
	s, err := stack.Start(ctx, options)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}
