package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"time"
)

// driver knows one kind of server.
type driver interface {
	name() string
	portNames() []string // the first is the one that clients use
	prepare(ctx context.Context, p place) error
	commands(p place) []command // helpers first, the server itself last
	url(p place) string
}

// place is where one server lives.
type place struct {
	*folder
	ports map[string]int
}

// Server is one server of a stack: a process, on its own port and data, that can be ended and started again.
type Server struct {
	driver driver
	folder *folder
	record *record
	log    *slog.Logger

	turn sync.Mutex // held while the server is being started or ended

	mu     sync.Mutex
	ports  map[string]port
	procs  []*process
	wanted bool          // it should be running: whoever ended it was not us
	died   chan struct{} // holds a token when it ended unexpectedly
}

func newServer(d driver, f *folder, r *record, log *slog.Logger) (*Server, error) {
	s := &Server{
		driver: d, folder: f, record: r, log: log.With(slog.String("server", d.name())),
		ports: map[string]port{}, died: make(chan struct{}, 1),
	}
	return s, s.claimPorts()
}

// claimPorts takes the ports of the last run, or others where those are in use.
func (s *Server) claimPorts() error {
	for _, name := range s.driver.portNames() {
		last := s.record.port(name)
		p, err := claimPort(last)
		if err != nil {
			return fmt.Errorf("find a port for %s: %w", name, err)
		}
		if last != 0 && last != p.number {
			s.log.Warn("the port of the last run is in use: taking another", slog.Int("last", last), slog.Int("now", p.number))
		}
		s.mu.Lock()
		s.ports[name] = p
		s.mu.Unlock()
		if err := s.record.setPort(name, p.number); err != nil {
			return err
		}
	}
	return nil
}

// release gives the ports back to other stacks.
func (s *Server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.ports {
		_ = p.lock.Close() // closing gives the lock back
	}
}

func (s *Server) place() place {
	s.mu.Lock()
	defer s.mu.Unlock()
	ports := make(map[string]int, len(s.ports))
	for name, p := range s.ports {
		ports[name] = p.number
	}
	return place{folder: s.folder, ports: ports}
}

// Name is postgres, redis or rabbitmq.
func (s *Server) Name() string { return s.driver.name() }

// URL is where clients reach it. It stays the same when the server is started again.
func (s *Server) URL() string { return s.driver.url(s.place()) }

// Addr is host and port of URL.
func (s *Server) Addr() string { return loopback(s.place().ports[s.driver.portNames()[0]]) }

// PID is the server's process, 0 when it is not running.
func (s *Server) PID() int {
	if main := s.main(); main != nil && main.alive() {
		return main.id.PID
	}
	return 0
}

// Exited is closed when the server that runs now has ended. It is closed already when none runs.
func (s *Server) Exited() <-chan struct{} {
	if main := s.main(); main != nil {
		return main.done
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

func (s *Server) main() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.procs) == 0 {
		return nil
	}
	return s.procs[len(s.procs)-1]
}

// startPatience bounds one start: a database that replays a long log takes a while.
const startPatience = 90 * time.Second

// Start brings the server up on its own port and data and returns when it answers. One that runs already is left alone.
func (s *Server) Start(ctx context.Context) error {
	s.want(true)
	return s.revive(ctx)
}

// revive starts the server if it should be running and is not.
func (s *Server) revive(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if !s.isWanted() || s.PID() != 0 {
		return nil
	}
	s.killAll() // helpers of the one that ended
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := s.launch(ctx); err != nil {
		s.killAll()
		return fmt.Errorf("start %s: %w", s.Name(), err)
	}
	return nil
}

// startAnywhere is the first start of a run: when somebody else got hold of a port between our look and the server's own,
// it goes to another one.
func (s *Server) startAnywhere(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := s.Start(ctx)
		if err == nil || ctx.Err() != nil || attempt == 3 || s.portsFree() {
			return err
		}
		s.release()
		if err := s.claimPorts(); err != nil {
			return err
		}
	}
}

func (s *Server) portsFree() bool {
	for _, number := range s.place().ports {
		if bindProbe(number) != nil {
			return false
		}
	}
	return true
}

func (s *Server) launch(ctx context.Context) error {
	began := time.Now()
	p := s.place()
	if err := s.driver.prepare(ctx, p); err != nil {
		return err
	}
	for _, c := range s.driver.commands(p) {
		if err := s.launchOne(ctx, c); err != nil {
			return err
		}
	}
	main := s.main()
	go s.watch(main)
	s.log.Info("server is ready", slog.Int("pid", main.id.PID), slog.String("addr", s.Addr()),
		slog.Duration("took", time.Since(began).Round(time.Millisecond)))
	return nil
}

func (s *Server) launchOne(ctx context.Context, c command) error {
	log, err := s.folder.openLog(c.name)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child has its own
	p, err := spawn(c, s.folder.as, log)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.procs = append(s.procs, p)
	s.mu.Unlock()
	if err := s.record.setProcess(c.name, p.id); err != nil {
		return err
	}
	if err := p.awaitReady(ctx); err != nil {
		return fmt.Errorf("%w; end of %s:\n%s", err, s.folder.logPath(c.name), s.folder.tail(c.name))
	}
	return nil
}

// watch tells Supervise when the process has ended though nobody here asked for it. It ends with the process.
func (s *Server) watch(main *process) {
	<-main.done
	if !s.isWanted() || s.main() != main {
		return
	}
	s.log.Warn("server ended unexpectedly", slog.Int("pid", main.id.PID), slog.String("state", main.cmd.ProcessState.String()))
	select {
	case s.died <- struct{}{}:
	default: // it has been told already
	}
}

func (s *Server) want(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = yes
}

func (s *Server) isWanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted
}

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
