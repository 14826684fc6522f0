package testkit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/statements"
)

// SentVariable names, in the environment, the file to which every process of a test run adds the statements that the product
// sends in it, a line each: processes that tests start and kill have it from them.
const SentVariable = "HOLDFAST_TEST_SENT"

// Sent is a statement of the product that a test process has sent.
type Sent struct {
	Place string `json:"place"` // the function that sent it
	SQL   string `json:"sql"`
	Args  string `json:"args"` // as Statement has them
}

// init and not Main: a process that is the product under test has no Main.
func init() { postgres.Tracer = &tracer{seen: map[string]bool{}} }

// tracer notes each statement that the product sends once.
type tracer struct {
	mu   sync.Mutex
	seen map[string]bool
}

// TraceQueryStart sees one statement.
func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	t.note(q.SQL, q.Args)
	return ctx
}

// TraceBatchStart sees several.
func (t *tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, b pgx.TraceBatchStartData) context.Context {
	for _, q := range b.Batch.QueuedQueries {
		t.note(q.SQL, q.Arguments)
	}
	return ctx
}

func (*tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData)     {}
func (*tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func (t *tracer) note(sql string, args []any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	file := os.Getenv(SentVariable)
	if t.seen[sql] || file == "" {
		return
	}
	if !statements.IsPlanned(sql) {
		t.seen[sql] = true
		return
	}
	place, product := sender()
	if !product {
		return // another time it may be the product's
	}
	t.seen[sql] = true
	line, err := json.Marshal(Sent{Place: place, SQL: sql, Args: arguments(args)})
	if err == nil {
		err = appendLine(file, line)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "note a statement that was sent:", err)
	}
}

// appendLine writes in one call, so that lines of several processes do not mix.
func appendLine(file string, line []byte) (err error) {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(append(line, '\n'))
	return err
}

const project = "github.com/holdfast-checkout/holdfast/"

// sender names the function that sends, past the driver and the methods of the pool, and whether it is the product's.
func sender() (place string, product bool) {
	var at [64]uintptr
	frames := runtime.CallersFrames(at[:runtime.Callers(4, at[:])])
	for {
		f, more := frames.Next()
		name, ours := strings.CutPrefix(f.Function, project)
		switch {
		case strings.HasSuffix(f.File, "_test.go"):
			return "", false
		case ours && !isPool(name):
			return name, isProduct(name)
		case !more:
			return "", false
		}
	}
}

func isPool(function string) bool {
	name, found := strings.CutPrefix(function, "internal/postgres.")
	return found && (strings.HasPrefix(name, "(*DB).") || strings.HasPrefix(name, "fenced"))
}

func isProduct(function string) bool {
	for _, apart := range statements.Apart {
		if strings.HasPrefix(function, "internal/"+apart+".") || strings.HasPrefix(function, "internal/"+apart+"/") {
			return false
		}
	}
	return true
}

// ReadSent gives what was added to such a file, each statement once.
func ReadSent(file string) ([]Sent, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Sent
	seen := map[string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s Sent
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if key := statements.Normal(s.SQL); !seen[key] {
			seen[key] = true
			all = append(all, s)
		}
	}
	return all, lines.Err()
}
