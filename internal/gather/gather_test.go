package gather_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-checkout/holdfast/internal/gather"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errDown = errors.New("down")
	errBad  = errors.New("bad")
)

// doubler answers twice what it is asked, refuses what is below zero, and tells how many it was asked at once. It can be held.
type doubler struct {
	*gather.Batch[int, int]
	sizes chan int
	hold  chan struct{}
	err   atomic.Pointer[error]
}

func newDoubler(most int) *doubler {
	d := &doubler{sizes: make(chan int, 100), hold: make(chan struct{})}
	o := gather.Options{Most: most, Within: time.Minute, Together: func(err error) bool { return errors.Is(err, errDown) }}
	d.Batch = gather.New(o, d.double)
	return d
}

func (d *doubler) double(_ context.Context, asked []int) ([]int, error) {
	d.sizes <- len(asked)
	<-d.hold
	if err := d.err.Load(); err != nil {
		return nil, *err
	}
	answers := make([]int, len(asked))
	for i, n := range asked {
		if n < 0 {
			return nil, errBad
		}
		answers[i] = 2 * n
	}
	return answers, nil
}

// crowd asks for each number while the batch before is held, so that all of them wait together.
func (d *doubler) crowd(t *testing.T, numbers ...int) (answers []int, errs []error) {
	t.Helper()
	answers, errs = make([]int, len(numbers)), make([]error, len(numbers))
	var all sync.WaitGroup
	all.Go(func() { _, _ = d.Do(t.Context(), 0) })
	if n := <-d.sizes; n != 1 {
		t.Fatalf("one caller was served with %d", n)
	}
	for i, n := range numbers {
		all.Go(func() { answers[i], errs[i] = d.Do(t.Context(), n) })
	}
	testkit.Eventually(t, 3*time.Minute, func() bool { return d.Waiting() == len(numbers) })
	close(d.hold)
	all.Wait()
	return answers, errs
}

func TestACrowdIsServedTogether(t *testing.T) {
	t.Parallel()
	d := newDoubler(3)
	answers, errs := d.crowd(t, 1, 2, 3, 4, 5)
	for i, n := range answers {
		if n != 2*(i+1) || errs[i] != nil {
			t.Errorf("asked for %d: %d, %v", i+1, n, errs[i])
		}
	}
	if a, b := <-d.sizes, <-d.sizes; a != 3 || b != 2 || len(d.sizes) != 0 {
		t.Errorf("served %d, then %d, then %d times more", a, b, len(d.sizes))
	}
}

func TestNobodyFailsForWhatAnotherAsked(t *testing.T) {
	t.Parallel()
	d := newDoubler(10)
	answers, errs := d.crowd(t, 1, -1, 3)
	if answers[0] != 2 || answers[2] != 6 || errs[0] != nil || errs[2] != nil || !errors.Is(errs[1], errBad) {
		t.Errorf("%v, %v", answers, errs)
	}
}

func TestAnOutageIsToldToAllAtOnce(t *testing.T) {
	t.Parallel()
	d := newDoubler(10)
	d.err.Store(&errDown)
	_, errs := d.crowd(t, 1, 2, 3)
	for _, err := range errs {
		if !errors.Is(err, errDown) {
			t.Error(err)
		}
	}
	if n := <-d.sizes; n != 3 || len(d.sizes) != 0 {
		t.Errorf("asked for %d, and %d times again", n, len(d.sizes))
	}
}

// Whoever leaves is not served, and whoever has done the work for others and left does not end it for them.
func TestWhoLeavesTakesNothingWithIt(t *testing.T) {
	t.Parallel()
	d := newDoubler(10)
	first, endFirst := context.WithCancel(t.Context())
	second, endSecond := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if n, err := d.Do(first, 1); n != 2 || err != nil {
			t.Errorf("under way when its caller left: %d, %v", n, err)
		}
	})
	<-d.sizes
	all.Go(func() {
		if _, err := d.Do(second, 2); !errors.Is(err, context.Canceled) {
			t.Errorf("left before its turn: %v", err)
		}
	})
	testkit.Eventually(t, 3*time.Minute, func() bool { return d.Waiting() == 1 })
	endFirst()
	endSecond()
	testkit.Eventually(t, 3*time.Minute, func() bool { return d.Waiting() == 0 })
	close(d.hold)
	all.Wait()
	if len(d.sizes) != 0 {
		t.Error("served though it had left")
	}
}

func TestAPanicLeavesNobodyWaiting(t *testing.T) {
	t.Parallel()
	b := gather.New(gather.Options{Most: 1, Within: time.Minute}, func(context.Context, []int) ([]int, error) { panic("no") })
	for range 2 { // its place is free again
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, _ = b.Do(t.Context(), 1)
		}()
	}
}
