package testkit

import (
	"io"
	"log/slog"
	"sync"
	"testing"
)

// newLog writes to the test's log as long as the test runs. What is logged later is dropped: testing would panic.
func newLog(t testing.TB) *slog.Logger {
	t.Helper()
	w := &testWriter{out: t.Output()}
	t.Cleanup(w.close)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct {
	mu  sync.Mutex
	out io.Writer // nil when the test has ended
}

// Write implements io.Writer.
func (w *testWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out == nil {
		return len(line), nil
	}
	return w.out.Write(line)
}

func (w *testWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = nil
}
