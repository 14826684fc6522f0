package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// StandbyName is what the primary knows the standby by.
const StandbyName = "standby"

// standby runs a copy of PostgreSQL that follows it by streaming replication.
type standby struct {
	postgres
	primary func() *Server
}

func (*standby) name() string        { return "postgres-standby" }
func (*standby) portNames() []string { return []string{"standby"} }
func (d *standby) url(p place) string {
	return d.postgres.url(place{p.folder, map[string]int{"postgres": p.ports["standby"]}})
}

// alone refuses a standby of a server that is not started here.
func alone(o Options) error {
	if o.Standby && o.PostgresURL != "" {
		return errors.New("only a PostgreSQL that is started here can have a standby")
	}
	return nil
}

// prepare copies the primary, unless there is a copy already.
func (d *standby) prepare(ctx context.Context, p place) error {
	major, err := d.major(ctx)
	if err != nil {
		return err
	}
	d.home = "postgres-" + major + "-standby"
	if err := p.makeDir(d.home); err != nil {
		return err
	}
	if _, err := os.Stat(d.data(p)); err == nil {
		return clearLeftOver(d.data(p))
	}
	draft := d.data(p) + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, "pg_basebackup"), "--dbname", d.primary().URL(), "--pgdata", draft,
		"--wal-method=stream", "--checkpoint=fast", "--no-sync", "--no-manifest")
	cmd.Env, cmd.Dir = bareEnv(), p.path(d.home)
	cmd.SysProcAttr = childAttr(p.as.credential(), syscall.SIGKILL)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	signal := filepath.Join(draft, "standby.signal") // says that it follows
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		return err
	}
	if err := p.as.own(signal); err != nil {
		return err
	}
	return os.Rename(draft, d.data(p))
}

func (d *standby) commands(p place) []command {
	port := place{p.folder, map[string]int{"postgres": p.ports["standby"]}}
	all := d.postgres.commands(port)
	from := fmt.Sprintf("host=127.0.0.1 port=%d user=postgres application_name=%s", d.primary().place().ports["postgres"], StandbyName)
	all[0].name = d.name()
	all[0].args = append(all[0].args, "-c", "primary_conninfo="+from, "-c", "wal_retrieve_retry_interval=200ms")
	return all
}
