package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// deliveryLimit is how often RabbitMQ hands out a message whose consumer dies of it. It is said because RabbitMQ 4 has
	// a small default, after which a message would be dropped; our own retries do not count towards it.
	deliveryLimit = 1000
	// unroutedLimit bounds what nobody binds. The outbox still has what falls out.
	unroutedLimit = 100_000
)

// Topology says which queue hears which facts. It is made from the strategies' tables.
type Topology struct {
	Namespace string              // prefix of every name
	Queues    map[string][]string // name of the queue, without the prefix, to its routing keys
	Lanes     map[string]Lane     // those of the queues that are lanes of a module
	Quiet     []string            // routing keys that no queue needs to be bound to
}

// Lane is what is special about a queue that is one of several of a module. It has one consumer at a time.
type Lane struct {
	Module string   // whose it is
	Not    []string // routing keys that it may have been bound to, and is not any more
}

// Module is whose a queue is: itself, but for lanes.
func (t Topology) Module(queue string) string {
	if lane, ok := t.Lanes[queue]; ok {
		return lane.Module
	}
	return queue
}

// Modules are all who hear, by name.
func (t Topology) Modules() []string {
	var modules []string
	for queue := range t.Queues {
		modules = append(modules, t.Module(queue))
	}
	slices.Sort(modules)
	return slices.Compact(modules)
}

// Keys are the routing keys that a module hears, by whichever queue.
func (t Topology) Keys(module string) []string {
	var keys []string
	for queue, bound := range t.Queues {
		if t.Module(queue) == module {
			keys = append(keys, bound...)
		}
	}
	return keys
}

// Exchange is the topic exchange that facts are published to.
func (t Topology) Exchange() string { return t.Namespace + ".events" }

// Unrouted is the exchange and the queue of what no queue is bound to.
func (t Topology) Unrouted() string { return t.Namespace + ".unrouted" }

// Dead is the queue of dead letters on their way to the table.
func (t Topology) Dead() string { return t.Namespace + ".dead" }

// Queue is the full name of a module's queue.
func (t Topology) Queue(name string) string { return t.Namespace + "." + name }

// declaring is the name of the turn of whoever declares or deletes queues.
func (t Topology) declaring() string { return t.Namespace + ".declaring" }

// names gives the full names of all queues, sorted.
func (t Topology) names() []string {
	names := []string{t.Dead(), t.Unrouted()}
	for name := range t.Queues {
		names = append(names, t.Queue(name))
	}
	slices.Sort(names)
	return names
}

// Declare makes all exchanges, queues and bindings that are not there yet. What is there with other properties stays as it is.
func Declare(ctx context.Context, cfg Config) error {
	l, err := dial(ctx, cfg, "topology")
	if err != nil {
		return err
	}
	defer l.close()
	return l.during(ctx, func() error { return l.declare(cfg) })
}

// declare makes the whole topology.
func (l *link) declare(cfg Config) error {
	return l.declareFor(cfg, slices.Sorted(maps.Keys(cfg.Topology.Queues))...)
}

// declareFor makes what belongs to no one module, and the queues of these. One declares at a time: a quorum queue is there before it
// works, and whoever declares it again, or consumes from it, in between is answered INTERNAL_ERROR, and can break it for good.
func (l *link) declareFor(cfg Config, modules ...string) error {
	return l.alone(cfg.Topology.declaring(), func() error { return l.declareHere(cfg, modules) })
}

const (
	turnPoll = 20 * time.Millisecond
	turnWait = 15 * time.Second
)

// turns has a *sync.Mutex for each name, so that of one process only one asks RabbitMQ for its turn.
var turns sync.Map

// alone does something while nobody else, whatever instance it is of, does something under this name: an exclusive queue belongs
// to one connection, and ends with it.
func (l *link) alone(name string, do func() error) error {
	turn, _ := turns.LoadOrStore(name, &sync.Mutex{})
	turn.(*sync.Mutex).Lock()
	defer turn.(*sync.Mutex).Unlock()
	for deadline := time.Now().Add(turnWait); ; time.Sleep(turnPoll) {
		ch, err := l.Channel()
		if err != nil {
			return fmt.Errorf("wait for a turn to declare: %w", err)
		}
		_, err = ch.QueueDeclare(name, false, false, true, false, nil)
		if err == nil {
			err = do()
			_, failed := ch.QueueDelete(name, false, false, false)
			return errors.Join(err, failed, ch.Close())
		}
		var refused *amqp.Error
		if !errors.As(err, &refused) || refused.Code != amqp.ResourceLocked || time.Now().After(deadline) {
			return fmt.Errorf("wait for a turn to declare: %w", err)
		}
	}
}
