package stack

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

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
	if err := s.fakeClock(&c); err != nil {
		return err
	}
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
