package testkit

import (
	"cmp"
	"os/exec"
	"path/filepath"
	"slices"
)

// PostgresProgram finds one of PostgreSQL's programs, of the newest release: Debian keeps some of them off PATH.
func PostgresProgram(name string) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // it errs on a bad pattern alone
	onPath, _ := exec.LookPath(name)
	if len(found) > 0 {
		onPath = slices.Max(found)
	}
	return cmp.Or(onPath, name)
}
