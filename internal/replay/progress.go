package replay

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// How often progress is shown: redrawn on a terminal, a line elsewhere.
const (
	redraw = 200 * time.Millisecond
	relate = 5 * time.Second
)

// progress shows how far a run is.
type progress struct {
	out      io.Writer
	terminal bool
	tally    *tally

	mu    sync.Mutex
	name  string
	total int
	since time.Time
}

// newProgress shows nothing before the first stage.
func newProgress(out io.Writer, t *tally) *progress {
	return &progress{out: out, terminal: isTerminal(out), tally: t}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// stage begins a part of the run with so many things to do.
func (p *progress) stage(name string, total int) {
	p.draw()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name != "" && p.terminal {
		fmt.Fprintln(p.out)
	}
	p.name, p.total, p.since = name, total, time.Now()
}

// run shows the state again and again until ctx ends, and once more then.
func (p *progress) run(ctx context.Context) {
	every := relate
	if p.terminal {
		every = redraw
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			p.draw()
			if p.terminal {
				fmt.Fprintln(p.out)
			}
			return
		case <-tick.C:
			p.draw()
		}
	}
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name == "" {
		return
	}
	text := p.text()
	if p.terminal {
		fmt.Fprintf(p.out, "\r%s\x1b[K", text)
	} else {
		fmt.Fprintln(p.out, text)
	}
}

// text is the line as it stands.
func (p *progress) text() string {
	p.tally.mu.Lock()
	stocked, played := p.tally.products, p.tally.played
	p.tally.mu.Unlock()
	r := p.tally.report()
	ended := r.OrdersPlaced - r.OrdersNotEnded
	done := map[string]int{"catalogue": stocked, "invoices": played, "endings": ended}[p.name]
	line := fmt.Sprintf("%-9s %s %d/%d", p.name, bar(done, p.total), done, p.total)
	if p.name == "invoices" {
		line += fmt.Sprintf("  placed %d  lines rejected %d  retried %d  %.0f orders/s", r.OrdersPlaced, r.RejectedAtCart+r.RejectedAtCheckout, r.Retried, r.OrdersPerSecond)
	}
	return line + p.remaining(done)
}

// remaining guesses how long the stage still takes, once it is under way.
func (p *progress) remaining(done int) string {
	spent := time.Since(p.since)
	if done == 0 || done >= p.total || spent < time.Second {
		return ""
	}
	left := time.Duration(float64(spent) / float64(done) * float64(p.total-done))
	return "  " + left.Round(time.Second).String() + " left"
}

func bar(done, total int) string {
	const width = 24
	full := width
	if total > 0 {
		full = min(width*done/total, width)
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}
