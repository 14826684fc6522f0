package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// The nodes of a RabbitMQ cluster share an epmd and a cookie, and find each other by name, so that their ports may change between
// two runs. Clusters of different sizes have folders of their own.

const (
	fewestNodes = 3 // a quorum that one may be missing from
	mostRabbits = 9
)

// nodesFolder is where a cluster of so many nodes lives.
func nodesFolder(of int) string { return "rabbitmq-cluster-" + strconv.Itoa(of) }

// mapper runs the nodes' epmd, which outlives each of them.
type mapper struct {
	program string
	of      int
}

func (*mapper) name() string        { return "epmd" }
func (*mapper) portNames() []string { return []string{"epmd"} }
func (*mapper) url(p place) string  { return "epmd://" + loopback(p.ports["epmd"]) }

func (d *mapper) prepare(_ context.Context, p place) error {
	return writeCookie(p, nodesFolder(d.of), "home")
}

func (d *mapper) commands(p place) []command {
	return []command{epmdCommand(d.program, p.ports["epmd"], p.path(nodesFolder(d.of)))}
}

// rabbitNode runs one node of a cluster.
type rabbitNode struct {
	bin    string
	number int // from 0
	of     int
	mapper func() *Server
	home   string // see prepareNode; known once prepared
}

func (d *rabbitNode) name() string        { return "rabbitmq-" + strconv.Itoa(d.number+1) }
func (d *rabbitNode) portNames() []string { return []string{d.name(), d.name() + "-dist"} }
func (d *rabbitNode) url(p place) string {
	return "amqp://guest:guest@" + loopback(p.ports[d.name()]) + "/"
}

func (d *rabbitNode) folder() []string {
	return []string{nodesFolder(d.of), strconv.Itoa(d.number + 1)}
}

// nodeName is what Erlang calls the node of a number from 0.
func nodeName(number int) string { return "rabbit-" + strconv.Itoa(number+1) + "@localhost" }

func (d *rabbitNode) prepare(_ context.Context, p place) (err error) {
	d.home, err = prepareNode(p, d.bin, d.settings(), d.folder()...)
	return err
}

// settings let every other node join the first when its data is empty. One that is cut off from most of the others does nothing.
func (d *rabbitNode) settings() string {
	settings := rabbitSettings + ",{cluster_partition_handling,pause_minority}"
	if d.number > 0 {
		settings += fmt.Sprintf(",{cluster_nodes,{['%s','%s'],disc}}", nodeName(0), nodeName(d.number))
	}
	return settings
}

// tick makes the nodes notice in 8 seconds, instead of 60, that one of them is frozen.
const tick = " -kernel net_ticktime 8"

func (d *rabbitNode) commands(p place) []command {
	n := erlang{
		name: nodeName(d.number), amqp: p.ports[d.name()], dist: p.ports[d.name()+"-dist"], epmd: d.mapper().place().ports["epmd"],
		dir: p.path(d.folder()...), home: p.path(nodesFolder(d.of), "home"), slim: d.home, args: tick,
	}
	return []command{n.command(d.name(), d.bin, d.url(p))}
}

// rabbits is the nodes together.
type rabbits struct {
	mapper *Server
	nodes  []*Server
}

// start brings all nodes up. The first start makes the cluster: the first node alone, the others join it. Later ones start all at
// the same time, since each may wait for what another knows. A first start that was killed half-way is begun again: nobody has
// been given the address of what it made.
func (c rabbits) start(ctx context.Context) error {
	if len(c.nodes) == 0 {
		return nil
	}
	if err := c.mapper.startAnywhere(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(c.whole()); err == nil {
		return c.startAll(ctx)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := c.forget(); err != nil {
		return err
	}
	if err := c.nodes[0].startAnywhere(ctx); err != nil {
		return err
	}
	if err := c.startAll(ctx); err != nil {
		return err
	}
	if err := c.complete(); err != nil {
		return err
	}
	return os.WriteFile(c.whole(), nil, 0o644)
}

func (c rabbits) startAll(ctx context.Context) error {
	errs := make([]error, len(c.nodes))
	var wg sync.WaitGroup
	for i, n := range c.nodes {
		wg.Go(func() { errs[i] = n.startAnywhere(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// whole is the file that says that the cluster was made.
func (c rabbits) whole() string { return c.mapper.folder.path(nodesFolder(len(c.nodes)), "whole") }

func mnesia(n *Server) string {
	return n.folder.path(append(n.driver.(*rabbitNode).folder(), "mnesia")...)
}

func (c rabbits) forget() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, os.RemoveAll(mnesia(n)))
	}
	return errors.Join(errs...)
}

// complete fails when a node does not know of all: it could not reach the first, and began a cluster of its own.
func (c rabbits) complete() error {
	for i, n := range c.nodes {
		known, err := os.ReadFile(filepath.Join(mnesia(n), nodeName(i), "cluster_nodes.config"))
		if err != nil {
			return fmt.Errorf("see which nodes %s knows: %w", n.Name(), err)
		}
		for other := range c.nodes {
			if !bytes.Contains(known, []byte(nodeName(other))) {
				return fmt.Errorf("%s has not joined the others, it knows %s", n.Name(), bytes.TrimSpace(known))
			}
		}
	}
	return nil
}

// url names every node.
func (c rabbits) url() string {
	urls := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		urls[i] = n.URL()
	}
	return strings.Join(urls, ",")
}
