package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgres runs PostgreSQL, with a data folder per major version, since no version reads another's.
type postgres struct {
	bin     string // folder of initdb and postgres
	relaxed bool   // no fsync
	kept    string // see Options.Kept
	home    string // folder of this version's data, below the place; known once prepared
}

func (*postgres) name() string        { return "postgres" }
func (*postgres) portNames() []string { return []string{"postgres"} }

func (*postgres) url(p place) string {
	return "postgres://postgres@" + loopback(p.ports["postgres"]) + "/postgres?sslmode=disable"
}

func (d *postgres) prepare(ctx context.Context, p place) error {
	major, err := d.major(ctx)
	if err != nil {
		return err
	}
	d.home = "postgres-" + major
	if err := p.makeDir(d.home); err != nil {
		return err
	}
	if _, err := os.Stat(d.data(p)); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, clearLeftOver(d.data(p)))
	}
	if d.restore(ctx, p) == nil {
		return nil
	}
	return d.initdb(ctx, p)
}

func (d *postgres) data(p place) string { return p.path(d.home, "data") }

// major asks the program for its major version, like 15.
func (d *postgres) major(ctx context.Context) (string, error) {
	program := filepath.Join(d.bin, "postgres")
	out, err := exec.CommandContext(ctx, program, "--version").Output() // postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", program, err)
	}
	for word := range strings.FieldsSeq(string(out)) {
		digits := word[:len(word)-len(strings.TrimLeft(word, "0123456789"))]
		if digits != "" {
			return digits, nil
		}
	}
	return "", fmt.Errorf("no version in the answer of %s: %q", program, out)
}

// initdb makes an empty cluster of databases. It is made beside its place and moved there whole, so that a start that is
// killed half-way leaves nothing that looks like data.
func (d *postgres) initdb(ctx context.Context, p place) error {
	draft := d.data(p) + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, "initdb"), "-D", draft, "-U", "postgres", "-A", "trust",
		"-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.Env, cmd.Dir = bareEnv(), p.path(d.home)
	cmd.SysProcAttr = childAttr(p.as.credential(), syscall.SIGKILL)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return os.Rename(draft, d.data(p))
}

// settings are those that differ from PostgreSQL's own. Commits are always synchronous: with that off, kill -9 loses them.
func (d *postgres) settings(p place) map[string]string {
	all := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(p.ports["postgres"]),
		"unix_socket_directories": "",
		"wal_level":               "logical",
		"max_replication_slots":   "64",
		"max_wal_senders":         "64",
		"max_slot_wal_keep_size":  "4GB", // a reader that never comes back must not fill the disk
		"wal_sender_timeout":      "15s", // a dead reader gives its slot to the next one within that
		"max_connections":         "300",
		"shared_buffers":          "256MB",
		"max_wal_size":            "2GB",
		"synchronous_commit":      "on",
	}
	if d.relaxed {
		all["fsync"], all["full_page_writes"] = "off", "off"
		all["dynamic_shared_memory_type"] = "mmap" // within the folder: what a killed server leaves behind goes with it
		all["max_connections"] = "600"             // many instances at once
		all["max_prepared_transactions"] = "8"     // as somebody else may use them
		delete(all, "max_slot_wal_keep_size")      // a test that wants a slot to lose its log sets it while the server runs
	}
	return all
}

func (d *postgres) commands(p place) []command {
	args := []string{"-D", d.data(p)}
	for name, value := range d.settings(p) {
		args = append(args, "-c", name+"="+value)
	}
	return []command{{
		name: d.name(), path: filepath.Join(d.bin, "postgres"), args: args, env: bareEnv(), dir: p.path(d.home),
		stop:  syscall.SIGINT,  // fast; SIGTERM would wait for every client
		death: syscall.SIGQUIT, // immediate
		ready: func(ctx context.Context) error { return pingPostgres(ctx, d.url(p)) },
	}}
}

// pingPatience bounds one question whether a server answers.
const pingPatience = 2 * time.Second

func pingPostgres(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(conn.Ping(ctx), conn.Close(ctx))
}

// clearLeftOver makes way for a start on data whose server was killed. Processes that work in the data folder and are
// PostgreSQL can only be what is left of that server. A pid file without such a process is stale; PostgreSQL would refuse
// to start if its pid were another program's by now.
func clearLeftOver(data string) error {
	var strays []identity
	for _, s := range processes() {
		if dir, program := workplace(s.pid); dir == data && strings.HasPrefix(program, "postgres") {
			strays = append(strays, identify(s.pid))
		}
	}
	for _, stray := range strays {
		stray.signal(syscall.SIGKILL)
	}
	if !gone(strays) {
		return fmt.Errorf("processes of an earlier run still work in %s", data)
	}
	if err := os.Remove(filepath.Join(data, "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// bareEnv is all that a server needs of an environment; the caller's own could steer it by PG* variables.
func bareEnv() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
}
