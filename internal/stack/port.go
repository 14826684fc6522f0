package stack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Ports are taken from below the ephemeral range, so that no outgoing connection of this machine sits on one.
const (
	firstPort = 20000
	lastPort  = 22700
)

// port is a loopback port that no other stack of this user takes while the lock is held.
type port struct {
	number int
	lock   *os.File
}

var errNoPort = fmt.Errorf("no free loopback port between %d and %d", firstPort, lastPort)

// claimPort takes a free port, the preferred one if it can be had. Zero prefers none.
func claimPort(preferred int) (port, error) {
	dir := filepath.Join(os.TempDir(), "holdfast-ports-"+strconv.Itoa(os.Getuid())) // a folder of root's would shut others out
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return port{}, err
	}
	span := lastPort - firstPort
	start := rand.IntN(span)
	for i := -1; i < span; i++ {
		number := preferred
		if i >= 0 {
			number = firstPort + (start+i)%span
		}
		if number == 0 {
			continue
		}
		if p, err := tryPort(dir, number); err == nil {
			return p, nil
		}
	}
	return port{}, errNoPort
}

func tryPort(dir string, number int) (port, error) {
	lock, err := lockFile(filepath.Join(dir, strconv.Itoa(number)))
	if err != nil {
		return port{}, err
	}
	if err := bindProbe(number); err != nil {
		unlockFile(lock)
		return port{}, err
	}
	return port{number: number, lock: lock}, nil
}

// bindProbe reports whether a server could listen on the port now.
func bindProbe(number int) error {
	l, err := net.Listen("tcp4", loopback(number))
	if err != nil {
		return err
	}
	return l.Close()
}

func loopback(number int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(number)) }

// lockFile opens path and takes it for this process; the error wraps EWOULDBLOCK when another has it. The kernel gives the
// lock back when the process ends, and the programs that it starts do not inherit it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// unlockFile gives the lock back at once. Closing the file alone would leave it for a moment with a child that has been forked
// just now, whose copy is closed only when its program begins.
func unlockFile(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	_ = f.Close()
}
