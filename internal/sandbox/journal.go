package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

var errLocked = errors.New("another process has the ledger open")

// journal is the ledger's file: one JSON entry a line, only ever appended to. What is appended is in memory until flush
// has put it on disk; whoever waits in flush while another syncs finds his entry on disk with the others.
type journal struct {
	file *os.File

	mu       sync.Mutex // guards the next four
	waiting  []byte     // lines not yet written
	appended int64      // entries in the file or waiting
	durable  int64      // entries known to be on disk
	broken   error      // a write or sync failed: what is on disk is unknown, so nothing is answered any more

	syncing sync.Mutex // held by the one who writes and syncs; never taken while holding mu
	syncs   int        // fsyncs done; guarded by syncing
}

// openJournal opens or creates the file, takes it for this process alone, and gives the entries in it. A torn end, which
// nobody can have been answered from, is cut off.
func openJournal(path string) (*journal, []*Entry, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open ledger: %w", err)
	}
	entries, err := prepare(file, path)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open ledger %s: %w", path, err), file.Close())
	}
	n := int64(len(entries))
	return &journal{file: file, appended: n, durable: n}, entries, nil
}

// lock takes the file for this process alone. It tries for half a second: a program that another has begun to start just then shares
// what the other has open until it is executed.
func lock(file *os.File) (err error) {
	for range 50 {
		if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

func prepare(file *os.File, path string) ([]*Entry, error) {
	if err := lock(file); err != nil {
		return nil, errors.Join(errLocked, err)
	}
	entries, good, err := readEntries(file)
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(good); err != nil {
		return nil, err
	}
	if _, err := file.Seek(good, io.SeekStart); err != nil {
		return nil, err
	}
	return entries, errors.Join(file.Sync(), syncFolder(path))
}

// syncFolder makes the file's name as durable as its content.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// readEntries reads lines up to the first that is no whole entry, and says where that is. An entry beyond it means that the
// file was damaged, not torn.
func readEntries(file io.Reader) (entries []*Entry, good int64, err error) {
	lines := bufio.NewReaderSize(file, 1<<20)
	for torn := false; ; {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		entry := parseEntry(line)
		switch whole := err == nil; {
		case entry == nil || !whole:
			torn = true
		case torn:
			return nil, 0, fmt.Errorf("damaged after entry %d", len(entries))
		case entry.Seq != int64(len(entries))+1:
			return nil, 0, fmt.Errorf("entry %d stands where %d should", entry.Seq, len(entries)+1)
		default:
			entries, good = append(entries, entry), good+int64(len(line))
		}
		if errors.Is(err, io.EOF) {
			return entries, good, nil
		}
	}
}

func parseEntry(line []byte) *Entry {
	var e Entry
	if json.Unmarshal(line, &e) != nil || e.Seq == 0 {
		return nil
	}
	return &e
}

// append gives the entry its number and puts it in line for the disk.
func (j *journal) append(e *Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return j.broken
	}
	e.Seq = j.appended + 1
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode entry: %w", err)
	}
	j.waiting = append(append(j.waiting, line...), '\n')
	j.appended++
	return nil
}

// flush returns when the entry of that number is on disk.
func (j *journal) flush(seq int64) error {
	if done, err := j.isDurable(seq); done || err != nil {
		return err
	}
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if done, err := j.isDurable(seq); done || err != nil {
		return err
	}
	j.mu.Lock()
	lines, upTo := j.waiting, j.appended
	j.waiting = nil
	j.mu.Unlock()

	err := j.write(lines)

	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.broken = fmt.Errorf("write ledger: %w", err)
		return j.broken
	}
	j.durable = upTo
	return nil
}

func (j *journal) isDurable(seq int64) (bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable >= seq, j.broken
}

func (j *journal) write(lines []byte) error {
	if _, err := j.file.Write(lines); err != nil {
		return err
	}
	j.syncs++
	return j.file.Sync()
}

func (j *journal) close() error {
	j.mu.Lock()
	last, broken := j.appended, j.broken
	j.mu.Unlock()
	if broken == nil {
		broken = j.flush(last)
	}
	return errors.Join(broken, j.file.Close())
}
