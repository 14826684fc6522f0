package testkit

import (
	"testing"
	"time"
)

// pollInterval is the time between two looks at first. It grows to a tenth of the time that was waited already, and to seldomest: looks
// every 10 ms, most of them requests over HTTP, cost tests that wait long more than what they wait for.
const (
	pollInterval = 10 * time.Millisecond
	seldomest    = 100 * time.Millisecond
)

// Condition is what a test waits for: a func() bool that answers true, or a func() error that answers nil.
type Condition interface{ func() bool | func() error }

// Eventually waits until the condition holds and fails the test when it does not within the timeout, with the condition's
// last error if it has one.
func Eventually[C Condition](t testing.TB, timeout time.Duration, condition C) {
	t.Helper()
	began := time.Now()
	for {
		holds, err := look(condition)
		if holds {
			return
		}
		waited := time.Since(began)
		if waited > timeout {
			t.Fatalf("not so after %s: %v", timeout, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("the test ended while waiting: %v", err)
		case <-time.After(min(max(pollInterval, waited/10), seldomest)):
		}
	}
}

func look[C Condition](condition C) (bool, error) {
	switch condition := any(condition).(type) {
	case func() bool:
		return condition(), nil
	case func() error:
		err := condition()
		return err == nil, err
	}
	panic("unreachable: Condition has two kinds")
}
