package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/stack"
)

// place is where one row is measured: databases of its own on the run's servers.
type place struct {
	Options
	servers     *stack.Stack
	postgresURL string // of any database on its server
	prefix      string // of the row's databases, keys and files
	shop        *shop
	references  references
}

// database makes an empty, migrated database and gives its URL.
func (p *place) database(ctx context.Context, name string) (string, error) {
	name = p.prefix + "_" + name
	conn, err := pgx.Connect(ctx, p.postgresURL)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", err
	}
	u, err := url.Parse(p.postgresURL)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), postgres.Migrate(ctx, u.String())
}

// checkpoint writes out what earlier parts left to be written, so that nobody pays for another.
func (p *place) checkpoint(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "VACUUM ANALYZE"); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CHECKPOINT")
	return err
}

// engine is a running server with its payment sandbox.
type engine struct {
	sandbox, server *process
	url             string
	database        string // URL
	secret          []byte
	env             []string // of tools that look at the same servers
}

// processes are the engine's, to be watched.
func (e *engine) processes() watched {
	return watched{"server": e.server.cmd.Process.Pid, "sandbox": e.sandbox.cmd.Process.Pid}
}

// open starts the engine on an empty database, with a driver that has made the row's catalogue. Flags are the server's.
func (p *place) open(ctx context.Context, strategy string, flags ...string) (*engine, *driver, error) {
	url, err := p.database(ctx, "ours")
	if err != nil {
		return nil, nil, err
	}
	e, err := p.startEngine(ctx, url, flags...)
	if err != nil {
		return nil, nil, err
	}
	d, err := newDriver(e.url, strategy, p.prefix, e.secret, p.Concurrency, patience)
	if err == nil {
		err = d.fill(ctx, p.shop)
	}
	if err != nil {
		return nil, nil, errors.Join(err, e.stop())
	}
	return e, d, nil
}

// startEngine starts the sandbox and the server as processes of their own, on a database. Flags are the server's.
func (p *place) startEngine(ctx context.Context, databaseURL string, flags ...string) (*engine, error) {
	sandboxAddr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	httpAddr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(p.Dir, p.prefix)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	key := rand.Text()
	e := &engine{url: "http://" + httpAddr, database: databaseURL, secret: []byte(rand.Text() + rand.Text())}
	e.env = []string{
		"HOLDFAST_POSTGRES_URL=" + databaseURL, "HOLDFAST_REDIS_URL=" + p.servers.RedisURL(), "HOLDFAST_RABBITMQ_URL=" + p.servers.RabbitURL(),
		"HOLDFAST_NAMESPACE=" + p.prefix, "HOLDFAST_SANDBOX_URL=http://" + sandboxAddr, "HOLDFAST_SANDBOX_KEY=" + key,
	}
	ledger := filepath.Join(dir, "ledger.jsonl")
	if e.sandbox, err = start(dir, "sandbox", nil, p.Binary, "sandbox", "--addr", sandboxAddr, "--key", key, "--ledger", ledger, "--log-level", "warn"); err != nil {
		return nil, err
	}
	if err := e.sandbox.ready(ctx, "http://"+sandboxAddr+"/livez"); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	env := append([]string{"HOLDFAST_HTTP_ADDR=" + httpAddr, "HOLDFAST_JWT_SECRET=" + string(e.secret), "HOLDFAST_LOG_LEVEL=warn"}, e.env...)
	if e.server, err = start(dir, "server", env, p.Binary, slices.Concat([]string{"serve"}, flags, p.ServerFlags)...); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	if err := e.server.ready(ctx, e.url+"/readyz"); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	return e, nil
}

// stop stops what was started, the server first.
func (e *engine) stop() error {
	var errs []error
	for _, p := range []*process{e.server, e.sandbox} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	return errors.Join(errs...)
}

// watch names the processes of a measurement: the servers, this one, and more.
func (p *place) watch(more watched) watched {
	w := watched{"driver": os.Getpid()}
	if p.servers == nil {
		return w
	}
	for _, s := range p.servers.Servers() {
		w[s.Name()] = s.PID()
	}
	for name, pid := range more {
		w[name] = pid
	}
	return w
}
