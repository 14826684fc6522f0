package notify

import (
	"os"
	"strings"
	"testing"
)

// The page shows the code that is tested, to the letter.
func TestThePageShowsThisCode(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile("notify.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(page), "```go\n")
	shown, _, _ = strings.Cut(shown, "```\n")
	if _, body, _ := strings.Cut(string(code), "package notify\n\n"); shown != body {
		t.Error("docs/events.md shows other code than docs/notify/notify.go")
	}
}
