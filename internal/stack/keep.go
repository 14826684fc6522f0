package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// KeepPostgres puts a copy of PostgreSQL's data into a folder, where Options.Kept finds it. The server is stopped in order for it
// and started again. Whoever comes first keeps it: what is there already stays.
func (s *Stack) KeepPostgres(ctx context.Context, dir string) error {
	d, isPrimary := s.postgres.driver.(*postgres)
	if !isPrimary {
		return errors.New("no PostgreSQL of this stack's own to keep")
	}
	if err := s.postgres.Stop(); err != nil {
		return fmt.Errorf("keep PostgreSQL's data: %w", err)
	}
	err := d.resetLog(ctx, s.postgres.place())
	if err == nil {
		err = copyWhole(ctx, d.data(s.postgres.place()), filepath.Join(dir, d.home))
	}
	if err != nil {
		err = fmt.Errorf("keep PostgreSQL's data: %w", err)
	}
	return errors.Join(err, s.postgres.Start(ctx))
}

// resetLog throws away the log of a server that was stopped in order and needs it no more: it is as long as all data.
func (d *postgres) resetLog(ctx context.Context, p place) error {
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, "pg_resetwal"), "-D", d.data(p))
	cmd.Env, cmd.Dir = bareEnv(), p.path(d.home)
	cmd.SysProcAttr = childAttr(p.as.credential(), syscall.SIGKILL)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_resetwal: %w: %s", err, out)
	}
	return nil
}

// restore copies data that was kept. It fails when there is none, or when it is thrown away just now.
func (d *postgres) restore(ctx context.Context, p place) error {
	from := filepath.Join(d.kept, d.home)
	if _, err := os.Stat(from); d.kept == "" || err != nil {
		return fs.ErrNotExist
	}
	return copyWhole(ctx, from, d.data(p))
}

// copyWhole copies a folder beside its place and moves it there: it is there whole, or not at all.
func copyWhole(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	draft, err := os.MkdirTemp(filepath.Dir(to), "draft-")
	if err != nil {
		return err
	}
	err = os.Chmod(draft, 0o755)
	if err == nil {
		// Owners stay: the servers' user is another one than root.
		out, failed := exec.CommandContext(ctx, "cp", "-a", from, filepath.Join(draft, "data")).CombinedOutput()
		if failed != nil {
			err = fmt.Errorf("%w: %s", failed, out)
		}
	}
	if err == nil {
		if err = os.Rename(filepath.Join(draft, "data"), to); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	return errors.Join(err, os.RemoveAll(draft))
}
