package testkit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/migrations"
)

// newDatabase makes a migrated database for one test and drops it afterwards.
func newDatabase(t testing.TB, server, name string, tidy tidying) string {
	t.Helper()
	template, err := ensureTemplate(t.Context(), server)
	if err != nil {
		t.Fatalf("make the template database: %v", err)
	}
	// Copied as files: page by page through the log takes twice as long, and every slot on the server would read those pages.
	err = onServer(t.Context(), server, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template+" STRATEGY file_copy")
		return err
	})
	if err != nil {
		t.Fatalf("create database %s: %v", name, err)
	}
	tidy(t, "drop database "+name, func(ctx context.Context) error { return dropDatabase(ctx, server, name) })
	return databaseURL(server, name)
}

func databaseURL(server, name string) string {
	u, err := url.Parse(server)
	if err != nil {
		panic(err) // the server has been reached by it
	}
	u.Path = "/" + name
	return u.String()
}

// onServer runs do on a connection of its own.
func onServer(ctx context.Context, server string, do func(context.Context, *pgx.Conn) error) (err error) {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	return do(ctx, conn)
}

// ensureTemplate makes the migrated database that the tests' own are copied from, once per set of servers and state of the
// migrations, and answers its name.
func ensureTemplate(ctx context.Context, server string) (string, error) {
	name, err := templateName()
	if err != nil {
		return "", err
	}
	return name, onServer(ctx, server, func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", lockKey(name)); err != nil { // freed with the connection
			return err
		}
		var made bool
		query := "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)"
		if err := conn.QueryRow(ctx, query, name).Scan(&made); err != nil || made {
			return err
		}
		return makeTemplate(ctx, conn, server, name)
	})
}

func makeTemplate(ctx context.Context, conn *pgx.Conn, server, name string) error {
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil { // one made half-way
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return err
	}
	if err := postgres.Migrate(ctx, databaseURL(server, name)); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "ALTER DATABASE "+name+" IS_TEMPLATE true ALLOW_CONNECTIONS false")
	return err
}

// templateName changes with every change of a migration.
func templateName() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(migrations.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(migrations.Files, path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(body), body)
		return err
	})
	return fmt.Sprintf("template_%x", sum.Sum(nil)[:8]), err
}

func lockKey(name string) int64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(name)) // never errs
	return int64(sum.Sum64())
}

// dropDatabase drops a database with its replication slots. A slot in use stands in the way, so its reader is ended first;
// the reader may come back until its program has noticed, hence the repetition.
func dropDatabase(ctx context.Context, server, name string) error {
	return onServer(ctx, server, func(ctx context.Context, conn *pgx.Conn) error {
		for {
			_, err := conn.Exec(ctx, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active", name)
			if err != nil {
				return err
			}
			_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") // takes idle slots along
			if err == nil || postgres.Code(err) != objectInUse {
				return err
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(pollInterval):
			}
		}
	})
}

// objectInUse is the SQLSTATE of a database with a slot that is being read.
const objectInUse = "55006"

func openPool(t testing.TB, databaseURL string) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), databaseURL, postgres.Options{ApplicationName: "test"})
	if err != nil {
		t.Fatalf("open the test's database: %v", err)
	}
	t.Cleanup(db.Close)
	return db
}
