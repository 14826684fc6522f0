package postgres

import (
	"errors"
	"io"
	"net"
)

// connectionLost says whether the connection broke under a query: the server was killed or the network was cut.
func connectionLost(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &op)
}
