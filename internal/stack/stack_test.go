package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

func everyProcess(s *Stack) []identity {
	var all []identity
	for _, server := range s.Servers() {
		for _, p := range server.running() {
			all = append(all, p.family()...)
		}
	}
	return all
}

func TestStackGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, Options{Dir: dir})
	at := addressesOf(s)
	mark(t, at, "before_stop")
	family := everyProcess(s)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, member := range family {
		if member.alive() {
			t.Errorf("process %d lives after Stop", member.PID)
		}
	}

	s = start(t, Options{Dir: dir})
	if diff := cmp.Diff(at, addressesOf(s)); diff != "" {
		t.Errorf("addresses changed (-first +again):\n%s", diff)
	}
	marked(t, at, "before_stop")

	mark(t, at, "before_kill")
	for _, server := range s.Servers() {
		server.Kill()
		if server.PID() != 0 {
			t.Errorf("%s has a pid after Kill", server.Name())
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	marked(t, at, "before_stop")
	marked(t, at, "before_kill")
}

func TestFreshThrowsDataAway(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, onlyRedis(dir))
	mark(t, addressesOf(s), "old")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	opts := onlyRedis(dir)
	opts.Fresh = true
	if err := findRedis(t.Context(), start(t, opts).RedisURL(), "old"); err == nil {
		t.Error("data of the last run is there")
	}
}

func TestPausedServerKeepsStillAndGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t, onlyPostgres(newDir(t)))
	conn, err := pgx.Connect(t.Context(), s.PostgresURL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()

	s.Postgres().Pause()
	for _, member := range everyProcess(s) {
		eventually(t, "freeze", func() error { return inState(member, 'T') })
	}
	s.Postgres().Resume()
	if err := conn.Ping(t.Context()); err != nil {
		t.Errorf("connection from before the pause: %v", err)
	}

	s.Postgres().Pause()
	if err := s.Stop(); err != nil {
		t.Errorf("stop a paused server: %v", err)
	}
}

func inState(id identity, want byte) error {
	stat, ok := processStat(id.PID)
	if !ok || stat.state != want {
		return fmt.Errorf("process %d is in state %c, not %c", id.PID, stat.state, want)
	}
	return nil
}

func TestSuperviseStartsWhatWasKilled(t *testing.T) {
	t.Parallel()
	s := start(t, onlyRedis(newDir(t)))
	mark(t, addressesOf(s), "kept")
	before, url := s.Redis().PID(), s.RedisURL()

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Supervise(ctx) }()
	for range 2 {
		exited := s.Redis().Exited()
		if err := syscall.Kill(s.Redis().PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-exited
		marked(t, addressesOf(s), "kept")
	}
	if s.Redis().PID() == before || s.RedisURL() != url {
		t.Errorf("pid %d then %d, address %s then %s", before, s.Redis().PID(), url, s.RedisURL())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestSuperviseLeavesDownWhatWasKilledOnPurpose(t *testing.T) {
	t.Parallel()
	s := start(t, onlyRedis(newDir(t)))
	s.Redis().Kill()
	if err := s.Redis().revive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pid := s.Redis().PID(); pid != 0 {
		t.Errorf("it runs again as %d", pid)
	}
	if len(s.Redis().died) != 0 {
		t.Error("it was reported as an unexpected death")
	}
}

func TestFolderHasOneStackAtATime(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, onlyRedis(dir))
	if _, err := Start(t.Context(), s.opts); !errors.Is(err, ErrBusy) {
		t.Errorf("second start answers %v", err)
	}
	if !InUse(dir) {
		t.Error("a running stack's folder is not in use")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if InUse(dir) {
		t.Error("a stopped stack's folder is in use")
	}
}

func TestPortInUseIsLeftForAnother(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, onlyRedis(dir))
	mark(t, addressesOf(s), "kept")
	addr := s.Redis().Addr()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	intruder, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = intruder.Close() }()

	again := start(t, onlyRedis(dir))
	if again.Redis().Addr() == addr {
		t.Errorf("it took %s, which another program has", addr)
	}
	marked(t, addressesOf(again), "kept")
}

func TestStalePidFileOfAnotherProgram(t *testing.T) {
	t.Parallel()
	other := start(t, onlyRedis(newDir(t))) // runs as the same user, so PostgreSQL would take its pid for a postmaster's
	dir := newDir(t)
	s := start(t, onlyPostgres(dir))
	mark(t, addressesOf(s), "kept")
	s.Kill()
	pidFiles, err := filepath.Glob(filepath.Join(dir, "data", "postgres-*", "data", "postmaster.pid"))
	if err != nil || len(pidFiles) != 1 {
		t.Fatalf("pid files %v: %v", pidFiles, err)
	}
	if err := os.WriteFile(pidFiles[0], []byte(strconv.Itoa(other.Redis().PID())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	marked(t, addressesOf(start(t, onlyPostgres(dir))), "kept")
	if other.Redis().PID() == 0 {
		t.Error("the other program was ended")
	}
}

func TestFolderOutOfReach(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "stack") // below a folder that only its owner may enter
	s := start(t, onlyRedis(dir))
	mark(t, addressesOf(s), "kept")
	if s.folder.as.drop == (s.folder.data == filepath.Join(dir, "data")) {
		t.Errorf("dropping to another user is %v and the data is in %s", s.folder.as.drop, s.folder.data)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, onlyRedis(dir))
	marked(t, addressesOf(again), "kept")
	if err := again.Stop(); err != nil {
		t.Fatal(err)
	}

	if err := os.RemoveAll(dir); err != nil { // whoever does that wants to begin anew
		t.Fatal(err)
	}
	anew := start(t, onlyRedis(dir))
	if err := findRedis(t.Context(), anew.RedisURL(), "kept"); err == nil {
		t.Error("data outlived its folder")
	}
	if err := anew.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := anew.Remove(); err != nil {
		t.Fatal(err)
	}
}

func TestStartThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	opts := onlyPostgres(dir)
	opts.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	if _, err := Start(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled start answers %v", err)
	}
	if InUse(dir) {
		t.Error("its folder is in use")
	}
	start(t, onlyPostgres(dir))
}
