package sandbox

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Many charges at once cost few fsyncs, and a broken disk is never answered from.
func TestManyEntriesFewSyncs(t *testing.T) {
	t.Parallel()
	books, err := openBooks(filepath.Join(t.TempDir(), "ledger.jsonl"), time.Now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	const n, at = 2000, 100
	var clients sync.WaitGroup
	for c := range at {
		clients.Go(func() {
			for i := range n / at {
				key := fmt.Sprintf("k%d-%d", c, i)
				if _, fresh, err := books.charge(Entry{Key: key, OrderID: key, AmountMinor: 1, Currency: "GBP", Status: Succeeded}); err != nil || !fresh {
					t.Errorf("%s: fresh %t, %v", key, fresh, err)
				}
			}
		})
	}
	clients.Wait()
	if syncs := books.journal.syncs; syncs > n/4 {
		t.Errorf("%d fsyncs for %d charges", syncs, n)
	}

	if err := books.journal.file.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if e, _, err := books.charge(Entry{Key: "lost", OrderID: "o", AmountMinor: 1, Currency: "GBP", Status: Succeeded}); err == nil {
			t.Errorf("answered %+v without a disk", e)
		}
	}
	if _, _, err := books.lookup("lost"); err == nil {
		t.Error("looked up what is not on disk")
	}
}
