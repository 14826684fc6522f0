package app

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// compensation is what is left of an order of Parallel that came by a row of the table of compensations.
type compensation struct {
	status, payment, inventory string
	said                       string // beside order.created, payment.unknown and the end
}

// compensations are the eight rows. What a side is, is what it is when it hears that the other has failed. A side that is told
// while it is in progress undoes itself by never beginning what it has not begun; payment may be found to have been charged then.
var compensations = map[string]compensation{
	"payment failed, stock taken":                                     {"FAILED", "DECLINED", "RELEASED", "payment.failed stock.released stock.reserved"},
	"payment failed, stock in progress, would be taken":               {"FAILED", "DECLINED", "RELEASED", "payment.failed stock.released"},
	"payment failed, stock in progress, would fail":                   {"FAILED", "DECLINED", "RELEASED", "payment.failed stock.released"},
	"stock failed, payment charged":                                   {"FAILED", "REFUNDED", "OUT_OF_STOCK", "payment.processed payment.refunded stock.failed"},
	"stock failed, payment in progress, is charged":                   {"FAILED", "REFUNDED", "OUT_OF_STOCK", "payment.refunded stock.failed"},
	"stock failed, payment in progress, would be charged (not asked)": {"FAILED", "VOIDED", "OUT_OF_STOCK", "payment.voided stock.failed"},
	"stock failed, payment in progress, fails":                        {"FAILED", "VOIDED", "OUT_OF_STOCK", "payment.voided stock.failed"},
	"both failed":    {"FAILED", "DECLINED", "OUT_OF_STOCK", "payment.failed stock.failed"},
	"both succeeded": {"COMPLETED", "SUCCESS", "RESERVED", "payment.processed stock.reserved"},
}

// mishap is what befalls a module, or the provider, in the middle of each thing that it does.
type mishap string

const (
	none    mishap = "all is well"
	fails   mishap = "fails"   // its transaction is rolled back, and the fact comes again; the provider's answer is lost
	crashes mishap = "crashes" // after the commit, so that the fact comes again; the provider has charged, and another charger takes over
)

var mishaps = []mishap{none, fails, crashes}

// part is an order whose two sides come to something, and the order in which each module meets what it is to meet.
type part struct {
	actor
	mishap
	turns   map[saga.Module][]string // what is awaited, the next first; what is not in it is taken at any time
	pending []post
	said    map[event.Name]bool
	blames  event.Name // the failure that the order heard of first
	row     string     // of the table, that it came by
	door    *door      // before the provider's answer
}

// Provider's turns, among the facts that payment hears.
const (
	asked    = "asked"    // the provider does what it is asked for, and has not answered
	answered = "answered" // its answer comes
	again    = "again"    // it is asked again, or for a refund
)

// Each row of the table of compensations is come by in every order in which each module can meet what it meets: facts, and for payment
// what the provider does and answers. Modules do not touch each other's rows, so how their turns lie between each other's is no
// matter. A slow module is one whose turns come last. All is well in all of the turns, or each of them fails or crashes first: the
// suite draws one of these for each order, a drill has all three.
func TestDrillParallelCompensations(t *testing.T) {
	t.Parallel()
	s := newStageWithoutCharger(t, saga.Parallel, false)
	provider := s.doors()
	parts := s.parts(rand.New(rand.NewPCG(testkit.Seed(t), 3)))
	for s.round(parts, provider) {
	}
	reached := map[string]bool{}
	actors := make([]actor, len(parts))
	for i, p := range parts {
		actors[i] = p.actor
	}
	for i, e := range s.ends(actors) {
		p := parts[i]
		if p.row == "" {
			p.row = "both succeeded"
		}
		reached[fmt.Sprint(p.row, ": ", p.mishap)] = true
		p.judge(t, p.name, e)
		said := slices.DeleteFunc(e.Said, func(name string) bool { return strings.HasPrefix(name, "order.") || name == "payment.unknown" })
		got := compensation{e.Status, e.Payment, e.Inventory, strings.Join(said, " ")}
		if diff := cmp.Diff(compensations[p.row], got, cmp.AllowUnexported(compensation{})); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", p.name, p.row, diff)
		}
		if blame := map[event.Name]string{event.StockFailed: "OUT_OF_STOCK", event.PaymentFailed: "PAYMENT_FAILED"}[p.blames]; e.Reason != blame {
			t.Errorf("%s: %s for %q, and it heard of %q first", p.name, e.Status, e.Reason, p.blames)
		}
	}
	for row := range compensations {
		for _, m := range mishaps {
			if what := fmt.Sprint(row, ": ", m); !reached[what] {
				t.Errorf("nobody came by %s", what)
			}
		}
	}
	s.again(rand.New(rand.NewPCG(1, 1)))
	s.clean()
}

// parts places an order for each way to go. Nobody hears of them yet.
func (s *stage) parts(random *rand.Rand) (parts []*part) {
	s.Helper()
	for _, short := range []bool{false, true} {
		for _, method := range []string{"pm_ok", "pm_declined"} {
			all := allTurns(short, method == "pm_declined")
			each := testkit.Size(1, len(mishaps))
			if len(all) < len(mishaps) {
				each = len(mishaps)
			}
			for _, turns := range all {
				drawn := random.IntN(len(mishaps))
				for more := range each {
					parts = append(parts, newPart(mishaps[(drawn+more)%len(mishaps)], method, short, turns))
				}
			}
		}
	}
	scarce := s.product(1)
	var placing sync.WaitGroup
	atOnce := make(chan struct{}, 8)
	for i, p := range parts {
		atOnce <- struct{}{}
		placing.Go(func() {
			defer func() { <-atOnce }()
			second := s.plenty[(i+1)%len(s.plenty)]
			if p.short {
				second = scarce
			}
			s.place(&p.actor, s.plenty[i%len(s.plenty)], second)
		})
	}
	placing.Wait()
	return parts
}

func newPart(m mishap, method string, short bool, turns map[saga.Module][]string) *part {
	p := &part{mishap: m, turns: map[saga.Module][]string{}, said: map[event.Name]bool{}}
	p.scene = scene{
		name: fmt.Sprint(m, ", ", method, ", short ", short, ", ", turns), method: method, short: short,
		ends: "COMPLETED FAILED/PAYMENT_FAILED FAILED/OUT_OF_STOCK",
	}
	for module, names := range turns {
		p.turns[module] = slices.Clone(names)
	}
	return p
}

// allTurns gives every order in which the modules can meet what comes of two sides that succeed or fail.
func allTurns(short, declined bool) (all []map[saga.Module][]string) {
	inventory, payments := [][]string{{"order.created"}}, [][]string{{"order.created", asked, answered, again}}
	orders := [][]string{{"stock", "payment"}, {"payment", "stock"}}
	if declined {
		inventory = [][]string{{"order.created", "payment.failed"}, {"payment.failed", "order.created"}}
	}
	if short {
		way := payments[0]
		payments = nil
		for at := range len(way) + 1 { // between the last two there is time only when an answer was lost
			payments = append(payments, slices.Insert(slices.Clone(way), at, "stock.failed"))
		}
	}
	if declined || short {
		orders = permutations([]string{"stock", "payment", "undone"})
	}
	for _, i := range inventory {
		for _, p := range payments {
			for _, o := range orders {
				all = append(all, map[saga.Module][]string{saga.Inventory: i, saga.Payment: p, saga.Order: o})
			}
		}
	}
	return all
}

func permutations(words []string) (all [][]string) {
	if len(words) == 0 {
		return [][]string{nil}
	}
	for i, first := range words {
		for _, rest := range permutations(slices.Delete(slices.Clone(words), i, i+1)) {
			all = append(all, append([]string{first}, rest...))
		}
	}
	return all
}
