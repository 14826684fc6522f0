package stack

import "syscall"

// identity names one process for good: pids come round again, a pid with its start time and boot does not.
type identity struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // in clock ticks since the machine booted
	Boot    string `json:"boot"`    // the kernel's id of this boot
}

// identify names the process that has the pid now.
func identify(pid int) identity {
	id := identity{PID: pid, Boot: bootID()}
	if stat, ok := processStat(pid); ok {
		id.Started = stat.started
	}
	return id
}

// alive reports whether this very process runs. One that has ended and waits for its parent does not; one of which only the first
// thread has ended does, and still has its ports and its files.
func (id identity) alive() bool {
	stat, ok := processStat(id.PID)
	ended := stat.state == 'Z' && stat.threads <= 1 || stat.state == 'X'
	return ok && !ended && stat.started == id.Started && bootID() == id.Boot
}

// signal sends sig to this very process, or to nobody if it has ended.
func (id identity) signal(sig syscall.Signal) {
	if id.alive() {
		_ = syscall.Kill(id.PID, sig) // it may end in between
	}
}

// descendants are all processes below pid, parents before their children.
func descendants(pid int) []identity {
	children := map[int][]identity{}
	for _, p := range processes() {
		children[p.parent] = append(children[p.parent], identity{PID: p.pid, Started: p.started, Boot: bootID()})
	}
	var all []identity
	for next := children[pid]; len(next) > 0; {
		var below []identity
		for _, id := range next {
			below = append(below, children[id.PID]...)
		}
		all, next = append(all, next...), below
	}
	return all
}

// stat is what the kernel says about a process.
type stat struct {
	pid, parent int
	state       byte // of the first thread, as in ps: R, S, T stopped, Z ended and not waited for
	threads     int
	started     uint64
}
