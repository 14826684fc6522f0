package stack_test

import (
	"context"
	"log/slog"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/stack"
)

func testDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "holdfast-stack-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSmoke(t *testing.T) {
	s, err := stack.Start(t.Context(), stack.Options{Dir: testDir(t), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), s.PostgresURL())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(context.WithoutCancel(t.Context()))
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}
