package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// Outage says whether an error means that a server is away or not serving, rather than that it refused what was asked:
// connection errors, fault.Unavailable, and Postgres' own words for it. Running out of time is none.
func Outage(err error) bool {
	if slow(err) {
		return false
	}
	if fault.Is(err, fault.Unavailable) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNREFUSED) {
		return true
	}
	state := sqlState(err)
	return strings.HasPrefix(state, "08") || strings.HasPrefix(state, "57P") || strings.HasPrefix(state, "53")
}

// outage is Outage with what the subscription adds to it.
func (s *hearing) outage(err error) bool {
	if errors.Is(err, errBlind) {
		return true
	}
	if slow(err) || errors.Is(err, context.Canceled) {
		return false
	}
	return Outage(err) || s.sub.Outage != nil && s.sub.Outage(err)
}

// sqlState finds the code of an SQL error without knowing the driver, or "".
func sqlState(err error) string {
	var e interface{ SQLState() string }
	if errors.As(err, &e) {
		return e.SQLState()
	}
	return ""
}
