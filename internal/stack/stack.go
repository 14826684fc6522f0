package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// Options say what to start and where.
type Options struct {
	Dir   string       // folder of data, logs, ports and process ids; made if absent, for one running stack at a time
	Log   *slog.Logger // told what is started, found, repaired and restarted; nil: nobody is
	Fresh bool         // throw the data of earlier runs away

	// Relaxed gives up what only a power cut could lose (PostgreSQL's fsync). Whatever was committed still survives
	// kill -9, so a test that kills servers may use it.
	Relaxed bool

	PostgresURL string // a server that runs already: used as it is, none is started
	RedisURL    string // likewise
	RabbitURL   string // likewise
}

// ErrUnsupported says that this is not Linux, without which a killed run would leave servers behind.
var ErrUnsupported = errors.New("private servers need Linux: run docker compose -f docker/compose.yaml up -d postgres redis rabbitmq, " +
	"and set HOLDFAST_POSTGRES_URL, HOLDFAST_REDIS_URL and HOLDFAST_RABBITMQ_URL")

// ErrBusy says that another process has a stack running in the same folder.
var ErrBusy = errors.New("another process runs the servers of this folder")

// Stack is a set of running servers.
type Stack struct {
	opts   Options
	folder *folder
	record *record

	postgres, redis, rabbit *Server // nil where a URL was given
}

// Start brings the servers up, on the data and ports of the last run if there was one, and returns when all answer.
// It ends what a killed run left behind first. The error wraps ErrBusy when the folder is in use, and names the packages
// when a program is missing.
func Start(ctx context.Context, opts Options) (*Stack, error) {
	if !supported {
		return nil, ErrUnsupported
	}
	if needs := missing(find(), opts); len(needs) > 0 {
		return nil, missingError(needs)
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	folder, err := openFolder(opts)
	if err != nil {
		return nil, fmt.Errorf("open stack folder %s: %w", opts.Dir, err)
	}
	s := &Stack{opts: opts, folder: folder}
	if err := s.start(ctx); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context) error {
	record, err := loadRecord(s.folder)
	if err != nil {
		return err
	}
	s.record = record
	record.endLeftOvers(s.opts.Log)
	if err := s.folder.prepare(record, s.opts); err != nil {
		return err
	}
	for _, d := range s.drivers() {
		if *d.slot, err = newServer(d.driver, s.folder, record, s.opts.Log); err != nil {
			return err
		}
	}
	return s.startAll(ctx)
}

type slot struct {
	driver driver
	slot   **Server
}

func (s *Stack) drivers() []slot {
	var all []slot
	found := find()
	if s.opts.PostgresURL == "" {
		all = append(all, slot{&postgres{bin: found.postgres, relaxed: s.opts.Relaxed}, &s.postgres})
	}
	if s.opts.RedisURL == "" {
		all = append(all, slot{&redis{program: found.redis}, &s.redis})
	}
	if s.opts.RabbitURL == "" {
		all = append(all, slot{&rabbit{bin: found.rabbit, epmd: found.epmd}, &s.rabbit})
	}
	return all
}

// startAll starts every server at the same time: RabbitMQ alone takes longer than the others together.
func (s *Stack) startAll(ctx context.Context) error {
	servers := s.Servers()
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, server := range servers {
		wg.Go(func() { errs[i] = server.startAnywhere(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Servers are those that this stack has started, in the order in which they are stopped.
func (s *Stack) Servers() []*Server {
	var all []*Server
	for _, server := range []*Server{s.rabbit, s.redis, s.postgres} {
		if server != nil {
			all = append(all, server)
		}
	}
	return all
}

// Postgres is the PostgreSQL server, nil when its URL was given.
func (s *Stack) Postgres() *Server { return s.postgres }

// Redis is the Redis server, nil when its URL was given.
func (s *Stack) Redis() *Server { return s.redis }

// Rabbit is the RabbitMQ server, nil when its URL was given.
func (s *Stack) Rabbit() *Server { return s.rabbit }

// PostgresURL is where PostgreSQL is reached: its superuser, and the database postgres.
func (s *Stack) PostgresURL() string { return urlOf(s.postgres, s.opts.PostgresURL) }

// RedisURL is where Redis is reached.
func (s *Stack) RedisURL() string { return urlOf(s.redis, s.opts.RedisURL) }

// RabbitURL is where RabbitMQ is reached over AMQP.
func (s *Stack) RabbitURL() string { return urlOf(s.rabbit, s.opts.RabbitURL) }

func urlOf(server *Server, given string) string {
	if server == nil {
		return given
	}
	return server.URL()
}

// Stop shuts the servers down in order, broker first and database last, and waits for each. Their data stays.
func (s *Stack) Stop() error {
	var errs []error
	for _, server := range s.Servers() {
		if err := server.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", server.Name(), err))
		}
	}
	s.close()
	return errors.Join(errs...)
}

// Kill ends the servers at once, without a word. Their data stays, and what was committed with it.
func (s *Stack) Kill() {
	for _, server := range s.Servers() {
		server.Kill()
	}
	s.close()
}

func (s *Stack) close() {
	for _, server := range s.Servers() {
		server.release()
	}
	s.folder.close()
}

// Remove throws the folder away with everything in it. The stack has to be stopped.
func (s *Stack) Remove() error {
	return errors.Join(os.RemoveAll(s.folder.data), os.RemoveAll(s.folder.dir))
}
