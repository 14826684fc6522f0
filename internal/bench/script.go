package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// steps are those of one order, in the order in which it goes through them.
var steps = []string{
	"next", "basket", "seen", "catalogue", "place", "reserve", "advance", "show-updated", "shelf", "charge", "claim", "settle",
	"complete", "show-completed", "read",
}

// script puts the steps together: those of the file named, and of steps.sql what that file does not have.
func script(folder, file string, lines int) (string, error) {
	text, err := readSteps(filepath.Join(folder, "steps.sql"))
	if err != nil {
		return "", err
	}
	own, err := readSteps(filepath.Join(folder, file))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, step := range steps {
		body, found := own[step]
		if !found {
			body, found = text[step]
		}
		if !found {
			return "", fmt.Errorf("step %q is in neither steps.sql nor %s", step, file)
		}
		b.WriteString("-- step: " + step + "\n" + repeated(body, lines))
	}
	return b.String(), nil
}

// readSteps reads what stands behind each "-- step: name".
func readSteps(path string) (map[string]string, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	steps := map[string]string{}
	name := ""
	for line := range strings.Lines(string(body)) {
		if next, begins := strings.CutPrefix(line, "-- step: "); begins {
			name = strings.TrimSpace(next)
		} else if name != "" {
			steps[name] += line
		}
	}
	return steps, nil
}

// repeated writes what stands between "-- each" and "-- end" once for each line, with {i} for its number.
func repeated(body string, lines int) string {
	var b, each strings.Builder
	inside := false
	for line := range strings.Lines(body) {
		switch strings.TrimSpace(line) {
		case "-- each":
			inside = true
			each.Reset()
		case "-- end":
			inside = false
			for i := 1; i <= lines; i++ {
				b.WriteString(strings.ReplaceAll(each.String(), "{i}", strconv.Itoa(i)))
			}
		default:
			if inside {
				each.WriteString(line)
			} else {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}
