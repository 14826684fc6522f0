package testkit_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// echo answers every byte with itself.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 1)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if _, err := c.Write(buf); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestProxyTakesTheNetworkAwayAndGivesItBack(t *testing.T) {
	t.Parallel()
	p := testkit.NewProxy(t, echo(t))
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func() {
		t.Helper()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(patience time.Duration) error {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, err := c.Read(make([]byte, 1))
		return err
	}
	for _, cut := range []func(){p.Cut, p.Mute} {
		say()
		if err := hear(time.Minute); err != nil {
			t.Fatal(err)
		}
		cut()
		say()
		if err := hear(50 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("heard through a cut: %v", err)
		}
		p.Heal()
		if err := hear(time.Minute); err != nil {
			t.Fatalf("what was said during the cut is lost: %v", err)
		}
	}
	p.Drop()
	if err := hear(time.Minute); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a dropped connection: %v", err)
	}
}
