package relay

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Who is killed has noted how far it is out: the next one repeats what was confirmed since, and not all of it. In a drill that is at
// most what was confirmed within a second, in a backlog and while facts are said one by one.
func TestDrillAKilledReaderRepeatsLittle(t *testing.T) {
	t.Parallel()
	bench := newBench(t, testkit.New(t))
	for _, mode := range []Mode{CDC, Polling} {
		t.Run(string(mode)+"/backlog", func(t *testing.T) {
			b := bench.again()
			b.readOnce(t, mode)
			backlog := facts(testkit.Size(20_000, 50_000))
			for part := range slices.Chunk(backlog, page) {
				b.say(t, part...)
			}
			before := b.heard.all()
			first, began := startInstance(t, b, mode), time.Now()
			testkit.Eventually(t, patience, func() bool { return b.heard.all()-before > len(backlog)/2 })
			b.killed(t, mode, first, time.Since(began), before, func() []event.Fact { return backlog })
		})
		if testkit.Size(0, 1) == 0 {
			continue // it takes its time
		}
		t.Run(string(mode)+"/flow", func(t *testing.T) {
			b := bench.again()
			b.readOnce(t, mode)
			before := b.heard.all()
			first, began := startInstance(t, b, mode), time.Now()
			flow := b.flow(t, 500)
			time.Sleep(5*time.Second + 300*time.Millisecond) // and a part, since much is done every second
			b.killed(t, mode, first, time.Since(began), before, flow)
		})
	}
}

// readOnce lets an instance read, so that there is a slot which carries on from the mark.
func (b *bench) readOnce(t *testing.T, mode Mode) {
	t.Helper()
	maker := b.relay(t, mode)
	stop := startLeading(t, maker)
	one := facts(1)
	b.say(t, one...)
	b.heard.wait(t, one...)
	b.rest(t, maker)
	stop()
}

// flow says facts, each in a transaction, so many a second, until it is asked for what it has said.
func (b *bench) flow(t *testing.T, rate int) (stop func() []event.Fact) {
	t.Helper()
	var said []event.Fact
	end := start(t, func(ctx context.Context) error {
		began := time.Now()
		for ctx.Err() == nil {
			for len(said) < int(time.Since(began).Seconds()*float64(rate)) {
				f := fact()
				if err := b.trySay(context.WithoutCancel(ctx), f); err != nil {
					return err
				}
				said = append(said, f)
			}
			time.Sleep(5 * time.Millisecond)
		}
		return nil
	})
	return func() []event.Fact { end(); return said }
}

// killed kills a process that has read for so long, lets another instance go on, and counts what that repeats.
func (b *bench) killed(t *testing.T, mode Mode, first *instance, read time.Duration, before int, all func() []event.Fact) {
	t.Helper()
	first.signal(t, syscall.SIGKILL)
	_ = first.cmd.Wait()
	confirmed := first.confirmed(t)
	second := b.relay(t, mode)
	startLeading(t, second)
	if testkit.Size(0, 1) == 1 {
		time.Sleep(time.Second) // of a flow, some more
	}
	said := all()
	b.heard.wait(t, said...)
	b.rest(t, second)
	testkit.Eventually(t, patience, func() bool { return b.heard.all()-before >= confirmed+second.confirmed() })
	again, copies := confirmed+second.confirmed()-len(said), b.heard.all()-before-len(said)
	aSecond := int(float64(confirmed) / read.Seconds())
	t.Logf("%d facts, %d confirmed in %s when the reader was killed (%d a second): %d of these published again, %d copies more than facts in all",
		len(said), confirmed, read.Round(time.Millisecond), aSecond, again, copies)
	most := len(said) / 2
	if testkit.Size(0, 1) == 1 {
		most = aSecond
	}
	if again > most {
		t.Errorf("%d confirmed facts were published again, more than %d", again, most)
	}
}

// confirmed is how many facts a process has last said to be confirmed.
func (i *instance) confirmed(t *testing.T) int {
	t.Helper()
	said := i.out.all()
	at := strings.LastIndex(said, "confirmed: ")
	if at < 0 {
		return 0
	}
	n, err := strconv.Atoi(strings.Fields(said[at:])[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// confirmed is how many facts the broker has confirmed to this instance.
func (r *Relay) confirmed() int {
	var m dto.Metric
	_ = r.m.facts.Write(&m) // it errs for no counter
	return int(m.GetCounter().GetValue())
}
