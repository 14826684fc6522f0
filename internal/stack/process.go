package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// command is one process of a server: how it is started, known to be ready, and asked to end.
type command struct {
	name string // in the record and in the log
	path string
	args []string
	env  []string // complete: nothing is inherited
	dir  string

	stop  syscall.Signal // asks for an orderly end
	death syscall.Signal // sent by the kernel when this process dies

	ready func(ctx context.Context) error // one attempt; nil when it answers
}

// process is a running command.
type process struct {
	command
	cmd  *exec.Cmd
	id   identity
	done chan struct{} // closed when it has ended and been waited for
}

// spawn starts a command with its output going to log.
func spawn(c command, as account, log *os.File) (*process, error) {
	cmd := exec.Command(c.path, c.args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.env, c.dir, log, log
	cmd.SysProcAttr = childAttr(as.credential(), c.death)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.path, err)
	}
	p := &process{command: c, cmd: cmd, id: identify(cmd.Process.Pid), done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log; that it ended is what matters here
		close(p.done)
	}()
	return p, nil
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends sig unless the process has ended; its pid is ours until it has been waited for.
func (p *process) signal(sig syscall.Signal) {
	if p.alive() {
		_ = p.cmd.Process.Signal(sig) // it may end in between, which is what a signal is for
	}
}

// family is the process and all below it.
func (p *process) family() []identity { return append(descendants(p.id.PID), p.id) }

// kill ends the process and all below it and waits until they are gone.
func (p *process) kill() {
	family := p.family()
	p.signal(syscall.SIGKILL)
	for _, member := range family {
		member.signal(syscall.SIGKILL)
	}
	<-p.done
	gone(family)
}

// end asks the process to end, insists after patience, and waits until it and all below it are gone.
func (p *process) end(patience time.Duration) error {
	if !p.alive() {
		return nil
	}
	family := p.family()
	for _, member := range family {
		member.signal(syscall.SIGCONT) // a paused process hears nothing
	}
	p.signal(p.stop)
	select {
	case <-p.done:
		gone(family)
		return nil
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("%s did not end within %s and was killed", p.name, patience)
	}
}

// readyInterval is the time between two questions whether a server answers.
const readyInterval = 20 * time.Millisecond

// awaitReady asks until the process answers, ends, or ctx does.
func (p *process) awaitReady(ctx context.Context) error {
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended while starting: %s", p.name, p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w): %w", p.name, err, context.Cause(ctx))
		case <-time.After(readyInterval):
		}
	}
}

// killPatience bounds the wait for processes that are not children of this one, so that the kernel does not say when they end.
const killPatience = 5 * time.Second

// gone waits until none of the processes lives, and reports whether that came true in time.
func gone(family []identity) bool {
	living := func(id identity) bool { return id.alive() }
	for deadline := time.Now().Add(killPatience); slices.ContainsFunc(family, living); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
