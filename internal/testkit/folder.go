package testkit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/stack"
)

const folderPrefix = "holdfast-test-"

// makeDir makes a folder that the servers' user can reach, which t.TempDir is not for root.
func makeDir() (string, error) {
	dir, err := os.MkdirTemp("", folderPrefix)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// settled is the age from which a folder without running servers is not one that is just being filled.
const settled = 10 * time.Minute

// sweep removes the folders of test runs that were killed.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < settled || stack.InUse(dir) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrPermission) { // another user's is theirs to sweep
			return err
		}
	}
	return nil
}
