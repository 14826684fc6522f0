// Package app is the wiring: it builds every part in order and runs them. Read Serve first, top to bottom.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/deadletter"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/refill"
	"github.com/holdfast-checkout/holdfast/internal/relay"
	"github.com/holdfast-checkout/holdfast/internal/rollout"
	"github.com/holdfast-checkout/holdfast/internal/run"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/web"
	"github.com/holdfast-checkout/holdfast/lua"
)

// maxConns is how many connections to Postgres one instance has at most, besides the relay's own.
const maxConns = 32

// patience is how long the reconciler and the auditor, for whom nobody waits at a till, wait for Redis.
const patience = 3 * time.Second

// server is one instance and what all its parts share.
type server struct {
	cfg       config.Config
	connect   Connect // nil: there are sandboxes only
	log       *slog.Logger
	registry  *prometheus.Registry
	db        *postgres.DB
	shifts    *redisx.Shifts
	redis     redis.UniversalClient
	patient   redis.UniversalClient // the same Redis, for who can wait
	keys      redisx.Keys
	scripts   *redisx.Scripts
	broker    broker.Config
	lease     *lease.Lease
	modules   *modules
	tables    []saga.Strategy
	book      *saga.Book
	relay     *relay.Relay
	publisher *broker.Publisher // the relay's
	letters   *deadletter.Letters
	refills   *refill.Refiller
	rollout   *rollout.Rollout
	admission *redisx.Admission // to redis
	repairs   *reconcile.Reconciler
	memory    *reconcile.Memory

	partitions *partitions
	retention  retentionMetrics
	archive    archiveMetrics
	clocks     *clocks
	payments   paymentMetrics
	web        *web.Server
}

// Check says what is wrong with a configuration beyond what its package can know: whether its strategies exist.
func Check(cfg config.Config) error {
	_, err := saga.NewBook(saga.All(), cfg.Strategy, cfg.StrategiesAllowed)
	return err
}

// Serve runs an instance that charges at the sandbox, as ServeWith does.
func Serve(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(ctx context.Context, url string) error) error {
	return ServeWith(ctx, cfg, nil, log, ready)
}

// Connect makes the way to an account of a provider that is not the sandbox. It is made elsewhere, since the tests here need not be
// linked with a library as large as Stripe's.
type Connect func(config.Provider) payment.Gateway

// ServeWith runs an instance until ctx ends: then what is under way is finished, as far as it can be, and the rest is left where
// the next start finds it. connect leads to providers other than the sandbox; nil: there is none. ready, if any, is called with the API's URL once requests are
// answered; its error ends the instance.
func ServeWith(ctx context.Context, cfg config.Config, connect Connect, log *slog.Logger, ready func(ctx context.Context, url string) error) error {
	if err := cfg.Complete(); err != nil {
		return err
	}
	for _, p := range cfg.Providers() {
		if p.Name != "sandbox" && connect == nil {
			return fmt.Errorf("payment provider %s: no way to it was given", p.Name)
		}
	}
	log.InfoContext(ctx, "holdfast starts", "version", Version().Version, "settings", cfg)
	s, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	s.connect = connect
	defer s.close()
	if err := selfCheck(ctx, s.db, s.patient, relay.Mode(cfg.OutboxMode), log); err != nil {
		return err
	}
	if err := s.build(); err != nil {
		return err
	}
	if err := s.rollout.Record(ctx); err != nil {
		return err
	}
	s.firstLook(ctx)
	s.meetProviders(ctx)
	if err := s.web.Listen(ctx); err != nil {
		return err
	}
	log.InfoContext(ctx, "listening", "addr", s.web.Addr(), "admin_addr", s.web.AdminAddr(), "strategy", cfg.Strategy, "outbox_mode", cfg.OutboxMode)
	parts := append(s.background(), s.hearing()...)
	parts = append(parts, run.Part{Name: "web", Run: s.web.Run})
	if ready != nil {
		parts = append(parts, run.Part{Name: "ready", Run: s.whenReady(ready)})
	}
	return run.All(ctx, log, parts...)
}

// firstLook lets this instance work with Redis from its first request on, if Redis is there.
func (s *server) firstLook(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.memory.Look(ctx); err != nil {
		s.log.WarnContext(ctx, "Redis is not worked with yet", "error", err)
	}
}

func (s *server) whenReady(ready func(context.Context, string) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := ready(ctx, "http://"+s.web.Addr()); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
}

// open connects to Postgres, which must be there, and prepares the way to Redis and RabbitMQ, which may come later.
func open(ctx context.Context, cfg config.Config, log *slog.Logger) (*server, error) {
	s := &server{cfg: cfg, log: log, tables: saga.All(), registry: prometheus.NewRegistry(), keys: redisx.Keys{Namespace: cfg.Namespace}, shifts: &redisx.Shifts{}}
	s.partitions, s.clocks = newPartitions(s.registry), newClocks(s.registry)
	s.retention, s.archive, s.payments = newRetentionMetrics(s.registry), newArchiveMetrics(s.registry), newPaymentMetrics(s.registry)
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	var schema postgres.Schema
	if s.db, schema, err = openBooks(ctx, cfg.PostgresURL, postgres.Options{MaxConns: maxConns, DirectURL: cfg.ReplicationURL}); err != nil {
		return nil, err
	}
	if err := outbox.CheckRights(ctx, s.db); err != nil {
		s.db.Close()
		return nil, err
	}
	if s.db.Pooled() {
		log.InfoContext(ctx, "Postgres is reached through a pooler, and past it where that has to be")
	}
	if ahead := schema.Ahead(); ahead != nil {
		log.WarnContext(ctx, "the schema is not this version's", "error", ahead)
	}
	s.admission = redisx.NewAdmission()
	if s.redis, err = redisx.Open(cfg.RedisURL, redisx.Options{Admission: s.admission}); err != nil {
		s.db.Close()
		return nil, err
	}
	if s.patient, err = redisx.Open(cfg.RedisURL, redisx.Options{ReadTimeout: patience}); err != nil {
		s.close()
		return nil, err
	}
	s.scripts = redisx.NewScripts(s.redis, lua.Sources())
	s.scripts.Admission, s.scripts.Shifts = s.admission, s.shifts
	s.lease = lease.New(s.db, log, instance(), 0)
	s.lookAtClocks(ctx)
	if err := s.checkClocks(ctx); errors.Is(err, errSkew) {
		s.close()
		return nil, err
	} else if err != nil {
		log.WarnContext(ctx, "clocks differ", "error", err)
	}
	return s, nil
}

// instance names this process where one of several is chosen.
func instance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), uuid.NewString()[:8])
}

func (s *server) close() {
	for _, client := range []redis.UniversalClient{s.redis, s.patient} {
		if client == nil {
			continue
		}
		if err := client.Close(); err != nil {
			s.log.Warn("close redis", "error", err)
		}
	}
	s.db.Close()
}

// build makes every part, in the order in which they need each other.
func (s *server) build() error {
	var err error
	if s.book, err = saga.NewBook(s.tables, s.cfg.Strategy, s.cfg.StrategiesAllowed); err != nil {
		return err
	}
	s.broker = broker.Config{
		URL: s.cfg.RabbitMQURL, Topology: topology(s.cfg.Namespace, s.book, s.cfg.InventoryLanes), Log: s.log, Metrics: broker.NewMetrics(s.registry),
		Anew:  func(queue string) { s.refills.Anew(queue) },
		Bound: func(ctx context.Context, key string) ([]string, bool, error) { return s.rollout.Bound(ctx, key) }, Witness: broker.NewWitness(inbox.Alone{DB: s.db}),
	}
	s.modules = s.newModules(s.book)
	if err := s.newRelay(); err != nil {
		return err
	}
	unhurried := redisx.NewScripts(s.patient, lua.Sources())
	unhurried.Patience, unhurried.Shifts = patience, s.shifts
	s.repairs = reconcile.New(reconcile.Options{
		Postgres: s.db, Redis: s.patient, Scripts: unhurried, Keys: s.keys, Shelf: s.modules.shelf,
		Lease: s.lease, Log: s.log,
		Registry: s.registry, Owners: s.modules.shelf.Limits.OfCustomers(), Interval: s.cfg.ReconcileInterval, Cooldown: s.cfg.ReconcileCooldown,
	})
	s.memory = reconcile.NewMemory(s.repairs, s.admission)
	s.modules.cart.Doubt, s.modules.order.Doubt = s.repairs.Doubt, s.repairs.Doubt
	return s.newWeb()
}
