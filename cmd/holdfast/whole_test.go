package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// The binary that these tests run is this test binary itself, so that it is built once and with the race detector.
const asProgram = "HOLDFAST_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	testkit.Main(m)
}

// program runs holdfast in a folder.
func program(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// output keeps what a program prints, for whoever waits for a line of it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// house is `make run` in a folder of its own.
type house struct {
	t      *testing.T
	dir    string
	args   []string
	cmd    *exec.Cmd
	out    *output // of all starts
	starts int
	done   chan error
}

func newHouse(t *testing.T, args ...string) *house {
	t.Helper()
	dir, err := os.MkdirTemp("", "holdfast-whole-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres runs as another user when we are root
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	h := &house{t: t, dir: dir, out: &output{}, args: append([]string{"dev", "--http-addr", addr}, args...)}
	t.Cleanup(func() {
		h.stop()
		if t.Failed() {
			t.Logf("the server said, at the end:\n%s", tail(h.out.String(), 8000))
			if keep := os.Getenv("HOLDFAST_TEST_KEEP"); keep != "" {
				_ = os.WriteFile(filepath.Join(keep, "server.log"), []byte(h.out.String()), 0o644)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	h.start()
	return h
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// start runs it and waits for its greeting.
func (h *house) start(args ...string) {
	h.t.Helper()
	h.done = make(chan error, 1)
	h.starts++
	h.cmd = program(context.WithoutCancel(h.t.Context()), h.dir, append(h.args, args...)...)
	h.cmd.Stdout, h.cmd.Stderr = h.out, h.out
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	cmd, done := h.cmd, h.done
	go func() { done <- cmd.Wait() }()
	testkit.Eventually(h.t, 2*time.Minute, func() error {
		select {
		case err := <-done:
			done <- err
			return fmt.Errorf("it ended: %w", err)
		default:
		}
		if strings.Count(h.out.String(), "Ctrl-C stops everything") < h.starts {
			return errors.New("it is not ready")
		}
		return nil
	})
}

// stop is Ctrl-C.
func (h *house) stop() {
	if h.cmd.Process.Signal(os.Interrupt) == nil {
		if err := <-h.done; err != nil {
			h.t.Log(err)
		}
		h.done <- nil
	}
}

// kill ends it as a crash would.
func (h *house) kill() {
	if err := h.cmd.Process.Kill(); err != nil {
		h.t.Fatal(err)
	}
	if err := <-h.done; err != nil {
		h.t.Log(err)
	}
	h.done <- nil
}

// tool runs another command of holdfast beside it, and gives its exit code.
func (h *house) tool(out io.Writer, args ...string) int {
	cmd := program(h.t.Context(), h.dir, args...)
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func (h *house) state() stack.State {
	h.t.Helper()
	state, err := stack.LoadState(filepath.Join(h.dir, stackDir))
	if err != nil {
		h.t.Fatal(err)
	}
	return state
}

// server gives the process id of one of the servers, 0 while it is not running.
func (h *house) server(name string) int {
	h.t.Helper()
	body, err := os.ReadFile(filepath.Join(h.dir, stackDir, "servers.json"))
	if err != nil {
		h.t.Fatal(err)
	}
	var record struct {
		Processes map[string]struct {
			PID int `json:"pid"`
		} `json:"processes"`
	}
	if err := json.Unmarshal(body, &record); err != nil {
		h.t.Fatalf("%s: %v", body, err)
	}
	return record.Processes[name].PID
}

// invoices writes a shop's files: products, and invoices of three lines from a few customers.
func invoices(t *testing.T, dir string, count int) (products, orders string) {
	t.Helper()
	var p, o strings.Builder
	p.WriteString("sku,name,unit_price_minor,units_sold\n")
	for i := range 30 {
		fmt.Fprintf(&p, "SKU%d,\"Thing, number %d\",%d,1\n", i, i, 100+i)
	}
	o.WriteString("invoice,customer,ts,sku,quantity,unit_price_minor,country\n")
	for i := range count {
		for line := range 3 {
			fmt.Fprintf(&o, "%d,%d,2010-12-01T08:%02d:00Z,SKU%d,%d,100,United Kingdom\n", 1000+i, i%23, i%60, (i*7+line*11)%30, 1+i%3)
		}
	}
	products, orders = filepath.Join(dir, "products.csv"), filepath.Join(dir, "orders.csv")
	for path, text := range map[string]string{products: p.String(), orders: o.String()} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return products, orders
}

// replayed is what the tests look at of a replay's report.
type replayed struct {
	Placed     int `json:"orders_placed"`
	Completed  int `json:"orders_completed"`
	NotEnded   int `json:"orders_not_ended"`
	Differed   int `json:"repeated_differently"`
	Repeated   int `json:"repeated"`
	RejectedAt int `json:"rejected_at_cart"`
}

// A replay lives through the server being killed, and each of Postgres, Redis and RabbitMQ: every order ends, every repeated
// request gets the same answer, and the audit finds every unit and every penny where it belongs.
func TestKilledInTheMiddleOfAReplay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	products, orders := invoices(t, h.dir, 240)
	report := filepath.Join(h.dir, "report.json")
	out, over := &output{}, make(chan int, 1)
	go func() {
		over <- h.tool(out, "replay", "--products", products, "--orders", orders, "--concurrency", "8", "--rate", "8",
			"--report", report, "--decline", "0.1", "--repeat", "0.2", "--patience", "3m")
	}()
	h.placed(30)
	h.kill()
	h.start("--strategy", "post-payment")
	for i, name := range []string{"postgres", "redis", "rabbitmq"} {
		h.placed(60 + 30*i)
		pid := h.server(name)
		if pid == 0 {
			t.Fatalf("%s is not running", name)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %s: %v", name, err)
		}
		testkit.Eventually(t, 3*time.Minute, func() error {
			if now := h.server(name); now == pid || now == 0 {
				return fmt.Errorf("%s is not running again", name)
			}
			return nil
		})
	}
	if code := <-over; code != exitDone {
		t.Fatalf("the replay ended with %d:\n%s", code, tail(out.String(), 4000))
	}
	var r replayed
	body, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &r); err != nil || r.Placed < 180 || r.Completed == 0 || r.NotEnded != 0 || r.Differed != 0 || r.Repeated == 0 {
		t.Fatalf("%+v, %v:\n%s", r, err, tail(out.String(), 4000))
	}
	h.clean()
}

// clean wants every invariant to hold.
func (h *house) clean() {
	h.t.Helper()
	out := &output{}
	if code := h.tool(out, "audit", "--wait", "1m"); code != exitDone {
		h.t.Fatalf("the audit ended with %d:\n%s", code, out)
	}
}

// placed waits until the shop has that many orders.
func (h *house) placed(orders int) {
	h.t.Helper()
	testkit.Eventually(h.t, 2*time.Minute, func() error {
		n, err := h.count()
		if err != nil {
			return err
		}
		if n < orders {
			return fmt.Errorf("%d of %d orders", n, orders)
		}
		return nil
	})
}

// count gives how many orders there are.
func (h *house) count() (orders int, err error) {
	books, err := postgres.Open(h.t.Context(), h.state().PostgresURL, postgres.Options{MaxConns: 1})
	if err != nil {
		return 0, err
	}
	defer books.Close()
	return orders, books.QueryRow(h.t.Context(), `SELECT count(*) FROM orders.orders`).Scan(&orders)
}
