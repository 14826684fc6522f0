package stack

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// supported says whether children can be tied to the life of this process and told apart.
const supported = true

// childAttr puts a child into a process group of its own and ties its life to this process.
// The kernel forgets the death signal when a child changes its user, so Go sets it after that.
func childAttr(as *syscall.Credential, death syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death, Credential: as}
}

var bootID = sync.OnceValue(func() string {
	body, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(body))
})

// processStat reads /proc/pid/stat. The second field is the program's name and may hold blanks and brackets, so what
// follows is counted from the last closing one.
func processStat(pid int) (stat, bool) {
	body, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, false
	}
	fields := strings.Fields(string(body[bytes.LastIndexByte(body, ')')+1:]))
	if len(fields) < 20 {
		return stat{}, false
	}
	parent, _ := strconv.Atoi(fields[1])
	threads, _ := strconv.Atoi(fields[17])
	started, err := strconv.ParseUint(fields[19], 10, 64)
	return stat{pid: pid, parent: parent, state: fields[0][0], threads: threads, started: started}, err == nil
}

// processes are all that run now.
func processes() []stat {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []stat
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if s, ok := processStat(pid); ok {
			all = append(all, s)
		}
	}
	return all
}

// workplace is the folder that a process works in and the program it runs; empty for a process that may not be looked at.
func workplace(pid int) (dir, program string) {
	base := filepath.Join("/proc", strconv.Itoa(pid))
	dir, _ = os.Readlink(filepath.Join(base, "cwd"))
	program, _ = os.Readlink(filepath.Join(base, "exe"))
	return dir, filepath.Base(program)
}
