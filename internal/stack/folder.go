package stack

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// folder is where a stack lives: the small files in dir, the servers' data in data. The two differ when the user that the
// servers run as cannot reach dir, or their scripts cannot cope with its name.
type folder struct {
	dir  string
	data string
	as   account
	lock *os.File

	clocks bool // see Options
}

// openFolder makes the folder and takes it for this process.
func openFolder(opts Options) (*folder, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
	}
	as, err := serverAccount()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, ErrBusy
	}
	if err != nil {
		return nil, err
	}
	return &folder{dir: dir, as: as, lock: lock}, nil
}

// InUse reports whether a running process has a stack in the folder.
func InUse(dir string) bool {
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return errors.Is(err, syscall.EWOULDBLOCK)
	}
	unlockFile(lock)
	return false
}

func (f *folder) close() { unlockFile(f.lock) }

// prepare decides where the data is, and makes or empties the place.
func (f *folder) prepare(r *record, opts Options) error {
	f.data = filepath.Join(f.dir, "data")
	why := ""
	switch {
	case !f.as.reaches(f.dir):
		why = "the servers' user cannot reach this folder: their data is kept elsewhere"
	case !plainPath.MatchString(f.dir):
		why = "RabbitMQ's scripts cannot cope with this folder's name: the servers' data is kept elsewhere"
	}
	if why != "" {
		f.data = elsewhere(f.dir)
		opts.Log.Warn(why, slog.String("user", f.as.name), slog.String("folder", f.dir), slog.String("data", f.data))
	}
	// Data that the record does not know belongs to a folder of the same name that somebody threw away.
	if opts.Fresh || r.Data != f.data {
		if err := os.RemoveAll(f.data); err != nil {
			return fmt.Errorf("empty %s: %w", f.data, err)
		}
	}
	if err := f.makeDir("."); err != nil {
		return err
	}
	return r.setData(f.data)
}

// plainPath are the paths that a shell script can take without quotes, which RabbitMQ's scripts leave out: no spaces among others.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9/._@%+,:=-]*$`)

// elsewhere is a folder under /var/lib that belongs to dir alone, or under the temporary folder where that cannot be written.
func elsewhere(dir string) string {
	name := fmt.Sprintf("%x", sha256.Sum256([]byte(dir)))[:12]
	base := "/var/lib/holdfast"
	if os.MkdirAll(base, 0o755) != nil {
		base = filepath.Join(os.TempDir(), "holdfast")
	}
	return filepath.Join(base, name)
}

// path is a place below the data folder.
func (f *folder) path(parts ...string) string {
	return filepath.Join(append([]string{f.data}, parts...)...)
}

// makeDir makes a folder below the data folder that the servers' user owns, and answers nothing if it is there.
func (f *folder) makeDir(parts ...string) error {
	path := f.path(parts...)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return f.as.own(path)
}

// logTail is how much of a server's log an error carries.
const logTail = 2048

// logLimit is the size above which a log is put aside when its server starts.
const logLimit = 16 << 20

// openLog opens a server's log for appending, after putting an overgrown one aside.
func (f *folder) openLog(name string) (*os.File, error) {
	if err := f.makeDir("log"); err != nil {
		return nil, err
	}
	path := f.logPath(name)
	if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

func (f *folder) logPath(name string) string { return f.path("log", name+".log") }

// tail is the end of a server's log, for an error message.
func (f *folder) tail(name string) string {
	body, err := os.ReadFile(f.logPath(name))
	if err != nil {
		return ""
	}
	return string(body[max(0, len(body)-logTail):])
}
