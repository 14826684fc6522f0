package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// nextBuild builds the version after this one: this source with a strategy, a row and a queue argument more. It is built as the
// tests are, so that only the packages that differ are compiled.
func nextBuild(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "next")
	args := []string{"build", "-race", "-gcflags=github.com/stripe/stripe-go/v85=-l", "-tags", "nextbuild", "-o", file, "."}
	if said, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Fatalf("build the next version: %v: %s", err, said)
	}
	return file
}

// duo is two versions on the same servers, one instance of each at the most.
type duo struct {
	*testing.T
	env     *testkit.Env
	sandbox string
	token   string
	next    string // the next version's program
	product string

	mu     sync.Mutex
	orders map[string]string // key to order
}

func newDuo(t *testing.T) *duo {
	t.Helper()
	d := &duo{T: t, env: testkit.New(t), next: nextBuild(t), orders: map[string]string{}}
	provider, err := sandbox.Open(sandbox.Options{Addr: "127.0.0.1:0", LedgerFile: filepath.Join(t.TempDir(), "ledger.jsonl"), APIKey: backboneKey, Log: d.env.Log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- provider.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	d.sandbox = provider.URL()
	if d.token, err = (web.Tokens{Secret: []byte(backboneSecret)}).Issue("ada", true, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	return d
}

// version is a running instance of one of the two.
type version struct {
	*duo
	name string
	url  string
	cmd  *exec.Cmd
	out  *output
	done chan error
}

// start runs an instance of this version, or of the next, and waits until it is ready.
func (d *duo) start(name string, more ...string) *version {
	d.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	args := append([]string{
		"serve", "--http-addr", addr, "--jwt-secret", backboneSecret, "--refill-after", "2s", "--namespace", d.env.Namespace, "--postgres-url", d.env.PostgresURL,
		"--rabbitmq-url", d.env.RabbitURL, "--redis-url", d.env.RedisURL, "--sandbox-url", d.sandbox, "--sandbox-key", backboneKey, "--reconcile-cooldown", "1s", "--inventory-lanes", "1",
	}, more...)
	v := &version{duo: d, name: name, url: "http://" + addr, out: &output{}, done: make(chan error, 1)}
	v.cmd = program(context.WithoutCancel(d.Context()), d.TempDir(), args...)
	if name == "next" {
		v.cmd.Path, v.cmd.Args[0] = d.next, d.next
	}
	v.cmd.Stdout, v.cmd.Stderr = v.out, v.out
	if err := v.cmd.Start(); err != nil {
		d.Fatal(err)
	}
	go func() { v.done <- v.cmd.Wait() }()
	d.Cleanup(func() {
		v.end(syscall.SIGKILL)
		if d.Failed() {
			d.Logf("the %s version said, at the end:\n%s", name, tail(v.out.String(), 6000))
		}
	})
	testkit.Eventually(d, time.Minute, func() error {
		select {
		case err := <-v.done:
			v.done <- err
			return fmt.Errorf("it ended: %w", err)
		default:
		}
		status, answer, err := v.send(http.MethodGet, "/readyz", nil, "")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d %s", status, answer)
		}
		return err
	})
	return v
}

// end stops it by a signal and waits until it is gone.
func (v *version) end(by os.Signal) {
	if v.cmd.Process.Signal(by) == nil {
		err := <-v.done
		v.done <- err
	}
}

func (v *version) send(method, path string, body any, key string) (int, []byte, error) {
	text, err := json.Marshal(body)
	if err != nil || body == nil {
		text = nil
	}
	req, err := http.NewRequestWithContext(v.Context(), method, v.url+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+v.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// must sends a request that is answered with one of the statuses 200 to 202.
func (v *version) must(method, path string, body any, key string, into any) {
	v.Helper()
	status, answer, err := v.send(method, path, body, key)
	if err != nil || status < 200 || status > 202 {
		v.Fatalf("%s version: %s %s: %d %s %v", v.name, method, path, status, answer, err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			v.Fatal(err)
		}
	}
}

// stock makes the product that everybody wants.
func (v *version) stock() {
	v.Helper()
	var list struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"products"`
	}
	v.must(http.MethodPost, "/api/v1/admin/products", map[string]any{"products": []map[string]any{
		{"sku": "MUG", "name": "Mug", "description": "", "unit_price_minor": 1275, "currency": "GBP", "stock": 100_000},
	}}, "", &list)
	v.product = list.Items[0].ID
}

// buy makes some orders of a strategy at once.
func (v *version) buy(strategy string, count int) {
	v.Helper()
	var customers sync.WaitGroup
	for range 4 {
		customers.Go(func() {
			for range count / 4 {
				v.buyOne(strategy)
			}
		})
	}
	customers.Wait()
}

func (v *version) buyOne(strategy string) {
	v.mu.Lock()
	key := fmt.Sprintf("%s/%s/%d", v.name, strategy, len(v.orders))
	v.orders[key] = ""
	v.mu.Unlock()
	body := map[string]any{"payment_method": "pm_ok", "strategy": strategy, "items": []map[string]any{{"product_id": v.product, "quantity": 1}}}
	status, answer, err := v.send(http.MethodPost, "/api/v1/orders", body, key)
	var order struct {
		ID string `json:"id"`
	}
	if err != nil || status < 201 || status > 202 || json.Unmarshal(answer, &order) != nil {
		v.Errorf("%s version, strategy %s: %d %s %v", v.name, strategy, status, answer, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.orders[key] = order.ID
}

func (d *duo) number(query string, args ...any) (n int) {
	d.Helper()
	if err := d.env.DB.QueryRow(d.Context(), query, args...).Scan(&n); err != nil {
		d.Fatal(err)
	}
	return n
}

// eventually waits until a count is what it should be.
func (d *duo) eventually(what string, want int, query string, args ...any) {
	d.Helper()
	testkit.Eventually(d, 2*time.Minute, func() error {
		var n int
		err := d.env.DB.QueryRow(d.Context(), query, args...).Scan(&n)
		if err == nil && n != want {
			err = fmt.Errorf("%d %s, want %d", n, what, want)
		}
		return err
	})
}

// complete waits until every order is complete.
func (d *duo) complete() {
	d.Helper()
	d.eventually("orders are not complete", 0, `SELECT count(*) FROM orders.view WHERE status <> 'COMPLETED'`)
	if n := d.number(`SELECT count(*) FROM orders.orders`); n != len(d.orders) {
		d.Fatalf("%d orders of %d", n, len(d.orders))
	}
}

// Two versions run beside each other, the next one with a strategy, a row and a queue argument more, in both directions of a
// rollout and under load. No fact is buried by the one that has no row for it: it waits for the other, and all orders of both
// become what they would have become without.
func TestTwoVersionsSideBySide(t *testing.T) {
	t.Parallel()
	queues := []string{"inventory", "inventory.lane.0", "order", "payment", "shelf", "view"}
	d := newDuo(t)
	this := d.start("this")
	this.stock()
	this.buy("optimistic", 20)
	next := d.start("next") // the rollout begins
	both := func() {
		t.Helper()
		var buying sync.WaitGroup
		buying.Go(func() { this.buy("optimistic", 40) })
		buying.Go(func() { next.buy("next", 40) })
		buying.Go(func() { next.buy("optimistic", 20) })
		buying.Wait()
	}
	both()
	d.complete()
	this.end(syscall.SIGTERM) // and is over
	next.buy("next", 20)
	d.complete()
	next.differs("next", len(queues))
	for _, queue := range queues {
		if code := next.tool("queues", "rebuild", queue); code != exitDone {
			t.Errorf("the next version did not make %s anew: exit code %d", queue, code)
		}
	}
	next.differs("next", 0)

	this = d.start("this") // and is taken back: what the next version leaves waits for it
	this.differs("this", len(queues))
	if code := this.tool("queues", "rebuild", "view"); code != exitFailed {
		t.Errorf("the older version made a queue anew: exit code %d", code)
	}
	both()
	next.end(syscall.SIGKILL)
	this.buy("optimistic", 20)
	d.eventually("orders of this version are not complete", 0, `SELECT count(*) FROM orders.view WHERE status <> 'COMPLETED' AND strategy = 'optimistic'`)
	d.eventually("unheard facts do not wait", 0, `
		SELECT count(*) FROM shared.outbox o WHERE o.strategy = 'optimistic' AND o.name = 'stock.reserved'
		  AND NOT EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = o.id AND i.module = 'view')
		  AND NOT EXISTS (SELECT FROM shared.waiting_facts w WHERE w.fact_id = o.id AND w.module = 'view')`)
	if n := d.number(`SELECT count(*) FROM shared.waiting_facts WHERE module = 'view' AND key = 'optimistic.stock.reserved'`); n < 20 {
		t.Errorf("%d facts wait that only the next version has a row for, want 20 at least", n)
	}
	var status struct {
		Waiting []struct {
			Module, Key string
			Facts       int
		} `json:"waiting_facts"`
	}
	this.must(http.MethodGet, "/api/v1/admin/status", nil, "", &status)
	if len(status.Waiting) == 0 {
		t.Error("the status tells of no fact that waits")
	}
	next = d.start("next")
	d.complete()
	d.eventually("facts wait", 0, `SELECT count(*) FROM shared.waiting_facts`)
	if n := d.number(`SELECT count(*) FROM shared.dead_letters`); n > 0 {
		t.Errorf("%d dead letters", n)
	}
	d.audit()
}

// tool runs another command of the same version against it.
func (v *version) tool(args ...string) int {
	v.Helper()
	cmd := program(v.Context(), v.TempDir(), append(args, "--url", v.url, "--jwt-secret", backboneSecret)...)
	cmd.Path, cmd.Args[0] = v.cmd.Path, v.cmd.Path
	cmd.Stdout, cmd.Stderr = v.out, v.out
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode()
}

// differs waits until a version names so many queues that are not as it declares them, and is ready all the same.
func (v *version) differs(name string, want int) {
	v.Helper()
	testkit.Eventually(v, time.Minute, func() error {
		var ready struct {
			Checks map[string]string `json:"checks"`
		}
		status, answer, err := v.send(http.MethodGet, "/readyz", nil, "")
		if err == nil {
			err = json.Unmarshal(answer, &ready)
		}
		if named := strings.Count(ready.Checks["queues"], "holdfast queues rebuild"); err == nil && (status != http.StatusOK || named != want) {
			err = fmt.Errorf("%d: %d queues differ from the %s version's, want %d: %s", status, named, name, want, answer)
		}
		return err
	})
}

// audit has the next version prove that all is well.
func (d *duo) audit() {
	d.Helper()
	out := &output{}
	cmd := program(d.Context(), d.TempDir(), "audit", "--wait", "1m", "--cooldown", "2s", "--postgres-url", d.env.PostgresURL,
		"--redis-url", d.env.RedisURL, "--rabbitmq-url", d.env.RabbitURL, "--namespace", d.env.Namespace, "--sandbox-url", d.sandbox, "--sandbox-key", backboneKey)
	cmd.Path, cmd.Args[0] = d.next, d.next
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		d.Errorf("the audit: %v\n%s", err, strings.TrimSpace(out.String()))
	}
}
