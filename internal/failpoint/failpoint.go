// Package failpoint names the moments in which a crash would hurt most, so that a test can let the program die in each of them.
// No flag and no variable of the environment reaches it: only a test binary arms it (internal/house says so), and a program in
// which nothing is armed pays for a nil check.
package failpoint

import "strings"

// armed is called at every point that is reached; nil in every program but a test's.
var armed func(point string)

// Arm has hook called at every point that the program reaches from now on, with the point's name. Call it before anything else
// runs.
func Arm(hook func(point string)) { armed = hook }

// Reach says that the program is at a point; its name is the words, joined by blanks.
func Reach(words ...string) {
	if armed != nil {
		armed(strings.Join(words, " "))
	}
}
