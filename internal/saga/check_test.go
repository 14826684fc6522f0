package saga

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

func TestStrategiesAreSound(t *testing.T) {
	t.Parallel()
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			if err := Check(s); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// edit gives a copy of a strategy with one row changed, or dropped when change answers false.
func edit(s Strategy, when event.Name, do *Verb, change func(*Step) bool) Strategy {
	steps := []Step{}
	for _, step := range slices.Clone(s.Steps) {
		step.Then = slices.Clone(step.Then)
		if step.When == when && step.Do == do && !change(&step) {
			continue
		}
		steps = append(steps, step)
	}
	return Strategy{Name: "broken", Steps: steps}
}

func drop(*Step) bool { return false }

func does(verb *Verb) func(*Step) bool {
	return func(step *Step) bool { step.Do = verb; return true }
}

func TestCheckRefusesBrokenTables(t *testing.T) {
	t.Parallel()
	twice := Strategy{Name: "broken", Steps: append(slices.Clone(Optimistic.Steps), Step{event.StockReserved, charge, nil})}
	circle := edit(Optimistic, event.StockReleased, settle, func(step *Step) bool {
		step.Then = append(step.Then, event.OrderEnding)
		return true
	})
	cases := map[string]struct {
		table Strategy
		want  string
	}{
		"nobody hears":           {edit(Sequenced, event.LaneFailed, gather, drop), "nobody hears lane.failed"},
		"nobody goes on":         {edit(Optimistic, event.StockFailed, fail, drop), "is left at CREATED"},
		"nobody says":            {edit(Optimistic, event.OrderCreated, reserve, drop), "nobody says stock.reserved"},
		"hears twice":            {twice, "payment hears stock.reserved twice"},
		"circle":                 {circle, "a circle"},
		"stock is kept":          {edit(Optimistic, event.PaymentFailed, unwind, does(fail)), "ends while stock or money is held"},
		"money is kept":          {edit(PostPayment, event.StockFailed, unwind, does(fail)), "ends while stock or money is held"},
		"never gives back stock": {edit(Optimistic, event.PaymentFailed, release, drop), "is left at ENDING"},
		"never gives back money": {edit(PostPayment, event.StockFailed, giveBack, drop), "is left at ENDING"},
		"never ends":             {edit(PostPayment, event.StockReserved, advance, drop), "is left at PROCESSING"},
		"said later":             {Strategy{Name: "broken", Steps: Optimistic.Steps, AtOnce: says(event.StockReserved)}, "stock.reserved is heard at once, and said on order.created"},
		"ends at once":           {Strategy{Name: "broken", Steps: Optimistic.Steps, AtOnce: says(event.OrderEnding)}, "order.ending is heard at once"},
		"cancel is not announced": {edit(Optimistic, event.StockReleased, settle, func(step *Step) bool {
			step.Then = says(event.OrderFailed, event.OrderUpdated)
			return true
		}), "says order.cancelled, which its row does not announce"},
		"says what is not announced": {edit(Optimistic, event.StockReserved, advance, func(step *Step) bool {
			step.Then = says(event.OrderCompleted)
			return true
		}), "does not announce"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Check(c.table)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Check gives %v, want %q", err, c.want)
			}
		})
	}
}

// What the auditor takes for possible is written down beside the drawings, so that a table, or a rule of order, that makes more of it
// possible is seen to do so. UPDATE_DRAWINGS=1 writes it anew.
func TestStatesAreWrittenDown(t *testing.T) {
	t.Parallel()
	for _, s := range All() {
		path, states := filepath.Join("testdata", s.Name+".states"), strings.Join(States(s), "\n")+"\n"
		if os.Getenv("UPDATE_DRAWINGS") != "" {
			if err := os.WriteFile(path, []byte(states), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		written, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(states, string(written)); diff != "" {
			t.Errorf("%s is not what the table allows any more (-table +file):\n%s", path, diff)
		}
	}
}

// The drawings in testdata are what the docs show. UPDATE_DRAWINGS=1 draws them anew.
func TestDrawingsAreTheTables(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "strategies.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range All() {
		path := filepath.Join("testdata", s.Name+".mmd")
		if os.Getenv("UPDATE_DRAWINGS") != "" {
			if err := os.WriteFile(path, []byte(Diagram(s)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		drawn, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Diagram(s), string(drawn)); diff != "" {
			t.Errorf("%s is not the table any more (-table +drawing):\n%s", path, diff)
		}
		if !strings.Contains(string(doc), "```mermaid\n"+string(drawn)+"```") {
			t.Errorf("docs/strategies.md does not show %s", path)
		}
	}
}

func TestBook(t *testing.T) {
	t.Parallel()
	book, err := NewBook(All(), "post-payment", []string{"optimistic"})
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]struct {
		name string
		ok   bool
	}{"": {"post-payment", true}, "optimistic": {"optimistic", true}, "post-payment": {"post-payment", false}, "magic": {"magic", false}} {
		if name, ok := book.Choose(asked); name != want.name || ok != want.ok {
			t.Errorf("Choose(%q) = %q, %v", asked, name, ok)
		}
	}
	for _, chosen := range []string{"", "magic"} {
		if _, err := NewBook(All(), chosen, nil); err == nil {
			t.Errorf("a book without strategy %q was made", chosen)
		}
	}
	bound := book.Bindings()
	for module, key := range map[Module]string{Inventory: "pessimistic.order.created", Payment: "pessimistic.stock.reserved"} {
		if slices.Contains(bound[module], key) || !slices.Contains(book.Hears()[key], string(module)) {
			t.Errorf("%s is bound to %s, which it hears at once, or does not hear it at all", module, key)
		}
	}
	if diff := cmp.Diff([]string{"pessimistic.order.created"}, book.Unbound()); diff != "" {
		t.Errorf("what no queue is bound to:\n%s", diff)
	}
	for module, key := range map[Module]string{
		Inventory: "optimistic.order.created", Payment: "post-payment.order.created", Shelf: "shop.stock.adjusted",
		View: "post-payment.order.ending", Order: "optimistic.payment.unknown",
	} {
		if !slices.Contains(bound[module], key) {
			t.Errorf("%s is not bound to %s", module, key)
		}
	}
}
