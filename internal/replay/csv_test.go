package replay

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// written puts content into a file of its own and gives the path.
func written(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func zipped(t *testing.T, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var compare = cmp.AllowUnexported(product{}, row{}, skipped{}, invoice{}, line{}, plan{})

func TestReadProducts(t *testing.T) {
	t.Parallel()
	content := "\ufeffname,Unit_Price_Minor,sku,more\n\"LAMP, \"\"RED\"\"\",1275, 22423 ,x\n,0,10002,\n"
	want := []product{{sku: "22423", name: `LAMP, "RED"`, price: 1275, line: 2}, {sku: "10002", name: "10002", line: 3}}
	for name, file := range map[string]string{
		"plain.csv.gz": content, "packed.csv": zipped(t, content), "quoted.csv": strings.Replace(content, "name,", `"name",`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readProducts(written(t, name, file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, compare); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadOrdersSkipsWhatIsNoOrder(t *testing.T) {
	t.Parallel()
	path := written(t, "orders.csv", `invoice,customer,ts,sku,quantity,unit_price_minor,country
536365,17850,2010-12-01T08:26:00Z,21730,6,425,United Kingdom
C536379,14527,2010-12-01T09:41:00Z,D,-1,2750,United Kingdom
c536380,14527,2010-12-01T09:41:00Z,D,-2,2750,United Kingdom
C0FFEE,14527,2010-12-01T09:42:00Z,D,1,2750,United Kingdom
536589,,2010-12-01T16:50:00Z,21777,-10,0,United Kingdom
536590,,2010-12-01T16:51:00Z,21777,0,0,United Kingdom
536591,,2010-12-01T16:52:00Z,21777,2,0,"Korea, Republic of"
`)
	rows, skip, err := readOrders(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []row{
		{invoice: "536365", customer: "17850", sku: "21730", quantity: 6, price: 425, at: time.Date(2010, 12, 1, 8, 26, 0, 0, time.UTC)},
		{invoice: "C0FFEE", customer: "14527", sku: "D", quantity: 1, price: 2750, at: time.Date(2010, 12, 1, 9, 42, 0, 0, time.UTC)},
		{invoice: "536591", sku: "21777", quantity: 2, at: time.Date(2010, 12, 1, 16, 52, 0, 0, time.UTC)},
	}
	if diff := cmp.Diff(want, rows, compare); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(skipped{cancellations: 2, negative: 2}, skip, compare); diff != "" {
		t.Error(diff)
	}
}

func TestBadRowsNameFileAndLine(t *testing.T) {
	t.Parallel()
	const header = "invoice,customer,ts,sku,quantity\n1,a,2010-12-01T08:26:00Z,s,1\n"
	cases := map[string]struct{ content, want string }{
		"empty file":       {"", "orders.csv: empty"},
		"missing column":   {"invoice,customer,ts,sku\n", `orders.csv: line 1: no column "quantity" among ["invoice" "customer" "ts" "sku"]`},
		"semicolons":       {"invoice;customer;ts;sku;quantity\n", `separated by ";", not by commas`},
		"tabs":             {"invoice\tcustomer\tts\tsku\tquantity\n", `separated by "\t", not by commas`},
		"Latin-1":          {header + "2,caf\xe9,2010-12-01T08:26:00Z,s,1\n", "orders.csv: line 3, column 3: not UTF-8"},
		"Latin-1 header":   {"invoice,customer,ts,sku,quantity,libell\xe9\n", "orders.csv: line 1, column 34: not UTF-8"},
		"too few fields":   {header + "2,a\n", "orders.csv: record on line 3"},
		"open quote":       {header + "\"2,a,2010-12-01T08:26:00Z,s,1\n", "orders.csv: parse error on line 3"},
		"no number":        {header + "2,a,2010-12-01T08:26:00Z,s,1.5\n", `orders.csv: line 3: quantity "1.5"`},
		"number too large": {header + "2,a,2010-12-01T08:26:00Z,s,9223372036854775808\n", "orders.csv: line 3: quantity"},
		"sum would wrap":   {header + "2,a,2010-12-01T08:26:00Z,s,9223372036854775807\n", "orders.csv: line 3: quantity"},
		"no time":          {header + "2,a,yesterday,s,1\n", `orders.csv: line 3: ts "yesterday"`},
		"no sku":           {header + "2,a,2010-12-01T08:26:00Z,,1\n", "orders.csv: line 3: sku is empty"},
		"no invoice":       {header + " ,a,2010-12-01T08:26:00Z,s,1\n", "orders.csv: line 3: invoice is empty"},
		"broken gzip":      {"\x1f\x8bnot really", "orders.csv: gzip"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := readOrders(written(t, "orders.csv", c.content))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestBadProducts(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ row, want string }{
		"price below 0": {"b,B,-1", "line 3: unit_price_minor -1"},
		"no price":      {"b,B,", "line 3: unit_price_minor"},
		"invisible":     {"b\u200b,B,1", "line 3: sku \"b\\u200b\" must be printable"},
		"long name":     {"b," + strings.Repeat("n", 301) + ",1", "line 3: name has 301 characters"},
		"sku twice":     {"a,B,1", `line 3: sku "a" stands twice`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := readProducts(written(t, "p.csv", "sku,name,unit_price_minor\na,A,1\n"+c.row+"\n"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
