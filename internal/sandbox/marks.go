package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// marks are the numbers of the entries that were told of, in a file beside the ledger: a first line "all N" says that all up to
// N were, each other line is a number above it. A mark that is lost with the machine's power only means that an entry is told of
// once more, so nothing is synced.
type marks struct {
	mu   sync.Mutex
	file *os.File
	upTo int64
	more map[int64]bool // above upTo
}

// openMarks reads the marks and writes them anew, short, with those of entries that are not told of at all. The ledger's lock
// keeps other processes away.
func openMarks(path string, entries []*Entry) (*marks, error) {
	m := &marks{more: map[int64]bool{}}
	if err := m.read(path); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	for _, e := range entries {
		if e.Kind == KindClose {
			m.add(e.Seq)
		}
	}
	if err := m.rewrite(path); err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return m, nil
}

func (m *marks) read(path string) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(raw[:bytes.LastIndexByte(raw, '\n')+1])) // a torn last line is none
	for lines.Scan() {
		text, all := strings.CutPrefix(lines.Text(), "all ")
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil:
			return err
		case all:
			m.upTo = n
		default:
			m.add(n)
		}
	}
	return lines.Err()
}

// add notes a number, and moves upTo on.
func (m *marks) add(n int64) {
	if n > m.upTo {
		m.more[n] = true
	}
	for m.more[m.upTo+1] {
		m.upTo++
		delete(m.more, m.upTo)
	}
}

func (m *marks) rewrite(path string) error {
	text := fmt.Appendf(nil, "all %d\n", m.upTo)
	for _, n := range slices.Sorted(maps.Keys(m.more)) {
		text = fmt.Appendf(text, "%d\n", n)
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	var err error
	m.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
	return err
}

func (m *marks) has(n int64) bool { return n <= m.upTo || m.more[n] }

// mark notes that an entry was told of.
func (m *marks) mark(n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(n)
	_, err := fmt.Fprintln(m.file, n)
	return err
}

func (m *marks) close() error { return m.file.Close() }
