package stack

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// leaderlessVariable makes this test binary a program whose first thread ends before the others.
const leaderlessVariable = "HOLDFAST_STACK_TEST_LEADERLESS"

func init() {
	if os.Getenv(leaderlessVariable) != "" {
		runtime.LockOSThread() // this is the first thread
	}
}

// beLeaderless ends the first thread; another waits to be killed.
func beLeaderless() {
	go func() {
		fmt.Println("here")
		_ = syscall.Pause()
	}()
	_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
}

// A server that is ending may have lost its first thread, which ps shows as a process that has ended, and still hold its port.
func TestProcessLivesAsLongAsOneOfItsThreads(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), leaderlessVariable+"=1")
	cmd.SysProcAttr = childAttr(nil, syscall.SIGKILL)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	id := identify(cmd.Process.Pid)
	eventually(t, "lose its first thread", func() error {
		if s, ok := processStat(id.PID); !ok || s.state != 'Z' {
			return errors.New("the first thread lives")
		}
		return nil
	})
	if !id.alive() {
		t.Error("it is said to have ended")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "end", func() error {
		if id.alive() {
			return errors.New("it lives")
		}
		return nil
	})
}
