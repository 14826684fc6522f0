package testkit

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main runs a package's tests, stops the servers that they started, and fails the package if a goroutine still runs then, or if the
// product has sent a statement that internal/statements does not list.
// It ends the process. Call it from TestMain.
func Main(m *testing.M) {
	goleak.VerifyTestMain(suite{m})
}

type suite struct{ m *testing.M }

// Run is what goleak calls before it looks for goroutines.
func (s suite) Run() int {
	done, err := Collect()
	if err != nil {
		fmt.Fprintln(os.Stderr, "collect the statements of this test run:", err)
		return 1
	}
	code := s.m.Run()
	if err := done(false); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "remove the servers of this test run:", err)
		return max(code, 1)
	}
	return code
}
