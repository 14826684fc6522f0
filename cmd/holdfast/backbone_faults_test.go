package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// ailment is one thing that goes wrong, and how it ends.
type ailment struct {
	name   string
	strike func() (heal func())
	last   time.Duration // before it is healed
}

// young is the age up to which RabbitMQ 3.10 may forget a queue whose node is killed; see stack.Server.Kill.
const young = 8 * time.Second

func (b *backbone) faults(random *rand.Rand) []ailment {
	postgres, rabbit := b.servers.Postgres(), b.servers.Rabbit()
	revive := func(s *stack.Server) func() func() {
		return func() func() {
			s.Kill()
			return func() {
				if err := s.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	freeze := func(s *stack.Server) func() func() {
		return func() func() { s.Pause(); return s.Resume }
	}
	cut := func(p func(*instance) *testkit.Proxy) func() func() {
		return func() func() { w := p(b.reader()); w.Cut(); return func() { w.Heal(); w.Drop() } }
	}
	db, mq := func(i *instance) *testkit.Proxy { return i.db }, func(i *instance) *testkit.Proxy { return i.mq }
	queue := func() string {
		modules := []string{"order", "inventory", "payment", "view", "shelf"}
		return b.env.Namespace + "." + modules[random.IntN(len(modules))]
	}
	second := func(most int) time.Duration {
		return time.Duration(500+random.IntN(500*testkit.Size(2, 2*most))) * time.Millisecond
	}
	all := []ailment{
		{"postgres killed", revive(postgres), second(2)},
		{"postgres frozen", freeze(postgres), second(8)},
		{"postgres cut from the reader", cut(db), second(20)},
		{"rabbitmq killed", b.unlessYoung(revive(rabbit), freeze(rabbit)), second(3)},
		{"rabbitmq frozen", freeze(rabbit), second(15)},
		{"rabbitmq cut from the reader", cut(mq), second(20)},
		{"connections to rabbitmq dropped", func() func() { b.reader().mq.Drop(); return func() {} }, second(1)},
		{"queue purged", b.rob(queue, func(ch *amqp.Channel, queue string) error { _, err := ch.QueuePurge(queue, false); return err }), second(1)},
		{"queue deleted", b.rob(queue, func(ch *amqp.Channel, queue string) error {
			b.robbed = time.Now()
			_, err := ch.QueueDelete(queue, false, false, false)
			return err
		}), second(2)},
		{"reader killed", func() func() {
			i := b.reader()
			i.end(syscall.SIGKILL)
			return func() { i.start(b); i.awaitLive(b) }
		}, second(5)},
		{"reader frozen", func() func() {
			process := b.reader().process
			_ = process.Signal(syscall.SIGSTOP)
			return func() { _ = process.Signal(syscall.SIGCONT) }
		}, second(20)},
	}
	if testkit.Size(0, 1) == 1 { // rabbitmqctl starts a whole Erlang: the suite leaves that to the publisher's own test
		all = append(all, ailment{"rabbitmq out of memory", b.alarm, second(10)})
	}
	return all
}

// do lets one thing go wrong, for a while.
func (b *backbone) do(a ailment) {
	b.Helper()
	b.Logf("%s, for %s", a.name, a.last)
	b.happened[a.name]++
	heal := a.strike()
	select {
	case <-time.After(a.last): // the fault's length, and nothing that is waited for
	case <-b.Context().Done():
	}
	heal()
}

// reader is the instance that reads the outbox, or the first one when nobody says that he does.
func (b *backbone) reader() *instance {
	for _, i := range b.instances {
		var status struct {
			Outbox struct {
				Leading bool `json:"leading"`
			} `json:"outbox"`
		}
		code, answer, err := b.send(b.Context(), i, http.MethodGet, "/api/v1/admin/status", nil, "")
		if err == nil && code == http.StatusOK && json.Unmarshal(answer, &status) == nil && status.Outbox.Leading {
			return i
		}
	}
	return b.instances[0]
}

// unlessYoung does the other thing while a queue is younger than RabbitMQ 3.10 remembers over a kill.
func (b *backbone) unlessYoung(one, other func() func()) func() func() {
	return func() func() {
		if time.Since(b.robbed) < young {
			b.Log("not killed but frozen: a queue is young")
			return other()
		}
		return one()
	}
}

// rob does something to a queue, behind everybody's back.
func (b *backbone) rob(which func() string, do func(*amqp.Channel, string) error) func() func() {
	return func() func() {
		conn, err := amqp.Dial(b.env.RabbitURL)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		ch, err := conn.Channel()
		if err != nil {
			b.Fatal(err)
		}
		if err := do(ch, which()); err != nil {
			b.Logf("not robbed: %v", err) // the queue is not made again yet
		}
		return func() {}
	}
}

// alarm lets RabbitMQ believe that its memory is full.
func (b *backbone) alarm() func() {
	pid := b.servers.Rabbit().PID()
	testkit.RabbitMemory(b, pid, "{absolute, 1}")
	return func() { testkit.RabbitMemory(b, pid, "0.4") }
}

// progress waits until somebody has bought something since: after each fault the shop comes back.
func (b *backbone) progress() {
	b.Helper()
	from := b.bought()
	testkit.Eventually(b, 3*time.Minute, func() error {
		if b.bought() == from {
			return fmt.Errorf("nobody could buy since; %d did before", from)
		}
		return nil
	})
}

func (b *backbone) bought() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.acked)
}

// calm waits until both instances answer.
func (b *backbone) calm() {
	b.Helper()
	for _, i := range b.instances {
		i.awaitLive(b)
	}
}

// judge waits for the end of every order, has everything audited, and prints what came of it.
func (b *backbone) judge(seed uint64) {
	b.Helper()
	testkit.Eventually(b, 3*time.Minute, func() error {
		return b.only("orders have not ended", `SELECT count(*) FROM orders.orders WHERE ended_at IS NULL`)
	})
	report := filepath.Join(b.TempDir(), "audit.json")
	out := &output{}
	audit := program(b.Context(), b.TempDir(), "audit", "--wait", "2m", "--cooldown", fmt.Sprintf("%ds", testkit.Size(4, 10)), "--report", report, "--postgres-url", b.env.PostgresURL,
		"--redis-url", b.env.RedisURL, "--rabbitmq-url", b.env.RabbitURL, "--namespace", b.env.Namespace, "--sandbox-url", b.sandbox, "--sandbox-key", backboneKey)
	audit.Stdout, audit.Stderr = out, out
	err := audit.Run()
	if err != nil {
		b.Errorf("the audit: %v\n%s", err, out)
	}
	ids := make([]string, 0, len(b.acked))
	for _, id := range b.acked {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	double := len(ids) - len(slices.Compact(slices.Clone(ids)))
	lost := b.number(`SELECT count(*) FROM unnest($1::uuid[]) AS a(id) WHERE NOT EXISTS (SELECT FROM orders.orders o WHERE o.id = a.id)`, ids)
	orders := b.number(`SELECT count(*) FROM orders.orders`)
	for name, n := range map[string]int{
		"orders acknowledged and lost": lost, "orders acknowledged twice": double, "orders made of nothing": max(0, orders-b.attempted),
		"unexpected answers": len(b.unexpected), "attempts without an answer": b.attempted - len(b.acked) - len(b.unexpected),
		"dead letters": b.number(`SELECT count(*) FROM shared.dead_letters`),
	} {
		if n != 0 {
			b.Errorf("%d %s", n, name)
		}
	}
	b.table(seed, orders, lost, double)
}

// table prints the run.
func (b *backbone) table(seed uint64, orders, lost, double int) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "seed\tattempted\tacknowledged\tasked again\tlost\tduplicated\trecovered\tunexpected\tfacts said\theard\n")
	fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", seed, b.attempted, len(b.acked), b.retried, lost, double+max(0, orders-b.attempted),
		b.number(`SELECT coalesce(sum(facts), 0) FROM shared.refills`), len(b.unexpected),
		b.number(`SELECT count(*) FROM shared.outbox`), b.number(`SELECT count(DISTINCT fact_id) FROM shared.inbox`))
	_ = w.Flush()
	for _, u := range b.unexpected {
		fmt.Fprintln(&text, "unexpected:", u)
	}
	names := make([]string, 0, len(b.happened))
	for name, n := range b.happened {
		names = append(names, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(names)
	b.Logf("\n%sfaults: %s", text.String(), strings.Join(names, ", "))
	if keep := os.Getenv("HOLDFAST_TEST_KEEP"); keep != "" {
		_ = os.WriteFile(filepath.Join(keep, fmt.Sprintf("backbone-%d.txt", seed)), []byte(text.String()), 0o644)
	}
}

func (b *backbone) number(query string, args ...any) (n int) {
	b.Helper()
	if err := b.env.DB.QueryRow(b.Context(), query, args...).Scan(&n); err != nil {
		b.Fatal(err)
	}
	return n
}

// only is an error while a count is not 0.
func (b *backbone) only(what, query string) error {
	var n int
	err := b.env.DB.QueryRow(b.Context(), query).Scan(&n)
	if err == nil && n > 0 {
		err = fmt.Errorf("%d %s", n, what)
	}
	return err
}
