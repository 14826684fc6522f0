package stack

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	slots       = 16384 // of every Redis Cluster
	leastNodes  = 3     // what Redis' own tool makes a cluster of
	mostNodes   = 9
	nodeTimeout = "2000" // ms after which the others take a master for failed
)

// master runs one of the masters of a Redis Cluster, with the settings of a single node and a second port on which the masters
// talk to each other. Clusters of different sizes have folders of their own: a slot of one belongs to another master of the next.
type master struct {
	program string
	number  int // from 0
	of      int
}

func (d *master) name() string        { return "redis-" + strconv.Itoa(d.number+1) }
func (d *master) portNames() []string { return []string{d.name(), d.name() + "-bus"} }
func (d *master) home() []string {
	return []string{"redis-cluster-" + strconv.Itoa(d.of), strconv.Itoa(d.number + 1)}
}

func (d *master) url(p place) string { return "redis://" + loopback(p.ports[d.name()]) + "/0" }

func (d *master) prepare(_ context.Context, p place) error {
	return errors.Join(p.makeDir(d.home()[0]), p.makeDir(d.home()...))
}

func (d *master) commands(p place) []command {
	c := redisCommand(d.name(), d.program, p.path(d.home()...), p.ports[d.name()])
	c.args = append(c.args, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", nodeTimeout,
		"--cluster-port", strconv.Itoa(p.ports[d.name()+"-bus"]))
	return []command{c}
}

// slots are the first and the last that this master has.
func (d *master) slots() (first, last int) {
	return d.number * slots / d.of, (d.number+1)*slots/d.of - 1
}

// cluster is the masters together. It is made by the same steps that repair it, so that a start that was killed half-way, or
// that had to take other ports, is finished by the next: a master without slots takes those that are its own, and all are
// introduced to each other under the addresses of today. What they remember of a whole cluster is left as it is.
type cluster struct {
	masters []*Server
}

// start brings all masters up and returns when every slot is served.
func (c cluster) start(ctx context.Context) error {
	errs := make([]error, len(c.masters))
	var wg sync.WaitGroup
	for i, m := range c.masters {
		wg.Go(func() { errs[i] = m.startAnywhere(ctx) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *Server, *goredis.Client) error{takeSlots, c.introduce} {
		for _, m := range c.masters {
			if err := onMaster(m, func(client *goredis.Client) error { return step(ctx, m, client) }); err != nil {
				return fmt.Errorf("make a cluster of %s: %w", m.Name(), err)
			}
		}
	}
	return c.await(ctx)
}

func onMaster(m *Server, do func(*goredis.Client) error) error {
	client := goredis.NewClient(&goredis.Options{
		Addr: m.Addr(), MaxRetries: -1, DialTimeout: pingPatience, ReadTimeout: pingPatience, PoolSize: 1, DisableIdentity: true, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return errors.Join(do(client), client.Close())
}

// takeSlots gives a master that has none those that are its own.
func takeSlots(ctx context.Context, m *Server, client *goredis.Client) error {
	nodes, err := client.ClusterNodes(ctx).Result()
	if err != nil {
		return err
	}
	for line := range strings.Lines(nodes) {
		// id address flags master pings pongs epoch link slots…
		if fields := strings.Fields(line); len(fields) > 8 && strings.Contains(fields[2], "myself") {
			return nil
		}
	}
	d := m.driver.(*master)
	if err := client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", d.number+1).Err(); err != nil && !strings.Contains(err.Error(), "config epoch is already non-zero") {
		return err
	}
	first, last := d.slots()
	return client.ClusterAddSlotsRange(ctx, first, last).Err()
}

// introduce tells a master where the others are. Those that it knows are not changed by that.
func (c cluster) introduce(ctx context.Context, m *Server, client *goredis.Client) error {
	for _, other := range c.masters {
		if other == m {
			continue
		}
		ports := other.place().ports
		if err := client.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", ports[other.Name()], ports[other.Name()+"-bus"]).Err(); err != nil {
			return err
		}
	}
	return nil
}

// await returns when every master says that all slots are served. A master that has just started takes no writes for two
// seconds: Redis has it so.
func (c cluster) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for _, m := range c.masters {
		for {
			err := onMaster(m, func(client *goredis.Client) error { return c.whole(ctx, client) })
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("the cluster is not whole for %s (%w): %w", m.Name(), err, context.Cause(ctx))
			case <-time.After(readyInterval):
			}
		}
	}
	return nil
}

func (c cluster) whole(ctx context.Context, client *goredis.Client) error {
	info, err := client.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	for _, want := range []string{"cluster_state:ok", fmt.Sprintf("cluster_slots_ok:%d", slots), fmt.Sprintf("cluster_known_nodes:%d", len(c.masters))} {
		if !strings.Contains(info, want+"\r\n") {
			return fmt.Errorf("not %s", want)
		}
	}
	return nil
}

// url names every master, so that clients take it for a cluster.
func (c cluster) url() string {
	urls := make([]string, len(c.masters))
	for i, m := range c.masters {
		urls[i] = m.URL()
	}
	return strings.Join(urls, ",")
}
