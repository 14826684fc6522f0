package testkit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/stack"
)

const folderPrefix = "holdfast-test-"

// makeDir makes a folder that the servers' user can reach, which t.TempDir is not for root.
func makeDir() (string, error) {
	dir, err := os.MkdirTemp(base(), folderPrefix)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

const (
	inMemory    = "/dev/shm"
	roomNeeded  = 6 << 30 // bytes of a whole run: databases, logs that slots keep, queues
	tmpfsNumber = 0x01021994
)

// base is where the folders of servers go: into memory where there is room, else where temporary files go. Each test makes and
// drops a database of some 300 files, and ext4 takes longer over a new file where others were just deleted than all else takes.
func base() string {
	var at syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(inMemory, &at) != nil || at.Type != tmpfsNumber {
		return os.TempDir()
	}
	if at.Bavail*uint64(at.Bsize) < roomNeeded || memoryAvailable() < roomNeeded {
		return os.TempDir()
	}
	return inMemory
}

// memoryAvailable is in bytes, 0 if the kernel does not say.
func memoryAvailable() (bytes uint64) {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(info)) {
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &bytes); err == nil {
			return bytes << 10
		}
	}
	return 0
}

// settled is the age from which a folder without running servers is not one that is just being filled.
const settled = 10 * time.Minute

// sweep removes the folders of test runs that were killed.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	if err != nil {
		return err
	}
	more, err := filepath.Glob(filepath.Join(inMemory, folderPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range append(dirs, more...) {
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
