package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// publishing is one connection's worth of a publisher. All of it runs in one goroutine.
type publishing struct {
	*Publisher
	m        *Metrics
	link     *link
	ch       *amqp.Channel
	closed   chan *amqp.Error
	blocks   chan amqp.Blocking
	returns  chan amqp.Return
	returned map[string]amqp.Return // by message id, of messages in flights
	flights  []flight               // sent and not yet settled, in order
	bytes    int                    // of the flights' bodies
	refused  []*Receipt             // returned, to be sent again at the next tick
	blocked  bool                   // by an alarm of the broker
	since    time.Time              // when the head of flights began to count, at the earliest
}

type flight struct {
	*Receipt
	confirm *amqp.DeferredConfirmation
	at      time.Time
}

// session publishes over one connection until it fails or ctx ends.
func (p *Publisher) session(ctx context.Context, up func()) error {
	s := &publishing{Publisher: p, m: p.cfg.metrics(), returned: map[string]amqp.Return{}}
	if err := s.open(ctx); err != nil {
		p.notReady("not connected")
		return err
	}
	defer s.end()
	up()
	p.ready()
	return s.work(ctx)
}

func (s *publishing) open(ctx context.Context) error {
	var err error
	if s.link, err = dial(ctx, s.cfg, "publisher"); err != nil {
		return err
	}
	err = s.link.during(ctx, s.prepare)
	if err != nil {
		s.link.close()
	}
	return err
}

// prepare declares the topology before anything is published, since what is published to nobody is confirmed as well.
func (s *publishing) prepare() error {
	if err := s.link.declare(s.cfg); err != nil {
		return err
	}
	var err error
	if s.ch, err = s.link.Channel(); err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	s.closed = s.ch.NotifyClose(make(chan *amqp.Error, 1))
	s.returns = s.ch.NotifyReturn(make(chan amqp.Return, window+1)) // the library drops what does not fit
	s.blocks = s.link.NotifyBlocked(make(chan amqp.Blocking, 16))
	if err := s.ch.Confirm(false); err != nil {
		return fmt.Errorf("confirm mode: %w", err)
	}
	return nil
}

// work sends and settles until something fails. A missing confirm fails the connection: all that is not settled goes out
// again in its order.
func (s *publishing) work(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := s.resend(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r := <-s.incoming():
			if err := s.send(r); err != nil {
				return err
			}
		case <-s.head():
			if err := s.settle(); err != nil {
				return err
			}
		case b, ok := <-s.blocks:
			s.block(b, ok)
		case now := <-tick.C:
			if err := s.overdue(now); err != nil {
				return err
			}
			if err := s.again(ctx); err != nil {
				return err
			}
		case err := <-s.closed:
			return lostChannel(err)
		}
	}
}

// lostChannel names why a channel was closed.
func lostChannel(err *amqp.Error) error {
	if err == nil {
		return amqp.ErrClosed
	}
	return fmt.Errorf("channel closed: %w", err)
}

func (s *publishing) room() bool {
	return !s.blocked && len(s.flights) < window && (s.bytes < windowBytes || len(s.flights) == 0)
}

// incoming is where new messages come from, or nil while there is no room for one.
func (s *publishing) incoming() <-chan *Receipt {
	if s.room() && len(s.backlog) == 0 {
		return s.queue
	}
	return nil
}

// head is done when the oldest flight is confirmed, or nil.
func (s *publishing) head() <-chan struct{} {
	if len(s.flights) > 0 {
		return s.flights[0].confirm.Done()
	}
	return nil
}

func (s *publishing) resend() error {
	for len(s.backlog) > 0 && s.room() {
		r := s.backlog[0]
		s.backlog = s.backlog[1:]
		if err := s.send(r); err != nil {
			return err
		}
	}
	return nil
}

// send writes one message. When that fails the message comes before the rest of the backlog.
func (s *publishing) send(r *Receipt) error {
	m := r.message
	confirm, err := s.ch.PublishWithDeferredConfirm(m.Exchange, m.Key, true, false, amqp.Publishing{
		MessageId: m.ID, ContentType: m.ContentType, DeliveryMode: amqp.Persistent, Headers: m.Headers, Body: m.Body,
	})
	if err != nil {
		s.backlog = append([]*Receipt{r}, s.backlog...)
		return fmt.Errorf("publish: %w", err)
	}
	s.m.published.Inc()
	s.m.unconfirmed.Inc()
	s.unconfirmed.Add(1)
	s.flights = append(s.flights, flight{Receipt: r, confirm: confirm, at: time.Now()})
	s.bytes += len(m.Body)
	return nil
}

// settle resolves all flights at the head that are confirmed.
func (s *publishing) settle() error {
	for len(s.flights) > 0 {
		f := s.flights[0]
		select {
		case <-f.confirm.Done():
		default:
			return nil
		}
		if err := s.verdict(f); err != nil {
			return err
		}
		s.flights = s.flights[1:]
		s.bytes -= len(f.message.Body)
		s.m.unconfirmed.Dec()
		s.unconfirmed.Add(-1)
	}
	return nil
}

// verdict resolves a flight that RabbitMQ has taken, and puts one aside that it has returned. It believes an ack only after
// every return that came before it has been read: an unroutable message is acknowledged, too.
func (s *publishing) verdict(f flight) error {
	s.readReturns()
	if !f.confirm.Acked() {
		select {
		case err := <-s.closed:
			return lostChannel(err)
		default:
			return fmt.Errorf("message %s to %s was not taken", f.message.ID, f.message.Key)
		}
	}
	if r, ok := s.returned[f.message.ID]; ok {
		delete(s.returned, f.message.ID)
		s.log.Error("message was returned, will be sent again", "id", f.message.ID, "key", f.message.Key, "reason", r.ReplyText)
		s.refused = append(s.refused, f.Receipt)
		return nil
	}
	s.m.confirmed.Inc()
	close(f.done)
	return nil
}

// again declares the topology anew and sends what was returned once more. What is missing then is not of our making, so
// the others go on meanwhile.
func (s *publishing) again(ctx context.Context) error {
	if len(s.refused) == 0 || s.blocked {
		return nil
	}
	if err := s.link.during(ctx, func() error { return s.link.declare(s.cfg) }); err != nil {
		return err
	}
	s.backlog, s.refused = append(s.refused, s.backlog...), nil
	return nil
}

func (s *publishing) readReturns() {
	for {
		select {
		case r, ok := <-s.returns:
			if !ok {
				s.returns = nil
				return
			}
			s.m.returned.Inc()
			s.returned[r.MessageId] = r
		default:
			return
		}
	}
}

// block stops sending while the broker has an alarm: it confirms nothing until that is over, and what was sent anyway
// would come in late and twice.
func (s *publishing) block(b amqp.Blocking, ok bool) {
	if !ok {
		s.blocks = nil
		return
	}
	s.blocked = b.Active
	s.since = time.Now()
	if b.Active {
		s.log.Warn("RabbitMQ takes no messages", "reason", b.Reason)
		s.notReady("blocked: " + b.Reason)
		return
	}
	s.log.Info("RabbitMQ takes messages again")
	s.ready()
}

// overdue fails the connection when the oldest flight has waited too long for its confirm.
func (s *publishing) overdue(now time.Time) error {
	if s.blocked || len(s.flights) == 0 {
		return nil
	}
	from := s.flights[0].at
	if s.since.After(from) {
		from = s.since
	}
	if now.Sub(from) > s.cfg.confirmDeadline() {
		return errors.New("no confirm in time")
	}
	return nil
}

// end closes the connection and keeps for the next one what was not confirmed.
func (s *publishing) end() {
	s.notReady("not connected")
	s.link.close()
	s.m.unconfirmed.Sub(float64(len(s.flights)))
	s.unconfirmed.Store(0)
	var unconfirmed []*Receipt
	for _, f := range s.flights {
		if s.verdict(f) != nil {
			unconfirmed = append(unconfirmed, f.Receipt)
		}
	}
	s.backlog = slices.Concat(s.refused, unconfirmed, s.backlog)
}
