package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
)

// Options say what to start and where.
type Options struct {
	Dir   string       // folder of data, logs, ports and process ids; made if absent, for one running stack at a time
	Log   *slog.Logger // told what is started, found, repaired and restarted; nil: nobody is
	Fresh bool         // throw the data of earlier runs away

	// Relaxed is for tests, where many stacks share few processors. It gives up what only a power cut could lose (PostgreSQL's
	// fsync): whatever was committed still survives kill -9. A single RabbitMQ keeps to one processor.
	Relaxed bool

	RedisMasters int // 0: a single Redis node; 3 to 9: a Redis Cluster of so many masters in its place, with data of its own
	RabbitNodes  int // 0: a single RabbitMQ node; 3 to 9: a cluster of so many in its place, with data of its own

	Standby bool // PostgreSQL has a streaming standby beside it, which no commit waits for unless synchronous_standby_names names it

	Clocks bool // those of PostgreSQL and Redis can be moved, by SetClock; a C compiler is needed

	Kept string // folder where KeepPostgres may have kept data, of which PostgreSQL begins with a copy then

	PostgresURL string // a server that runs already: used as it is, none is started
	RedisURL    string // likewise
	RabbitURL   string // likewise
}

// ErrUnsupported says that this is not Linux, without which a killed run would leave servers behind.
var ErrUnsupported = errors.New("private servers need Linux: run docker compose -f docker/compose.yaml up -d postgres redis rabbitmq, " +
	"and set HOLDFAST_POSTGRES_URL, HOLDFAST_REDIS_URL and HOLDFAST_RABBITMQ_URL")

// ErrBusy says that another process has a stack running in the same folder.
var ErrBusy = errors.New("another process runs the servers of this folder")

// Validate says what cannot be started together.
func (o Options) Validate() error {
	return errors.Join(
		several("a Redis Cluster", "masters", o.RedisMasters, leastNodes, mostNodes, o.RedisURL),
		alone(o),
		several("a RabbitMQ cluster", "nodes", o.RabbitNodes, fewestNodes, mostRabbits, o.RabbitURL),
	)
}

// several says why there cannot be so many of a cluster.
func several(cluster, members string, n, least, most int, url string) error {
	switch {
	case n == 0:
		return nil
	case n < least || n > most:
		return fmt.Errorf("%s has from %d to %d %s here, not %d", cluster, least, most, members, n)
	case url != "":
		return fmt.Errorf("either the %s of %s are started or its URL is given, not both", members, cluster)
	}
	return nil
}

// Stack is a set of running servers.
type Stack struct {
	opts   Options
	folder *folder
	record *record

	standby                 *Server // nil where there is none
	postgres, redis, rabbit *Server // nil where a URL was given, redis and rabbit also where there is a cluster
	cluster                 cluster
	rabbits                 rabbits
}

// Start brings the servers up, on the data and ports of the last run if there was one, and returns when all answer.
// It ends what a killed run left behind first. The error wraps ErrBusy when the folder is in use, and names the packages
// when a program is missing.
func Start(ctx context.Context, opts Options) (*Stack, error) {
	if !supported && (opts.PostgresURL == "" || opts.RedisURL == "" || opts.RabbitURL == "") {
		return nil, ErrUnsupported
	}
	if err := opts.Validate(); err != nil {
		return nil, err
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
	folder.clocks = opts.Clocks
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
		server, err := newServer(d.driver, s.folder, record, s.opts.Log)
		d.keep(server) // even so: what it has claimed is given back
		if err != nil {
			return err
		}
	}
	return s.startAll(ctx)
}

type slot struct {
	driver driver
	keep   func(*Server)
}

func (s *Stack) drivers() []slot {
	var all []slot
	found := find()
	if s.opts.PostgresURL == "" {
		all = append(all, slot{&postgres{bin: found.postgres, relaxed: s.opts.Relaxed, kept: s.opts.Kept}, func(server *Server) { s.postgres = server }})
	}
	if s.opts.Standby {
		follower := &standby{postgres{bin: found.postgres, relaxed: s.opts.Relaxed}, func() *Server { return s.postgres }}
		all = append(all, slot{follower, func(server *Server) { s.standby = server }})
	}
	if s.opts.RedisURL == "" && s.opts.RedisMasters == 0 {
		all = append(all, slot{&redis{program: found.redis}, func(server *Server) { s.redis = server }})
	}
	for i := range s.opts.RedisMasters {
		all = append(all, slot{&master{program: found.redis, number: i, of: s.opts.RedisMasters}, func(server *Server) {
			s.cluster.masters = append(s.cluster.masters, server)
		}})
	}
	if s.opts.RabbitURL == "" && s.opts.RabbitNodes == 0 {
		all = append(all, slot{&rabbit{bin: found.rabbit, epmd: found.epmd, relaxed: s.opts.Relaxed}, func(server *Server) { s.rabbit = server }})
	}
	if s.opts.RabbitNodes > 0 {
		all = append(all, slot{&mapper{program: found.epmd, of: s.opts.RabbitNodes}, func(server *Server) { s.rabbits.mapper = server }})
	}
	for i := range s.opts.RabbitNodes {
		node := &rabbitNode{bin: found.rabbit, number: i, of: s.opts.RabbitNodes, mapper: func() *Server { return s.rabbits.mapper }}
		all = append(all, slot{node, func(server *Server) { s.rabbits.nodes = append(s.rabbits.nodes, server) }})
	}
	return all
}

// startAll starts every server at the same time: RabbitMQ alone takes longer than the others together.
func (s *Stack) startAll(ctx context.Context) error {
	starts := []func(context.Context) error{s.cluster.start, s.rabbits.start}
	for _, server := range []*Server{s.rabbit, s.redis, s.postgres} {
		if server == s.postgres && s.standby != nil {
			starts = append(starts, s.startPair)
		} else if server != nil {
			starts = append(starts, server.startAnywhere)
		}
	}
	errs := make([]error, len(starts))
	var wg sync.WaitGroup
	for i, start := range starts {
		wg.Go(func() { errs[i] = start(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// startPair starts PostgreSQL, then its standby, which is a copy of it.
func (s *Stack) startPair(ctx context.Context) error {
	if err := s.postgres.startAnywhere(ctx); err != nil {
		return err
	}
	return s.standby.startAnywhere(ctx)
}

// Servers are those that this stack has started, in the order in which they are stopped.
func (s *Stack) Servers() []*Server {
	var all []*Server
	for _, server := range slices.Concat([]*Server{s.rabbit}, s.rabbits.nodes, []*Server{s.rabbits.mapper, s.redis}, s.cluster.masters, []*Server{s.standby, s.postgres}) {
		if server != nil {
			all = append(all, server)
		}
	}
	return all
}

// Postgres is the PostgreSQL server, nil when its URL was given.
func (s *Stack) Postgres() *Server { return s.postgres }

// Standby is PostgreSQL's standby, nil unless one was asked for. Its name for synchronous_standby_names is StandbyName.
func (s *Stack) Standby() *Server { return s.standby }

// Redis is the single Redis node, nil when its URL was given or a cluster was asked for.
func (s *Stack) Redis() *Server { return s.redis }

// RedisMasters are the masters of the Redis Cluster, none when there is a single node.
func (s *Stack) RedisMasters() []*Server { return slices.Clone(s.cluster.masters) }

// AwaitRedis returns when every slot of the cluster is served again, some seconds after the last of its masters was started
// again. For a single node it returns at once.
func (s *Stack) AwaitRedis(ctx context.Context) error { return s.cluster.await(ctx) }

// Rabbit is the RabbitMQ server, nil when its URL was given or a cluster was asked for.
func (s *Stack) Rabbit() *Server { return s.rabbit }

// RabbitNodes are the nodes of the RabbitMQ cluster, none when there is a single one.
func (s *Stack) RabbitNodes() []*Server { return slices.Clone(s.rabbits.nodes) }

// PostgresURL is where PostgreSQL is reached: its superuser, and the database postgres.
func (s *Stack) PostgresURL() string { return urlOf(s.postgres, s.opts.PostgresURL) }

// RedisURL is where Redis is reached: of a cluster the addresses of all masters, between commas.
func (s *Stack) RedisURL() string {
	if len(s.cluster.masters) > 0 {
		return s.cluster.url()
	}
	return urlOf(s.redis, s.opts.RedisURL)
}

// RabbitURL is where RabbitMQ is reached over AMQP: of a cluster the addresses of all nodes, between commas.
func (s *Stack) RabbitURL() string {
	if len(s.rabbits.nodes) > 0 {
		return s.rabbits.url()
	}
	return urlOf(s.rabbit, s.opts.RabbitURL)
}

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
