package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticksPerSecond of the times in /proc. It is 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// watched are the processes whose use of the processor is told, by name.
type watched map[string]int

// usage is processor seconds by name.
type usage map[string]float64

// now reads what the processes, those below them and those of them that have ended have used so far.
func (w watched) now() usage {
	children := processTree()
	used := make(usage, len(w))
	for name, pid := range w {
		if pid == os.Getpid() { // the others are below it
			own, _, _, _ := readStat(pid)
			used[name] = float64(own) / ticksPerSecond
			continue
		}
		used[name] = float64(treeTicks(pid, children)) / ticksPerSecond
	}
	return used
}

// since gives the difference, and the sum as "total".
func (u usage) since(before usage) map[string]float64 {
	spent := make(map[string]float64, len(u)+1)
	var total float64
	for name, seconds := range u {
		total += seconds - before[name]
		spent[name] = rounded(seconds-before[name], 2)
	}
	spent["total"] = rounded(total, 2)
	return spent
}

// processTree gives the children of each process.
func processTree() map[int][]int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is sound
	for _, path := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if _, _, parent, err := readStat(pid); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	return children
}

func treeTicks(pid int, children map[int][]int) int64 {
	own, ended, _, err := readStat(pid)
	if err != nil {
		return 0
	}
	ticks := own + ended
	for _, child := range children[pid] {
		ticks += treeTicks(child, children)
	}
	return ticks
}

// readStat gives the ticks that a process has used, those of its children that it has waited for, and its parent.
func readStat(pid int) (own, ended int64, parent int, err error) {
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0, err
	}
	after := strings.LastIndexByte(string(body), ')') // the name may have anything in it
	var state string
	var skip [9]int64
	var user, system, endedUser, endedSystem int64
	_, err = fmt.Sscan(string(body[after+1:]), &state, &parent, &skip[0], &skip[1], &skip[2], &skip[3], &skip[4], &skip[5], &skip[6],
		&skip[7], &skip[8], &user, &system, &endedUser, &endedSystem)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("read the times of process %d: %w", pid, err)
	}
	return user + system, endedUser + endedSystem, parent, nil
}
