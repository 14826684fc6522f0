//go:build !(linux && amd64)

package app_test

import (
	"errors"
	"fmt"
)

func moveOwnClock(string) error {
	return fmt.Errorf("the clock of a process is moved on Linux on amd64 only: %w", errors.ErrUnsupported)
}
