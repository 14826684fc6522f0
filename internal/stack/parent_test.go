package stack

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nobody is a user without privileges on every Linux.
const nobody = 65534

// runChild runs a stack in a process of its own, without privileges even when this one has them.
func runChild(t *testing.T, dir string) (*exec.Cmd, hello) {
	t.Helper()
	cmd := exec.Command(copyOfMyself(t, dir))
	cmd.Env = append(os.Environ(), childVariable+"="+filepath.Join(dir, "stack"))
	cmd.Dir, cmd.Stderr = dir, t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{}}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // one that has ended is what it should be
		_ = cmd.Wait()
	})
	var says hello
	if err := json.NewDecoder(out).Decode(&says); err != nil {
		t.Fatalf("the child said nothing: %v", err)
	}
	return cmd, says
}

// copyOfMyself puts this test binary where another user may run it.
func copyOfMyself(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	// What is forked while it is open for writing would keep it open for a moment, and it could not be run.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	path := filepath.Join(dir, "child")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKilledParentLeavesNoProcessAndAllData(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	child, first := runChild(t, dir)
	family := make([]identity, len(first.PIDs))
	for i, pid := range first.PIDs {
		family[i] = identify(pid)
	}
	mark(t, first.At, "before_kill")
	if len(family) < 8 {
		t.Errorf("only %d processes: PostgreSQL alone has more", len(family))
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "end with the parent", func() error {
		if !gone(family) {
			return errors.New("servers live on without it")
		}
		return nil
	})

	child, again := runChild(t, dir)
	if diff := cmp.Diff(first.At, again.At); diff != "" {
		t.Errorf("addresses changed (-first +again):\n%s", diff)
	}
	marked(t, addresses{Postgres: again.At.Postgres, Redis: again.At.Redis, Rabbit: given}, "before_kill")
	family = family[:0]
	for _, pid := range again.PIDs {
		family = append(family, identify(pid))
	}
	if err := child.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("orderly end: %v", err)
	}
	for _, member := range family {
		if member.alive() {
			t.Errorf("process %d lives after an orderly end", member.PID)
		}
	}
}

func TestLeftOversAreEndedAndStrangersAreNot(t *testing.T) {
	t.Parallel()
	ours, stranger := sleeper(t), sleeper(t)
	mistaken := identify(stranger.Process.Pid)
	mistaken.Started++ // the pid came round again
	dir := newDir(t)
	err := writeJSON(filepath.Join(dir, "servers.json"), &record{
		Ports:     map[string]int{},
		Processes: map[string]identity{"redis": identify(ours.Process.Pid), "epmd": mistaken},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, onlyRedis(dir))
	if err := ours.Wait(); err == nil {
		t.Error("the left-over ended by itself")
	}
	if !identify(stranger.Process.Pid).alive() {
		t.Error("a stranger was ended")
	}
	if s.Redis().PID() == 0 {
		t.Error("Redis does not run")
	}
}

// sleeper is a process that lives until it is killed, frozen at that: a server that was paused when its parent died.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = childAttr(nil, syscall.SIGKILL)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return cmd
}
