//go:build drill

package main

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// nodesTime is how long nodes are killed and frozen; each fault comes once at least.
func nodesTime() time.Duration { return time.Duration(testkit.Size(1, 240)) * time.Second }

// Of three RabbitMQ nodes the one that leads a queue is killed under load and started again, then another, then most of them and all:
// nothing is lost and nothing done twice, and while one is away people buy, and their orders end. It is not run beside the other
// drills: three nodes want the machine for themselves.
func TestDrillNodes(t *testing.T) {
	seed := testkit.Seed(t)
	b := newBackbone(t, testkit.PrivateNodes(t))
	stop := b.open()
	b.ends()
	b.spread()
	faults := b.nodeFaults(rand.New(rand.NewPCG(seed, 0)))
	testkit.Eventually(b, 3*time.Minute, func() bool { return time.Since(b.robbed) > young })
	for began, n := time.Now(), 0; n < len(faults) || time.Since(began) < nodesTime(); n++ {
		b.do(faults[n%len(faults)])
		b.ends()
	}
	b.calm()
	stop()
	b.judge(seed)
	b.spread()
}

// nodeFaults are what happens to nodes. After each all of them run.
func (b *backbone) nodeFaults(random *rand.Rand) []ailment {
	nodes := b.servers.RabbitNodes()
	leader := func() *stack.Server {
		modules := []string{"order", "inventory", "payment", "view", "shelf"}
		queue := b.env.Namespace + "." + modules[random.IntN(len(modules))]
		return nodes[testkit.RabbitQuorum(b, nodes[0].PID(), queue)[queue].Leader]
	}
	kill := func(which func() []*stack.Server) func() func() {
		return func() func() {
			victims := which()
			for _, n := range victims {
				b.Log("killed", n.Name())
				n.Kill()
			}
			return func() { b.revive(victims) }
		}
	}
	return []ailment{
		{"leader killed", func() func() {
			heal := kill(func() []*stack.Server { return []*stack.Server{leader()} })()
			b.ends() // of the two that are left
			return heal
		}, time.Second},
		{"another killed", kill(func() []*stack.Server { return []*stack.Server{nodes[random.IntN(len(nodes))]} }), 2 * time.Second},
		{"leader killed as it comes back", func() func() {
			one := leader()
			one.Kill()
			b.revive([]*stack.Server{one})
			return kill(func() []*stack.Server { return []*stack.Server{one} })()
		}, time.Second},
		{"leader frozen", func() func() { n := leader(); n.Pause(); return n.Resume }, 4 * time.Second},
		{"leader frozen until the others give it up", func() func() { n := leader(); n.Pause(); return n.Resume }, 15 * time.Second},
		{"most killed", kill(func() []*stack.Server { return nodes[:2] }), 3 * time.Second},
		{"all killed", kill(func() []*stack.Server { return nodes }), 2 * time.Second},
	}
}

// revive starts nodes, all at the same time: one may wait for what another knows.
func (b *backbone) revive(nodes []*stack.Server) {
	b.Helper()
	errs := make(chan error, len(nodes))
	for _, n := range nodes {
		go func() { errs <- n.Start(b.Context()) }()
	}
	for range nodes {
		if err := <-errs; err != nil {
			b.Error(err)
		}
	}
}

var errNoneEnded = errors.New("no order that was made since has ended")

// ends waits until an order that is asked for from now on has ended.
func (b *backbone) ends() {
	b.Helper()
	var from time.Time
	if err := b.env.DB.QueryRow(b.Context(), `SELECT clock_timestamp()`).Scan(&from); err != nil {
		b.Fatal(err)
	}
	testkit.Eventually(b, 2*time.Minute, func() error {
		var n int
		err := b.env.DB.QueryRow(b.Context(), `SELECT count(*) FROM orders.orders WHERE created_at > $1 AND ended_at IS NOT NULL`, from).Scan(&n)
		if err == nil && n == 0 {
			err = errNoneEnded
		}
		return err
	})
}

// spread wants every queue to be kept by all nodes.
func (b *backbone) spread() {
	b.Helper()
	var queues []string
	for _, name := range []string{"order", "inventory", "payment", "view", "shelf", "dead", "unrouted"} {
		queues = append(queues, b.env.Namespace+"."+name)
	}
	leaders := map[int]int{}
	for name, q := range testkit.RabbitQuorum(b, b.servers.RabbitNodes()[0].PID(), queues...) {
		if !slices.Equal(q.Members, []int{0, 1, 2}) {
			b.Errorf("%s is kept by nodes %d", name, q.Members)
		}
		leaders[q.Leader]++
	}
	b.Logf("leaders by node: %v", leaders)
}
