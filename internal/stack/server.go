package stack

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
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
		unlockFile(p.lock)
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

// Name is postgres, redis or rabbitmq; redis-1, rabbitmq-1 and so on for the members of a cluster, whose port mapper is epmd.
func (s *Server) Name() string { return s.driver.name() }

// URL is where clients reach it. It stays the same when the server is started again.
func (s *Server) URL() string { return s.driver.url(s.place()) }

// Addr is host and port of URL.
func (s *Server) Addr() string { return loopback(s.place().ports[s.driver.portNames()[0]]) }

// LogPath is the file that has what the server prints.
func (s *Server) LogPath() string { return s.folder.logPath(s.driver.name()) }

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
