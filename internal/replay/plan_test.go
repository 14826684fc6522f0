package replay

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func plans(o Options) []plan {
	var all []plan
	for i := range 4000 {
		all = append(all, choose(o, fmt.Sprint(i), "c"))
	}
	return all
}

func TestPlansComeFromTheSeedAlone(t *testing.T) {
	t.Parallel()
	o := Defaults()
	first := plans(o)
	if diff := cmp.Diff(first, plans(o), compare); diff != "" {
		t.Errorf("the same seed chose differently: %s", diff)
	}
	o.Seed++
	if cmp.Equal(first, plans(o), compare) {
		t.Error("another seed chose the same")
	}
}

func TestSharesAreKeptAndDoNotShiftEachOther(t *testing.T) {
	t.Parallel()
	o := Defaults()
	o.Abandon, o.BuyNow, o.Decline, o.Repeat = 0.1, 0.3, 0.2, 0.4
	first := plans(o)
	var abandoned, bought, declined, poor, twin, later int
	count := func(n *int, is bool) {
		if is {
			*n++
		}
	}
	for _, p := range first {
		count(&abandoned, p.abandon)
		count(&bought, p.buyNow)
		count(&declined, p.method == methodDeclined)
		count(&poor, p.method == methodInsufficient)
		count(&twin, p.repeat == twins)
		count(&later, p.repeat == again)
		if p.abandon && p.buyNow {
			t.Fatal("an abandoned cart that is bought without a cart")
		}
	}
	for name, c := range map[string]struct{ got, want int }{
		"abandoned": {abandoned, 400}, "bought now": {bought, 1080}, "declined": {declined, 400}, "without funds": {poor, 400},
		"twins": {twin, 800}, "repeated later": {later, 800},
	} {
		if c.got < c.want*8/10 || c.got > c.want*12/10 {
			t.Errorf("%d of 4000 %s, want about %d", c.got, name, c.want)
		}
	}
	o.Abandon = 0
	for i, p := range plans(o) {
		if p.method != first[i].method || p.repeat != first[i].repeat {
			t.Fatal("another share of abandoned carts changed the other choices")
		}
	}
}

func TestSharesOfNothingAndAll(t *testing.T) {
	t.Parallel()
	o := Defaults()
	o.Abandon, o.BuyNow, o.Decline, o.Repeat = 0, 0, 0, 0
	for _, p := range plans(o) {
		if diff := cmp.Diff(plan{method: methodOK}, p, compare); diff != "" {
			t.Fatal(diff)
		}
	}
	o.BuyNow, o.Decline, o.Repeat = 1, 1, 1
	for _, p := range plans(o) {
		if !p.buyNow || p.method == methodOK || p.repeat == once {
			t.Fatalf("%+v with every share 1", p)
		}
	}
}

func TestCartsOfOthersAreClearedFirst(t *testing.T) {
	t.Parallel()
	o := Defaults()
	o.BuyNow, o.Abandon = 0, 0
	invoices := make([]invoice, 5)
	for i, customer := range []string{"a", "", "a", "b", "a"} {
		invoices[i] = invoice{number: fmt.Sprint(i), customer: customer}
	}
	planAll(invoices, o)
	var got []bool
	for _, inv := range invoices {
		got = append(got, inv.plan.clear)
	}
	if diff := cmp.Diff([]bool{true, false, false, true, false}, got); diff != "" {
		t.Error(diff)
	}
	o.Abandon = 1
	planAll(invoices, o)
	for i, inv := range invoices {
		if inv.plan.clear != (inv.customer != "") {
			t.Errorf("invoice %d after an abandoned cart: clear %t", i, inv.plan.clear)
		}
	}
}
