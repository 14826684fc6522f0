package compare

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Sizes of the drawing, in pixels.
const (
	panelWidth, panelHeight = 440, 230
	marginLeft, marginTop   = 58, 40
	plotWidth, plotHeight   = 360, 140
	headHeight, footHeight  = 70, 20
)

// colours tell strategies apart, also for most who see colours differently (after Okabe and Ito).
var colours = []string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#999999", "#000000"}

// measured is one of the numbers that are drawn.
type measured struct {
	name  string
	value func(Result) float64
}

// drawn are the numbers that are drawn, a column of panels for each.
var drawn = []measured{
	{"completed orders per second", func(r Result) float64 { return r.CompletedPerSecond }},
	{"p50 to the end, ms", func(r Result) float64 { return r.P50 }},
	{"p99 to the end, ms", func(r Result) float64 { return r.P99 }},
}

// situation is what a row of panels shows.
type situation struct {
	stock string
	hold  bool
}

// plot draws the results as SVG: a row of panels for each situation, in each a group of bars for each number of customers, a bar for
// each strategy. Panels of one number have one scale, but for each kind of stock its own.
func (r Report) plot() string {
	situations := distinct(r.Results, func(x Result) situation { return situation{x.Stock, x.HoldOnOrder} })
	strategies := distinct(r.Results, func(x Result) string { return x.Strategy })
	width, height := len(drawn)*panelWidth, headHeight+len(situations)*panelHeight+footHeight
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	text(&b, 12, 22, "start", r.title())
	for i, s := range strategies {
		x := 12 + i*150
		fmt.Fprintf(&b, `<rect x="%d" y="38" width="12" height="12" fill="%s"/>`+"\n", x, colours[i%len(colours)])
		text(&b, x+18, 49, "start", s)
	}
	for row, s := range situations {
		for col, m := range drawn {
			top := scale(r.Results, s.stock, m)
			p := panel{x: col * panelWidth, y: headHeight + row*panelHeight, top: top, strategies: strategies, measured: m}
			p.draw(&b, s, slices.DeleteFunc(slices.Clone(r.Results), func(x Result) bool { return x.Stock != s.stock || x.HoldOnOrder != s.hold }))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// panel is one diagram of bars.
type panel struct {
	x, y       int
	top        float64 // of the scale
	strategies []string
	measured
}

func (p panel) draw(b *strings.Builder, s situation, results []Result) {
	text(b, p.x+marginLeft, p.y+marginTop-14, "start", fmt.Sprintf("%s: %s stock, %s", p.name, s.stock, holding(s.hold)))
	for i := range 5 {
		value := p.top * float64(i) / 4
		y := p.height(value)
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/>`+"\n", p.x+marginLeft, y, p.x+marginLeft+plotWidth, y)
		text(b, p.x+marginLeft-6, int(y)+4, "end", fmt.Sprintf("%g", value))
	}
	customers := distinct(results, func(x Result) int { return x.Customers })
	group := float64(plotWidth) / float64(max(len(customers), 1))
	bar := group * 0.8 / float64(max(len(p.strategies), 1))
	for i, n := range customers {
		left := float64(p.x+marginLeft) + group*(float64(i)+0.1)
		text(b, int(left+group*0.4), p.y+marginTop+plotHeight+16, "middle", fmt.Sprintf("customers: %d", n))
		for _, r := range results {
			if r.Customers == n {
				p.bar(b, left+bar*float64(slices.Index(p.strategies, r.Strategy)), bar, r)
			}
		}
	}
}

// bar draws one number; who points at it is told it.
func (p panel) bar(b *strings.Builder, left, width float64, r Result) {
	value := p.value(r)
	y := p.height(value)
	fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s: %g</title></rect>`+"\n",
		left, y, math.Max(width-1, 1), p.height(0)-y, colours[slices.Index(p.strategies, r.Strategy)%len(colours)], html.EscapeString(r.Strategy), value)
}

// height is where a value is, from above.
func (p panel) height(value float64) float64 {
	return float64(p.y+marginTop+plotHeight) - value/p.top*plotHeight
}

func text(b *strings.Builder, x, y int, anchor, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(s))
}

// scale is a round number that no value is above.
func scale(results []Result, stock string, m measured) float64 {
	var most float64
	for _, r := range results {
		if r.Stock == stock {
			most = max(most, m.value(r))
		}
	}
	return roundUp(most)
}

// roundUp gives the next of 1, 2, 4 and 8 times a power of ten; 1 for what is 0 or less.
func roundUp(x float64) float64 {
	if x <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, times := range []float64{1, 2, 4, 8} {
		if x <= times*power {
			return times * power
		}
	}
	return 10 * power
}

// distinct gives the different values in the order in which they first come.
func distinct[T comparable](results []Result, of func(Result) T) []T {
	var all []T
	for _, r := range results {
		if v := of(r); !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}
