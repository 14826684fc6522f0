//go:build !linux

package stack

import "syscall"

// supported says whether children can be tied to the life of this process and told apart. Without that a killed run would
// leave servers behind, so Start refuses.
const supported = false

func childAttr(as *syscall.Credential, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: as}
}

func bootID() string { return "" }

func processStat(int) (stat, bool) { return stat{}, false }

func processes() []stat { return nil }

func workplace(int) (dir, program string) { return "", "" }
