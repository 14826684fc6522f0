package bench

import (
	"os"
	"testing"
	"time"
)

func TestProcessorTimeIsCounted(t *testing.T) {
	t.Parallel()
	w := watched{"self": os.Getpid()}
	before := w.now()
	for began, x := time.Now(), 0; time.Since(began) < 300*time.Millisecond; x++ {
		_ = x * x
	}
	if spent := w.now().since(before); spent["self"] < 0.05 || spent["total"] != spent["self"] {
		t.Errorf("300 ms of work counted as %v", spent)
	}
}
