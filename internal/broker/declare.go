package broker

import (
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// What is there is taken as it is, whatever its arguments are: RabbitMQ refuses to change them, and an instance of another version,
// or one that was set up by hand, must not stop every fact for the sake of one queue. What differs is noted, by a declaration
// that is made only to be compared; see differs.go. It is made anew by Rebuild alone.

// moreArguments of the modules' queues are those that only a build with the tag nextbuild has, for trying two versions side by side.
var moreArguments amqp.Table

// declareHere makes what is not there.
func (l *link) declareHere(cfg Config, modules []string) error {
	if err := l.whole(func() error { return l.declareCommon(cfg) }); err != nil {
		return err
	}
	for _, name := range modules {
		if err := l.whole(func() error { return l.declareQueue(cfg, name) }); err != nil {
			return err
		}
	}
	return nil
}

// declareCommon makes what does not belong to one module: the exchanges, the queue of the unrouted and the dead letters.
func (l *link) declareCommon(cfg Config) error {
	t := cfg.Topology
	if err := l.ensureExchange(cfg, t.Unrouted(), amqp.ExchangeFanout, nil); err != nil {
		return err
	}
	for _, name := range []string{t.Unrouted(), t.Dead()} {
		if _, err := l.ensureQueue(cfg, name, commonArguments(t, name)); err != nil {
			return err
		}
	}
	bind := func(ch *amqp.Channel) error { return ch.QueueBind(t.Unrouted(), "", t.Unrouted(), false, nil) }
	if err := l.on(bind); err != nil {
		return fmt.Errorf("bind queue %s: %w", t.Unrouted(), err)
	}
	return l.ensureExchange(cfg, t.Exchange(), amqp.ExchangeTopic, amqp.Table{"alternate-exchange": t.Unrouted()})
}

// commonArguments are those of the queues that belong to no one module.
func commonArguments(t Topology, queue string) amqp.Table {
	if queue == t.Dead() {
		return amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": 1000 * deliveryLimit}
	}
	return amqp.Table{"x-queue-type": "quorum", "x-max-length": unroutedLimit, "x-overflow": "drop-head"}
}

// arguments are those of a module's queue.
func arguments(t Topology, name string) amqp.Table {
	args := amqp.Table{
		"x-queue-type":              "quorum",
		"x-delivery-limit":          deliveryLimit,
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": t.Dead(),
		"x-dead-letter-strategy":    "at-least-once",  // a message leaves the queue when the dead letters have it
		"x-overflow":                "reject-publish", // which that strategy asks for; no queue has a limit
	}
	if _, lane := t.Lanes[name]; lane {
		args["x-single-active-consumer"] = true
	}
	for key, value := range moreArguments {
		args[key] = value
	}
	return args
}

// declareQueue makes a module's queue and its bindings.
func (l *link) declareQueue(cfg Config, name string) error {
	queue := cfg.Topology.Queue(name)
	made, err := l.ensureQueue(cfg, queue, arguments(cfg.Topology, name))
	if err != nil {
		return err
	}
	if err := l.on(func(ch *amqp.Channel) error { return bind(ch, cfg.Topology, name, made) }); err != nil {
		return err
	}
	if made && cfg.Anew != nil {
		cfg.Anew(queue)
	}
	return nil
}

// bind binds a module's queue. A new one has no bindings of former times.
func bind(ch *amqp.Channel, t Topology, name string, made bool) error {
	queue := t.Queue(name)
	// Without an answer to each: a refusal closes the channel, and the one who is asked last says why.
	for _, key := range t.Queues[name] {
		if err := ch.QueueBind(queue, key, t.Exchange(), true, nil); err != nil {
			return fmt.Errorf("bind queue %s to %s: %w", queue, key, err)
		}
	}
	if _, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil); err != nil {
		return fmt.Errorf("bind queue %s: %w", queue, err)
	}
	if made {
		return nil
	}
	for _, key := range t.Lanes[name].Not {
		if err := ch.QueueUnbind(queue, key, t.Exchange(), nil); err != nil {
			return fmt.Errorf("unbind queue %s from %s: %w", queue, key, err)
		}
	}
	return nil
}

// ensureQueue makes a queue that is not there, and says so, since RabbitMQ does not tell. One that is there is compared.
func (l *link) ensureQueue(cfg Config, queue string, args amqp.Table) (made bool, err error) {
	before, err := l.depth(queue)
	if err != nil {
		return false, err
	}
	differs, err := l.refused(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(queue, true, false, false, false, args)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("declare queue %s: %w", queue, err)
	}
	cfg.note(queue, differs)
	return before.Missing && differs == "", nil
}

// ensureExchange makes an exchange that is not there, and compares one that is.
func (l *link) ensureExchange(cfg Config, name, kind string, args amqp.Table) error {
	differs, err := l.refused(func(ch *amqp.Channel) error { return ch.ExchangeDeclare(name, kind, true, false, false, false, args) })
	if err != nil {
		return fmt.Errorf("declare exchange %s: %w", name, err)
	}
	cfg.note(exchangeName(name), differs)
	return nil
}

// exchangeName tells an exchange from the queue of the same name.
func exchangeName(name string) string { return "exchange " + name }

// refused makes a declaration, and gives RabbitMQ's words when it is refused because what is there differs.
func (l *link) refused(declare func(*amqp.Channel) error) (why string, err error) {
	err = l.on(declare)
	var refused *amqp.Error
	if errors.As(err, &refused) && refused.Code == amqp.PreconditionFailed {
		return refused.Reason, nil
	}
	return "", err
}

// on does something on a channel of its own, since a refusal closes the channel.
func (l *link) on(do func(*amqp.Channel) error) error {
	ch, err := l.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	defer ch.Close()
	return do(ch)
}
