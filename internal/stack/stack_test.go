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
	"time"

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
	dir := filepath.Join(newDir(t), "a shop's (own) folder") // the servers' scripts cannot cope with such a name
	s := start(t, Options{Dir: dir})
	data := s.folder.data // elsewhere
	t.Cleanup(func() { _ = os.RemoveAll(data) })
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

	supervised(t, s)
	mark(t, at, "before_kill")
	for _, server := range s.Servers() {
		killByHand(t, server)
	}
	marked(t, at, "before_stop")
	marked(t, at, "before_kill")
}

// supervised supervises the stack until the test ends.
func supervised(t *testing.T, s *Stack) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Supervise(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// killByHand does what a person does with kill -9.
func killByHand(t *testing.T, server *Server) {
	t.Helper()
	exited := server.Exited()
	if err := syscall.Kill(server.PID(), syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s: %v", server.Name(), err)
	}
	<-exited
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
		eventually(t, "freeze", func() error { return frozen(member) })
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

// frozen says what moves. A child that ended just before the pause does not.
func frozen(id identity) error {
	if stat, ok := processStat(id.PID); ok && id.alive() && stat.state != 'T' {
		return fmt.Errorf("process %d is in state %c", id.PID, stat.state)
	}
	return nil
}

func TestSuperviseStartsWhatWasKilledAgain(t *testing.T) {
	t.Parallel()
	s := start(t, onlyRedis(newDir(t)))
	at := addressesOf(s)
	mark(t, at, "kept")
	supervised(t, s)
	for range 2 {
		before := s.Redis().PID()
		killByHand(t, s.Redis())
		marked(t, at, "kept")
		if s.Redis().PID() == before {
			t.Errorf("process %d answers after its death", before)
		}
	}
}

func TestSuperviseWaitsWhereEveryServerIsNamed(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Dir: newDir(t), PostgresURL: "postgres://a", RedisURL: "redis://b", RabbitURL: "amqp://c"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Supervise(ctx); err != nil || ctx.Err() == nil {
		t.Errorf("it ended with %v before it was told to", err)
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
	if err := s.Redis().Start(t.Context()); err != nil || s.Redis().PID() == 0 {
		t.Errorf("start by hand: pid %d, %v", s.Redis().PID(), err)
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
