package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/failpoint"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// instanceVariable makes a copy of this test program an instance that kills itself.
const instanceVariable = "HOLDFAST_TEST_INSTANCE"

// instance says with which configuration it runs, which file names the point at which it dies, and which one how far its clock is off.
type instance struct {
	Config config.Config
	DieAt  string
	Audits bool   // it is no instance, but an audit of what is there now
	Clock  string // "": its clock is the machine's
}

func runInstance() int {
	var i instance
	err := json.Unmarshal([]byte(os.Getenv(instanceVariable)), &i)
	if err == nil && i.Audits {
		return i.audit()
	}
	if err == nil && i.Clock != "" {
		err = moveOwnClock(i.Clock)
	}
	if err == nil {
		failpoint.Arm(i.reach)
		err = app.Serve(context.Background(), i.Config, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	}
	fmt.Fprintln(os.Stderr, "the instance ended:", err)
	return 1
}

// audit prints a report, and ends as the command does.
func (i instance) audit() int {
	report, err := app.Audit(context.Background(), i.Config.Servers, i.Config.Providers(), app.Rest{})
	if err != nil {
		fmt.Println(err)
		return -1
	}
	_ = report.Print(os.Stdout)
	return report.ExitCode()
}

// always, behind the point's name, lets the file stay.
const always = ", always"

// reach dies at the point that the file names; the file goes with it, so that the next instance lives.
func (i instance) reach(point string) {
	wanted, err := os.ReadFile(i.DieAt)
	again := string(wanted) == point+always
	if err != nil || string(wanted) != point && !again {
		return
	}
	if again || os.Remove(i.DieAt) == nil {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}

// mortal is an instance in a process of its own, started again whenever it was killed.
type mortal struct {
	*shop
	dieAt string
	clock string
	cmd   *exec.Cmd
	dead  chan struct{} // closed when the process has ended
	err   error         // what it ended with
}

// processes puts the shop's instance into a process of its own, at a fixed address.
func (s *shop) processes() *mortal { return s.processesWith("") }

// processesWith has its clock moved by the seconds that a file says, where there is one.
func (s *shop) processesWith(clock string) *mortal {
	s.t.Helper()
	s.stop()
	s.cfg.HTTPAddr = strings.TrimPrefix(s.url, "http://")
	m := &mortal{shop: s, dieAt: filepath.Join(s.t.TempDir(), "die-at"), clock: clock}
	m.start()
	s.t.Cleanup(m.kill)
	return m
}

// kill ends the process in the middle of what it does.
func (m *mortal) kill() { _ = m.cmd.Process.Kill(); <-m.dead }

func (m *mortal) start() {
	m.t.Helper()
	m.launch()
	m.awaitUp()
}

func (m *mortal) launch() {
	m.t.Helper()
	spec, err := json.Marshal(instance{Config: m.cfg, DieAt: m.dieAt, Clock: m.clock})
	if err != nil {
		m.t.Fatal(err)
	}
	m.cmd = exec.Command(os.Args[0])
	m.cmd.Env = append(os.Environ(), instanceVariable+"="+string(spec))
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m.cmd.Stderr = os.Stderr
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.dead = make(chan struct{})
	go func() { m.err = m.cmd.Wait(); close(m.dead) }()
}

// awaitUp waits until it answers.
func (m *mortal) awaitUp() {
	m.t.Helper()
	testkit.Eventually(m.t, 3*time.Minute, func() error {
		a, err := m.customer("x").send(http.MethodGet, "/products", nil)
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("%d", a.status)
		}
		return err
	})
}

// diesAt does something during which the instance is killed at that point, and starts it again.
func (m *mortal) diesAt(point string, during func()) {
	m.t.Helper()
	m.diesForGood(point, during)
	m.start()
}

// diesForGood does something during which the instance is killed at that point.
func (m *mortal) diesForGood(point string, during func()) {
	m.t.Helper()
	if err := os.WriteFile(m.dieAt, []byte(point), 0o600); err != nil {
		m.t.Fatal(err)
	}
	during()
	select {
	case <-m.dead:
		var exit *exec.ExitError
		if !errors.As(m.err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			m.t.Fatalf("at %q: %v", point, m.err)
		}
	case <-time.After(time.Minute):
		m.t.Fatalf("the point %q was not reached", point)
	}
}
