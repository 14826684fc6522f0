package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// record is what a stack remembers between runs, in servers.json of its folder.
type record struct {
	path string
	mu   sync.Mutex

	Data      string              `json:"data"`      // where the servers' data is
	Ports     map[string]int      `json:"ports"`     // by what listens there
	Processes map[string]identity `json:"processes"` // that run, or ran when this process was killed
}

func loadRecord(f *folder) (*record, error) {
	r := &record{path: filepath.Join(f.dir, "servers.json"), Ports: map[string]int{}, Processes: map[string]identity{}}
	body, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("read %s: %w", r.path, err)
	}
	return r, nil
}

func (r *record) port(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Ports[name]
}

func (r *record) setData(path string) error {
	return r.change(func() { r.Data = path })
}

func (r *record) setPort(name string, number int) error {
	return r.change(func() { r.Ports[name] = number })
}

func (r *record) setProcess(name string, id identity) error {
	return r.change(func() { r.Processes[name] = id })
}

func (r *record) dropProcess(name string) error {
	return r.change(func() { delete(r.Processes, name) })
}

func (r *record) change(what func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	what()
	return writeJSON(r.path, r)
}

// endLeftOvers ends processes of a killed run that still live: those that are ending, because their parent has just died,
// are waited for, the others killed. A process is only taken for ours if pid, start time and boot are the recorded ones.
func (r *record) endLeftOvers(log *slog.Logger) {
	var left []identity
	for _, name := range slices.Sorted(maps.Keys(r.Processes)) {
		if id := r.Processes[name]; id.alive() {
			log.Warn("a killed run left a server behind: ending it", slog.String("server", name), slog.Int("pid", id.PID))
			left = append(left, id)
			left = append(left, descendants(id.PID)...)
		}
	}
	if !gone(left) {
		for _, id := range left {
			id.signal(syscall.SIGKILL)
		}
		gone(left)
	}
	clear(r.Processes)
}

// writeJSON replaces the file as a whole, readable by its owner alone.
func writeJSON(path string, value any) error {
	body, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	draft := path + ".new"
	if err := os.WriteFile(draft, append(body, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, path)
}
