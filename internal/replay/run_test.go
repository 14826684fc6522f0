package replay

import (
	"encoding/json"
	"io"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// played runs the few orders against a bad shop.
func played(t *testing.T, s *badShop, change func(*Options)) (Report, error) {
	t.Helper()
	s.stock, s.lines, s.alreadyTried = map[string]int64{}, map[string]int64{}, map[string]bool{}
	s.carts, s.orders, s.byKey = map[string]map[string]int64{}, map[string]orderJSON{}, map[string]string{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	o := few(t)
	o.BaseURL, o.Tokens = server.URL, func(sub string, _ bool) (string, error) { return sub, nil }
	o.StockFactor, o.Abandon, o.BuyNow, o.Decline, o.Repeat, o.Concurrency = 1, 0, 0.5, 0, 0.5, 4
	o.EndWait = 300 * time.Millisecond
	if change != nil {
		change(&o)
	}
	return Run(t.Context(), o, io.Discard)
}

// wantSold is all that the few orders ask for.
var wantSold = map[string]int64{"id-a": 6, "id-b": 5, "id-new": 14}

func TestRunLivesThroughLostAnswers(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*badShop{
		"sound": {}, "lost answers": {loseAnswers: 3}, "unavailable": {unavailable: 2}, "both": {loseAnswers: 3, unavailable: 4},
		"holds lost": {losesHolds: "hold-lost"}, "holds expired": {losesHolds: "hold-expired"}, "prices changed": {losesHolds: "price-changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := played(t, s, func(o *Options) { o.Repeat = 1 })
			if err != nil {
				t.Fatal(err)
			}
			if r.OrdersPlaced != 5 || r.OrdersCompleted != 5 || len(s.orders) != 5 || r.Repeated != 5 || r.RejectedAtCart+r.RejectedAtCheckout != 0 {
				t.Errorf("%d orders in the shop, report %+v", len(s.orders), r)
			}
			if diff := cmp.Diff(wantSold, s.lines); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRunDropsWhatCannotBeHad(t *testing.T) {
	t.Parallel()
	for name, buyNow := range map[string]float64{"cart": 0, "buy now": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &badShop{}
			r, err := played(t, s, func(o *Options) { o.BuyNow, o.StockFactor, o.Concurrency = buyNow, 0.5, 1 })
			if err != nil {
				t.Fatal(err)
			}
			// Stock: a 3 of 6, b 3 of 5, new 7 of 14. Invoices ask for a 5 and b 1; b 4; a 1; new 7; new 7.
			if diff := cmp.Diff(map[string]int64{"id-a": 1, "id-b": 1, "id-new": 7}, s.lines); diff != "" {
				t.Error(diff)
			}
			if r.OrdersPlaced != 3 || r.NothingLeft != 2 || r.RejectedAtCart+r.RejectedAtCheckout != 3 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestRunTellsBrokenPromises(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		shop *badShop
		want string
		got  func(Report) int
	}{
		"another order for the same key": {&badShop{forgetsKeys: true}, "repeated requests got another answer", func(r Report) int { return r.RepeatedDifferently }},
		"orders that never end":          {&badShop{neverEnds: true}, "5 orders have not ended", func(r Report) int { return r.OrdersNotEnded }},
		"more than was asked for":        {&badShop{addsLine: true}, "5 orders are not what was asked for", func(r Report) int { return r.OrderedDifferently }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := played(t, c.shop, func(o *Options) { o.BuyNow, o.Repeat, o.StockFactor = 1, 1, 3 })
			if err == nil || !strings.Contains(err.Error(), c.want) || c.got(r) != 5 {
				t.Errorf("got %v and %+v", err, r)
			}
		})
	}
}

func TestRunAbandonsAndTopsUp(t *testing.T) {
	t.Parallel()
	s := &badShop{}
	var options Options
	r, err := played(t, s, func(o *Options) {
		o.Abandon, o.ReportPath = 1, filepath.Join(t.TempDir(), "report.json")
		options = *o
	})
	if err != nil || r.Abandoned != 5 || r.OrdersPlaced != 0 || r.CartMS.Count != 6 {
		t.Fatalf("%v, %+v", err, r)
	}
	var written Report
	body, err := os.ReadFile(options.ReportPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &written); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, written); diff != "" {
		t.Error(diff)
	}
	s.stock["id-a"], s.stock["id-b"] = 2, 50
	if _, err := Run(t.Context(), options, io.Discard); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"id-a": 6, "id-b": 50, "id-z": 0, "id-new": 14}, s.stock); diff != "" {
		t.Error(diff)
	}
}

func TestRunRefusesWrongOptions(t *testing.T) {
	t.Parallel()
	o := Defaults()
	o.BaseURL, o.Products, o.Orders, o.Tokens = "http://localhost", "p", "o", func(string, bool) (string, error) { return "", nil }
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"url": func(o *Options) { o.BaseURL = "" }, "key": func(o *Options) { o.Tokens = nil }, "concurrency": func(o *Options) { o.Concurrency = 0 },
		"share": func(o *Options) { o.Repeat = 1.1 }, "not a number": func(o *Options) { o.Decline = math.NaN() }, "limit": func(o *Options) { o.Limit = -1 },
		"rate": func(o *Options) { o.Rate = -1 }, "stock factor": func(o *Options) { o.StockFactor = math.NaN() },
	} {
		wrong := o
		change(&wrong)
		if wrong.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
