package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

const (
	backboneSecret = "a secret of the backbone's drill, long enough"
	backboneKey    = "key of the sandbox"
	drillTime      = 10 * time.Minute
	betweenOrders  = 50 * time.Millisecond // of one customer: the servers are to be hurt, not the machine
)

// Postgres, RabbitMQ and the instances are killed, frozen, cut off, starved and robbed of their queues at random while customers
// buy: every order that was acknowledged is there once and ends, every fact is heard once, and all of it adds up.
func TestDrillBackbone(t *testing.T) {
	t.Parallel()
	seed := testkit.Seed(t)
	b := newBackbone(t, testkit.Private(t))
	stop := b.open()
	random := rand.New(rand.NewPCG(seed, 0))
	faults := b.faults(random)
	began, most := time.Now(), testkit.Size(3, 1_000_000)
	for n, at := 0, random.Perm(len(faults)); n < most && time.Since(began) < drillTime; n++ {
		b.do(faults[at[n%len(at)]])
		b.progress()
		if n%len(at) == len(at)-1 {
			at = random.Perm(len(faults))
		}
	}
	b.calm()
	stop()
	b.judge(seed)
}

// open lets customers buy until they are stopped, each when what he asked for has been answered.
func (b *backbone) open() (stop func()) {
	buying, cancel := context.WithCancel(b.Context())
	var customers sync.WaitGroup
	for i := range 4 {
		customers.Go(func() { b.buy(buying, i) })
	}
	return func() { cancel(); customers.Wait() }
}

// backbone is two instances on servers of their own, each reached through proxies that can take the network away.
type backbone struct {
	*testing.T
	env       *testkit.Env
	servers   *stack.Stack
	sandbox   string
	product   string
	token     string
	instances []*instance
	happened  map[string]int // faults by name
	robbed    time.Time      // when a queue was last deleted, or first made

	mu         sync.Mutex
	attempted  int
	retried    int
	acked      map[string]string // keys to orders
	unexpected []string
}

// instance is one `holdfast serve`.
type instance struct {
	cmdLine []string
	url     string
	db, mq  *testkit.Proxy // mq is nil where there are several nodes, which it connects to itself
	out     *output
	process *os.Process
	done    chan error
}

func newBackbone(t *testing.T, servers *stack.Stack) *backbone {
	t.Helper()
	b := &backbone{T: t, servers: servers, happened: map[string]int{}, acked: map[string]string{}, robbed: time.Now()}
	b.env = testkit.NewOn(t, b.servers)
	provider, err := sandbox.Open(sandbox.Options{
		Addr: "127.0.0.1:0", LedgerFile: filepath.Join(t.TempDir(), "ledger.jsonl"), APIKey: backboneKey, Log: b.env.Log,
		SlowBy: 200 * time.Millisecond, HangFor: 200 * time.Millisecond,
	})
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
	b.sandbox = provider.URL()
	if b.token, err = (web.Tokens{Secret: []byte(backboneSecret)}).Issue("ada", true, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b.instances = append(b.instances, b.newInstance())
	}
	for _, i := range b.instances {
		i.start(b)
	}
	for _, i := range b.instances {
		i.awaitLive(b)
	}
	b.product = b.stock()
	return b
}

func (b *backbone) newInstance() *instance {
	b.Helper()
	i := &instance{db: testkit.NewProxy(b, b.servers.Postgres().Addr()), out: &output{}}
	rabbitURL := b.env.RabbitURL
	if one := b.servers.Rabbit(); one != nil {
		i.mq = testkit.NewProxy(b, one.Addr())
		rabbitURL = strings.Replace(rabbitURL, one.Addr(), i.mq.Addr(), 1)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	i.url = "http://" + addr
	i.cmdLine = []string{
		"serve", "--http-addr", addr, "--jwt-secret", backboneSecret, "--refill-after", "2s", "--namespace", b.env.Namespace,
		"--postgres-url", strings.Replace(b.env.PostgresURL, b.servers.Postgres().Addr(), i.db.Addr(), 1),
		"--rabbitmq-url", rabbitURL,
		"--redis-url", b.env.RedisURL, "--sandbox-url", b.sandbox, "--sandbox-key", backboneKey,
	}
	b.Cleanup(func() {
		i.end(syscall.SIGKILL)
		if b.Failed() {
			b.Logf("%s said, at the end:\n%s", i.url, tail(i.out.String(), 4000))
		}
	})
	return i
}

func (i *instance) start(b *backbone) {
	b.Helper()
	cmd := program(context.WithoutCancel(b.Context()), b.TempDir(), i.cmdLine...)
	cmd.Stdout, cmd.Stderr = i.out, i.out
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	i.process, i.done = cmd.Process, make(chan error, 1)
	go func(done chan error) { done <- cmd.Wait() }(i.done)
}

// end stops it by a signal and waits until it is gone.
func (i *instance) end(by os.Signal) {
	if i.process != nil && i.process.Signal(by) == nil {
		fmt.Fprintln(i.out, "it ended:", <-i.done)
	}
	i.process = nil
}

// awaitLive waits until it answers. One that could not start, because Postgres was away, is started again, as whoever
// supervises it would.
func (i *instance) awaitLive(b *backbone) {
	b.Helper()
	testkit.Eventually(b, 3*time.Minute, func() error {
		select {
		case err := <-i.done:
			i.process = nil
			i.start(b)
			return fmt.Errorf("it ended: %w", err)
		default:
		}
		status, _, err := b.send(b.Context(), i, http.MethodGet, "/livez", nil, "")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
}

// send makes a request with a short patience.
func (b *backbone) send(ctx context.Context, to *instance, method, path string, body any, key string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil || body == nil { // what asks says nothing
		text = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, to.url+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// stock makes the product that everybody wants.
func (b *backbone) stock() string {
	b.Helper()
	body := map[string]any{"products": []map[string]any{
		{"sku": "MUG", "name": "Mug", "description": "", "unit_price_minor": 1275, "currency": "GBP", "stock": 1_000_000},
	}}
	status, answer, err := b.send(b.Context(), b.instances[0], http.MethodPost, "/api/v1/admin/products", body, "")
	var list struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"products"`
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(answer, &list) != nil || len(list.Items) != 1 {
		b.Fatalf("make a product: %d %s %v", status, answer, err)
	}
	return list.Items[0].ID
}

// buy is a customer who buys again and again, and asks again under the same key, here or there, until there is an answer.
func (b *backbone) buy(ctx context.Context, who int) {
	methods := []string{"pm_ok", "pm_ok", "pm_declined", "pm_flaky"}
	for n := 0; ctx.Err() == nil; n++ {
		key := fmt.Sprintf("%d/%d", who, n)
		b.count(&b.attempted)
		order := map[string]any{"payment_method": methods[n%len(methods)], "items": []map[string]any{{"product_id": b.product, "quantity": 1}}}
		for try := 0; b.Context().Err() == nil; try++ {
			// An order that was asked for is seen through, also when the drill is over.
			status, answer, err := b.send(context.WithoutCancel(ctx), b.instances[(who+try)%2], http.MethodPost, "/api/v1/orders", order, key)
			if err == nil && b.heed(key, status, answer) {
				break
			}
			b.count(&b.retried)
			pace(ctx)
		}
		pace(ctx)
	}
}

// pace is the customers' pause between two requests.
func pace(ctx context.Context) {
	select {
	case <-time.After(betweenOrders):
	case <-ctx.Done():
	}
}

func (b *backbone) count(n *int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*n++
}

// heed takes an answer, and says whether it was one.
func (b *backbone) heed(key string, status int, answer []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	var order struct {
		ID string `json:"id"`
	}
	switch {
	case status == http.StatusServiceUnavailable, status == http.StatusConflict && bytes.Contains(answer, []byte("idempotency-key-in-use")):
		return false
	case (status == http.StatusCreated || status == http.StatusAccepted) && json.Unmarshal(answer, &order) == nil && order.ID != "":
		b.acked[key] = order.ID
	default:
		b.unexpected = append(b.unexpected, fmt.Sprintf("%s: %d %s", key, status, answer))
	}
	return true
}
