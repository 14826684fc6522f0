package stack

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"
)

// words fall into slots of all three masters.
var words = []string{"kept_a", "kept_b", "kept_c", "kept_d", "kept_e", "kept_f"}

func markAll(t *testing.T, s *Stack) {
	t.Helper()
	for _, word := range words {
		if err := markRedis(t.Context(), s.RedisURL(), word); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range s.RedisMasters() {
		err := onMaster(m, func(client *goredis.Client) error {
			if n, err := client.DBSize(t.Context()).Result(); err != nil || n == 0 || n == int64(len(words)) {
				return fmt.Errorf("%s has %d of %d keys: %w", m.Name(), n, len(words), err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func markedAll(t *testing.T, s *Stack) {
	t.Helper()
	for _, word := range words {
		marked(t, addresses{Postgres: given, Redis: s.RedisURL(), Rabbit: given}, word)
	}
}

// ids are the names that the masters have given themselves.
func ids(t *testing.T, s *Stack) []string {
	t.Helper()
	var all []string
	for _, m := range s.RedisMasters() {
		err := onMaster(m, func(client *goredis.Client) error {
			id, err := client.ClusterMyID(t.Context()).Result()
			all = append(all, id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestClusterGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, onlyCluster(dir))
	at, names, family := s.RedisURL(), ids(t, s), everyProcess(s)
	markAll(t, s)
	if s.Redis() != nil || len(s.Servers()) != 3 {
		t.Errorf("beside the masters there is %v", s.Servers())
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if !gone(family) {
		t.Error("a master lives after Stop")
	}

	s = start(t, onlyCluster(dir))
	if diff := cmp.Diff(append(names, at), append(ids(t, s), s.RedisURL())); diff != "" {
		t.Errorf("it was made anew (-first +again):\n%s", diff)
	}
	markedAll(t, s)
	supervised(t, s)
	for _, m := range s.RedisMasters()[:2] { // two of three: the third has nobody to agree with
		killByHand(t, m)
	}
	eventually(t, "run again", func() error {
		for _, m := range s.RedisMasters() {
			if m.PID() == 0 {
				return errors.New(m.Name() + " does not run")
			}
		}
		return nil
	})
	if err := s.AwaitRedis(t.Context()); err != nil {
		t.Error(err)
	}
	markedAll(t, s)
}

func TestClusterFindsItselfOnOtherPorts(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, onlyCluster(dir))
	markAll(t, s)
	names := ids(t, s)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, m := range s.RedisMasters() {
		for _, number := range m.place().ports {
			intruder, err := net.Listen("tcp", loopback(number))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = intruder.Close() })
		}
	}
	again := start(t, onlyCluster(dir))
	if diff := cmp.Diff(names, ids(t, again)); diff != "" {
		t.Errorf("it was made anew (-first +again):\n%s", diff)
	}
	markedAll(t, again)
}

// A run that was killed while it made the cluster leaves masters that do not know each other, some with slots and some without.
func TestHalfMadeClusterIsFinished(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, onlyCluster(dir))
	for _, m := range s.RedisMasters() {
		if err := onMaster(m, func(client *goredis.Client) error { return client.Do(t.Context(), "CLUSTER", "RESET", "HARD").Err() }); err != nil {
			t.Fatal(err)
		}
	}
	middle := s.RedisMasters()[1]
	if err := onMaster(middle, func(client *goredis.Client) error { return takeSlots(t.Context(), middle, client) }); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	markAll(t, start(t, onlyCluster(dir)))
}

func TestClusterThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	for _, wrong := range []Options{
		{RedisMasters: 1}, {RedisMasters: -3}, {RedisMasters: 10}, {RedisMasters: 3, RedisURL: given},
	} {
		wrong.Dir, wrong.PostgresURL, wrong.RabbitURL = newDir(t), given, given
		if s, err := Start(t.Context(), wrong); err == nil {
			s.Kill()
			t.Errorf("%d masters with the URL %q were started", wrong.RedisMasters, wrong.RedisURL)
		}
	}
}
