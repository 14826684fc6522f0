package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/failpoint"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// instanceVariable makes a copy of this test program an instance that kills itself.
const instanceVariable = "HOLDFAST_TEST_INSTANCE"

// instance says with which configuration it runs, and which file names the point at which it dies.
type instance struct {
	Config config.Config
	DieAt  string
}

func runInstance() int {
	var i instance
	err := json.Unmarshal([]byte(os.Getenv(instanceVariable)), &i)
	if err == nil {
		failpoint.Arm(i.reach)
		err = app.Serve(context.Background(), i.Config, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	}
	fmt.Fprintln(os.Stderr, "the instance ended:", err)
	return 1
}

// reach dies at the point that the file names; the file goes with it, so that the next instance lives.
func (i instance) reach(point string) {
	if wanted, err := os.ReadFile(i.DieAt); err != nil || string(wanted) != point {
		return
	}
	if os.Remove(i.DieAt) == nil {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}

// mortal is an instance in a process of its own, started again whenever it was killed.
type mortal struct {
	*shop
	dieAt string
	cmd   *exec.Cmd
}

// processes puts the shop's instance into a process of its own, at a fixed address.
func (s *shop) processes() *mortal {
	s.t.Helper()
	s.stop()
	s.cfg.HTTPAddr = strings.TrimPrefix(s.url, "http://")
	m := &mortal{shop: s, dieAt: filepath.Join(s.t.TempDir(), "die-at")}
	m.start()
	s.t.Cleanup(func() { _ = m.cmd.Process.Kill(); _ = m.cmd.Wait() })
	return m
}

func (m *mortal) start() {
	m.t.Helper()
	spec, err := json.Marshal(instance{m.cfg, m.dieAt})
	if err != nil {
		m.t.Fatal(err)
	}
	m.cmd = exec.Command(os.Args[0])
	m.cmd.Env = append(os.Environ(), instanceVariable+"="+string(spec))
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m.cmd.Stderr = os.Stderr
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	testkit.Eventually(m.t, time.Minute, func() error {
		a, err := m.customer("x").send(http.MethodGet, "/products", nil)
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("%d", a.status)
		}
		return err
	})
}

// diesAt does something during which the instance is killed at that point, and starts it again.
func (m *mortal) diesAt(point string, during func()) {
	m.t.Helper()
	if err := os.WriteFile(m.dieAt, []byte(point), 0o600); err != nil {
		m.t.Fatal(err)
	}
	dead := make(chan error, 1)
	go func() { dead <- m.cmd.Wait() }()
	during()
	select {
	case err := <-dead:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			m.t.Fatalf("at %q: %v", point, err)
		}
	case <-time.After(time.Minute):
		m.t.Fatalf("the point %q was not reached", point)
	}
	m.start()
}

// crash is a point to die at while an order is bought with a payment method or, when it is complete, cancelled.
type crash struct {
	point, method string
	cancel        bool
	short         bool // in the suite too; the others are drilled
}

// crashes are all points between an intent, the call to the provider and the commit of its outcome, and around them.
var crashes = []crash{
	{point: "placing", method: "pm_ok"},
	{point: "placed", method: "pm_ok", short: true},
	{point: "hearing inventory Reserve", method: "pm_ok"},
	{point: "heard inventory Reserve", method: "pm_ok"},
	{point: "hearing payment Charge", method: "pm_ok"},
	{point: "intending charge", method: "pm_ok"},
	{point: "heard payment Charge", method: "pm_ok"},
	{point: "asking charge", method: "pm_ok"},
	{point: "asked charge", method: "pm_ok", short: true},
	{point: "settling", method: "pm_ok", short: true},
	{point: "settled", method: "pm_ok"},
	{point: "asked charge", method: "pm_timeout_after_charge"},
	{point: "asking lookup", method: "pm_timeout_after_charge"},
	{point: "asked lookup", method: "pm_timeout_after_charge"},
	{point: "asked charge", method: "pm_declined"},
	{point: "hearing order Advance", method: "pm_ok"},
	{point: "heard order Advance", method: "pm_ok"},
	{point: "heard view View", method: "pm_ok"},
	{point: "hearing shelf Settle", method: "pm_ok"},
	{point: "heard shelf Settle", method: "pm_ok"},
	{point: "cancelling", method: "pm_ok", cancel: true},
	{point: "cancelled", method: "pm_ok", cancel: true},
	{point: "hearing inventory Release", method: "pm_ok", cancel: true},
	{point: "heard inventory Release", method: "pm_ok", cancel: true},
	{point: "hearing payment GiveBack", method: "pm_ok", cancel: true},
	{point: "intending give back", method: "pm_ok", cancel: true},
	{point: "heard payment GiveBack", method: "pm_ok", cancel: true},
	{point: "asking refund", method: "pm_ok", cancel: true},
	{point: "asked refund", method: "pm_ok", cancel: true, short: true},
	{point: "settling", method: "pm_ok", cancel: true},
	{point: "settled", method: "pm_ok", cancel: true},
	{point: "heard order Settle", method: "pm_ok", cancel: true},
}

// An instance is killed with -9 at each point, one after the other. The request that was under way is sent again under its key
// and gives the one order that there is; what was under way is taken up and ends with one charge, or one charge and one refund.
// A lease that the dead have left is waited for at the end, once for all.
func TestDrillKilledAtEachPoint(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := open(t, strategy(way))
			mug := s.product("MUG", 1275, 1000)
			m := s.processes()
			alice := s.customer("alice")
			want := map[string]string{}
			for i, c := range crashes {
				if !c.short && testkit.Size(0, 1) == 0 {
					continue
				}
				id, end := m.survives(alice, c, fmt.Sprint(i), mug)
				want[id] = end
			}
			for id, status := range want {
				if o := alice.end(id); o.Status != status {
					t.Errorf("%+v, want %s", o, status)
				}
			}
			s.clean()
			var orders int
			if err := s.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM orders.orders`).Scan(&orders); err != nil || orders != len(want) {
				t.Errorf("%d orders of %d requests, %v", orders, len(want), err)
			}
		})
	}
}

// survives buys, and cancels, while the instance dies, and gives the order with the end that it is to have.
func (m *mortal) survives(c customer, at crash, key, product string) (id, end string) {
	m.t.Helper()
	post := func() (o order, err error) {
		a, err := c.send(http.MethodPost, "/orders", buyNow(product, 1, at.method), "Idempotency-Key", key)
		if err == nil && a.status/100 != 2 {
			return o, fmt.Errorf("%d %s", a.status, a.body) // the dead may still have the key's lock, for seconds
		}
		if err == nil {
			err = json.Unmarshal(a.body, &o)
		}
		return o, err
	}
	if at.cancel {
		o := c.buy(key, buyNow(product, 1, at.method))
		cancel := func() (answer, error) { return c.send(http.MethodPost, "/orders/"+o.ID+"/cancel", nil) }
		m.diesAt(at.point, func() { _, _ = cancel() }) // it may well be lost
		if a, err := cancel(); err != nil || a.status != http.StatusAccepted {
			m.t.Errorf("killed %s, and cancelled again: %d %s, %v", at.point, a.status, a.body, err)
		}
		return o.ID, "CANCELLED"
	}
	var first order
	m.diesAt(at.point, func() { first, _ = post() })
	var o order
	testkit.Eventually(m.t, time.Minute, func() (err error) { o, err = post(); return err })
	if first.ID != "" && first.ID != o.ID {
		m.t.Errorf("killed %s: order %q, then %q", at.point, first.ID, o.ID)
	}
	if at.method == "pm_declined" {
		return o.ID, "FAILED"
	}
	return o.ID, "COMPLETED"
}

// A provider declines, errs, answers late or never, and tells of it late, repeatedly and out of order, while the instance is killed
// again and again and some customers cancel: every order comes to its end, and the audit finds the money of each where its end says.
func TestDrillFaultyProvider(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := open(t, strategy(way))
			s.stopProvider()
			s.faults, s.seed = sandbox.Faults{Decline: 0.1, Error: 0.1, Drop: 0.05, Late: 0.05}, testkit.Seed(t)
			s.hooks = sandbox.Webhooks{
				URL: s.url + "/api/v1/webhooks/payments/sandbox", Secret: hookSecret, Delay: -1, LateBy: time.Second,
				Late: 0.05, Repeat: 0.3, Reorder: 0.3,
			}
			s.startProvider(strings.TrimPrefix(s.cfg.SandboxURL, "http://"))
			mug := s.product("MUG", 1275, 1_000_000)
			m := s.processes()
			orders := testkit.Size(40, 20_000)
			ids := make(chan string, orders)
			var wg sync.WaitGroup
			atOnce := make(chan struct{}, 20)
			wg.Go(func() {
				for i := range orders {
					atOnce <- struct{}{}
					wg.Go(func() {
						defer func() { <-atOnce }()
						ids <- s.customer(fmt.Sprint("customer ", i)).insists(mug, i%10 == 0)
					})
				}
			})
			for life := testkit.Size(1, 20); ; {
				select {
				case <-time.After(time.Duration(life) * time.Second):
				case <-t.Context().Done():
				}
				_ = m.cmd.Process.Kill()
				_ = m.cmd.Wait()
				m.start()
				if len(ids) == orders || testkit.Size(0, 1) == 0 {
					break
				}
			}
			wg.Wait()
			ends := map[string]int{}
			close(ids)
			n := 0
			for id := range ids {
				ends[s.customerOf(id).end(id).Status]++
				n++
			}
			t.Log(ends)
			if n != orders || ends["COMPLETED"] == 0 || ends["CANCELLED"] == 0 {
				t.Errorf("%v of %d orders", ends, orders)
			}
			s.clean()
			s.allTold()
		})
	}
}

// allTold wants the provider to be rid of the webhooks of all that it did.
func (s *shop) allTold() {
	s.t.Helper()
	testkit.Eventually(s.t, time.Minute, func() error {
		ledger, err := os.ReadFile(s.ledger)
		if err != nil {
			return err
		}
		told, err := os.ReadFile(s.ledger + ".told")
		entries := bytes.Count(ledger, []byte("\n")) - bytes.Count(ledger, []byte(`"kind":"close"`))
		if marks := bytes.Count(told, []byte("\n")) - 1; err == nil && marks != entries {
			err = fmt.Errorf("%d of %d entries were taken", marks, entries)
		}
		return err
	})
}

// insists buys, and cancels if it is to, and asks again until it is answered.
func (c customer) insists(product string, cancel bool) (id string) {
	var o order
	ask := func(path string, body any) {
		testkit.Eventually(c.shop.t, 2*time.Minute, func() error {
			a, err := c.send(http.MethodPost, path, body, "Idempotency-Key", "k")
			if err == nil && (a.status/100 == 2 || a.status == http.StatusConflict && strings.Contains(string(a.body), "/problems/conflict")) {
				if o.ID == "" {
					return json.Unmarshal(a.body, &o)
				}
				return nil
			}
			return fmt.Errorf("%d %s, %w", a.status, a.body, err)
		})
	}
	ask("/orders", buyNow(product, 1, "pm_ok"))
	if cancel {
		ask("/orders/"+o.ID+"/cancel", nil)
	}
	return o.ID
}

// customerOf is the customer of an order.
func (s *shop) customerOf(id string) customer {
	s.t.Helper()
	var sub string
	if err := s.env.DB.QueryRow(s.t.Context(), `SELECT customer FROM orders.orders WHERE id = $1`, id).Scan(&sub); err != nil {
		s.t.Fatal(err)
	}
	return s.customer(sub)
}
