package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// connect opens a connection that no time-out ends.
func (b *beside) connect() *pgx.Conn {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.env.PostgresURL)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(b.t.Context())) })
	return conn
}

// forgottenReader is a transaction that has read every table and does nothing more.
func (b *beside) forgottenReader() (leave func()) {
	b.t.Helper()
	conn := b.connect()
	for _, sql := range []string{`BEGIN`, `DO $$ DECLARE t regclass; BEGIN
		FOR t IN SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
		LOOP EXECUTE 'SELECT count(*) FROM ' || t; END LOOP;
	END $$`} {
		if _, err := conn.Exec(b.t.Context(), sql); err != nil {
			b.t.Fatal(err)
		}
	}
	return func() {
		if _, err := conn.Exec(b.t.Context(), `COMMIT`); err != nil {
			b.t.Errorf("the forgotten reader: %v", err)
		}
	}
}

// backup is a pg_dump whose output nobody takes for now.
func (b *beside) backup() (leave func()) {
	b.t.Helper()
	b.exec(`CREATE TABLE public.filling AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 1000)`) // more than a pipe takes
	out, in, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	var said bytes.Buffer
	dump := exec.Command(testkit.PostgresProgram("pg_dump"), b.env.PostgresURL)
	dump.Stdout, dump.Stderr, dump.SysProcAttr = in, &said, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := dump.Start(); err != nil {
		b.t.Fatal(err)
	}
	in.Close()
	b.t.Cleanup(func() { out.Close(); _ = dump.Process.Kill() })
	b.eventually(`SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
		WHERE application_name = 'pg_dump' AND relation = 'public.filling'::regclass)`)
	return func() {
		b.eventually(`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'pg_dump' AND xact_start IS NOT NULL)`)
		n, err := io.Copy(io.Discard, out)
		if err = errors.Join(err, dump.Wait()); err != nil || n < 1_000_000 {
			b.t.Errorf("the backup of %d bytes: %v\n%s", n, err, &said)
		}
	}
}

// standingAudit is an audit whose process is stopped between two questions. It comes before others who read every table.
func (b *beside) standingAudit() (leave func()) {
	b.t.Helper()
	spec, err := json.Marshal(instance{Config: b.cfg, Audits: true})
	if err != nil {
		b.t.Fatal(err)
	}
	for range 10 { // on a busy machine the lock that stops it may last until it gives up
		said := &bytes.Buffer{}
		run := exec.Command(os.Args[0])
		run.Env, run.Stdout, run.Stderr = append(os.Environ(), instanceVariable+"="+string(spec)), said, said
		run.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		tx, err := b.connect().Begin(b.t.Context())
		if err == nil {
			_, err = tx.Exec(b.t.Context(), `LOCK TABLE archive.months IN ACCESS EXCLUSIVE MODE`) // nobody else asks for it
		}
		if err = errors.Join(err, run.Start()); err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { _ = run.Process.Kill() })
		b.eventually(`SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
			WHERE application_name = 'holdfast audit' AND relation = 'archive.months'::regclass AND NOT granted)`)
		if err := errors.Join(run.Process.Signal(syscall.SIGSTOP), tx.Rollback(b.t.Context())); err != nil {
			b.t.Fatal(err)
		}
		b.eventually(`SELECT NOT EXISTS (SELECT FROM pg_locks WHERE relation = 'archive.months'::regclass AND NOT granted)`)
		if b.holds(standing) {
			return func() { b.goOn(run, said) }
		}
		_ = run.Process.Kill()
		_ = run.Wait()
	}
	b.t.Fatal("no audit could be stopped in its middle")
	return nil
}

// standing is whether an audit has a snapshot, and asks nothing.
const standing = `SELECT EXISTS (SELECT FROM pg_stat_activity
	WHERE application_name = 'holdfast audit' AND xact_start IS NOT NULL AND state IN ('active', 'idle in transaction'))`

// goOn lets a stopped audit come to its end: nothing is broken in what it saw, though some could not be judged.
func (b *beside) goOn(run *exec.Cmd, said *bytes.Buffer) {
	if !b.holds(standing) {
		b.t.Error("the audit was ended")
	}
	_ = run.Process.Signal(syscall.SIGCONT)
	_ = run.Wait()
	if code := run.ProcessState.ExitCode(); code != audit.ExitOK && code != audit.ExitSkipped {
		b.t.Errorf("the audit ended with %d:\n%s", code, said)
	}
}
