package stack

import (
	"errors"
	"slices"
	"syscall"
	"time"
)

// stopPatience is how long a server may take to end in order.
const stopPatience = 30 * time.Second

// Stop shuts the server down in order and waits for it. The error says that it had to be killed.
func (s *Server) Stop() error {
	s.want(false)
	s.turn.Lock()
	defer s.turn.Unlock()
	var errs []error
	for _, p := range slices.Backward(s.running()) {
		errs = append(errs, p.end(stopPatience))
	}
	s.forget()
	return errors.Join(errs...)
}

// Kill ends the server with everything that belongs to it by SIGKILL, and returns when it is gone. It stays down until Start.
// What was committed or confirmed survives, with one exception: RabbitMQ 3.10 writes the list of its quorum queues up to
// a second late, and a queue that was declared in that second comes back without its messages and without a leader, for good.
func (s *Server) Kill() {
	s.want(false)
	s.turn.Lock()
	defer s.turn.Unlock()
	s.killAll()
}

func (s *Server) killAll() {
	for _, p := range slices.Backward(s.running()) {
		p.kill()
	}
	s.forget()
}

func (s *Server) running() []*process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.procs)
}

// forget drops the processes that have ended.
func (s *Server) forget() {
	for _, p := range s.running() {
		_ = s.record.dropProcess(p.name) // a stale entry names a process that is gone, and does no harm
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.procs = nil
}

// Pause freezes the server and all its children: connections stay open, nothing answers.
func (s *Server) Pause() {
	s.turn.Lock()
	defer s.turn.Unlock()
	if main := s.main(); main != nil {
		main.signal(syscall.SIGSTOP) // first, so that it makes no new children
		for _, child := range descendants(main.id.PID) {
			child.signal(syscall.SIGSTOP)
		}
	}
}

// Resume lets a paused server go on.
func (s *Server) Resume() {
	s.turn.Lock()
	defer s.turn.Unlock()
	if main := s.main(); main != nil {
		for _, member := range main.family() {
			member.signal(syscall.SIGCONT)
		}
	}
}
