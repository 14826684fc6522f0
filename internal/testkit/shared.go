package testkit

import (
	"context"
	"encoding/json"
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
	Rabbit   string `json:"rabbitmq"`
}

func urlsOf(s *stack.Stack) URLs {
	return URLs{Postgres: s.PostgresURL(), Redis: s.RedisURL(), Rabbit: s.RabbitURL()}
}

// servers is the set that all tests of this process use.
type servers struct {
	mu    sync.Mutex
	urls  *URLs
	own   *stack.Stack // nil when the environment names a set
	tried error        // a set that could not be started is not tried again by every test
}

// shared is the one thing here that outlives a test: servers are too slow to start for each.
var shared servers

func (s *servers) get(ctx context.Context) (URLs, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.urls == nil && s.tried == nil {
		s.tried = s.open(context.WithoutCancel(ctx)) // they outlive the test that happened to come first
	}
	if s.tried != nil {
		return URLs{}, s.tried
	}
	return *s.urls, nil
}

func (s *servers) open(ctx context.Context) error {
	var urls URLs
	if named := os.Getenv(StackVariable); named != "" {
		if err := json.Unmarshal([]byte(named), &urls); err != nil {
			return fmt.Errorf("read %s: %w", StackVariable, err)
		}
		s.urls = &urls
		return nil
	}
	own, err := StartShared(ctx)
	if err != nil {
		return err
	}
	urls = urlsOf(own)
	s.own, s.urls = own, &urls
	return nil
}

func (s *servers) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own == nil {
		return nil
	}
	s.own.Kill()
	err := s.own.Remove()
	s.own, s.urls = nil, nil
	return err
}

// StartShared starts a set of servers for a test run, in a folder of its own under the temporary one. Kill and Remove end
// it. The folders of test runs that were killed are removed first.
func StartShared(ctx context.Context) (*stack.Stack, error) {
	if err := sweep(); err != nil {
		return nil, err
	}
	dir, err := makeDir()
	if err != nil {
		return nil, err
	}
	return stack.Start(ctx, stack.Options{Dir: dir, Relaxed: true})
}
