package replay

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-checkout/holdfast/internal/text"
)

// maxQuantity of one row. It is far above what a server takes and far below where sums overflow.
const maxQuantity = 1_000_000_000

// product is a row of the file of products, and the stock it is to have.
type product struct {
	sku   string
	name  string
	price int64 // minor units
	stock int64
	line  int // of the file; 0: only the invoices name it
}

// row is one line of an invoice, as the file has it.
type row struct {
	invoice, customer, sku string
	at                     time.Time
	quantity, price        int64
}

// skipped counts the rows of the file of orders that are no orders.
type skipped struct {
	cancellations int // rows of invoices whose number begins with C, with a quantity below 0
	negative      int // other rows with a quantity of 0 or less
}

// table reads a CSV file by the names of its header.
type table struct {
	path   string
	reader *csv.Reader
	column map[string]int
	record []string
	err    error // the first wrong field of the record
}

// eachRow calls take for each row of a CSV file, gzip or plain. An error names file and line.
func eachRow(path string, required []string, take func(t *table) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	plain, err := unzipped(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	t, err := newTable(path, plain, required)
	if err != nil {
		return err
	}
	for {
		t.record, err = t.reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err) // names the line
		}
		if err := t.notText(); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := errors.Join(take(t), t.err); err != nil {
			line, _ := t.reader.FieldPos(0)
			return fmt.Errorf("%s: line %d: %w", path, line, err)
		}
	}
}

// byteOrderMark is what some programs begin a file of UTF-8 with.
const byteOrderMark = "\ufeff"

// unzipped looks at the content, not at the name, and leaves a byte order mark out.
func unzipped(file io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(file, 1<<16)
	if head, _ := b.Peek(2); len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b {
		plain, err := gzip.NewReader(b)
		if err != nil {
			return nil, err
		}
		b = bufio.NewReaderSize(plain, 1<<16)
	}
	if head, _ := b.Peek(len(byteOrderMark)); string(head) == byteOrderMark {
		_, _ = b.Discard(len(byteOrderMark)) // it was peeked at
	}
	return b, nil
}

func newTable(path string, plain io.Reader, required []string) (*table, error) {
	t := &table{path: path, reader: csv.NewReader(plain), column: map[string]int{}}
	t.reader.ReuseRecord = true
	header, err := t.reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: empty, where a header was expected", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if t.record = header; t.notText() != nil {
		return nil, fmt.Errorf("%s: %w", path, t.notText())
	}
	for i, name := range header {
		t.column[strings.ToLower(strings.TrimSpace(name))] = i
	}
	for _, name := range required {
		if _, ok := t.column[name]; !ok {
			return nil, fmt.Errorf("%s: line 1: no column %q among %q%s", path, name, header, guess(header))
		}
	}
	return t, nil
}

// guess says which separator a header has instead of commas.
func guess(header []string) string {
	for _, separator := range []string{";", "\t", "|"} {
		if len(header) == 1 && strings.Contains(header[0], separator) {
			return fmt.Sprintf(": its columns seem to be separated by %q, not by commas", separator)
		}
	}
	return ""
}

// notText says where a record is not UTF-8.
func (t *table) notText() error {
	for i, field := range t.record {
		if !utf8.ValidString(field) {
			line, column := t.reader.FieldPos(i)
			return fmt.Errorf("line %d, column %d: not UTF-8", line, column)
		}
	}
	return nil
}

// text gives a field, empty where the file has no such column.
func (t *table) text(name string) string {
	i, ok := t.column[name]
	if !ok {
		return ""
	}
	return strings.Clone(strings.TrimSpace(t.record[i]))
}

// must gives a field that may not be empty.
func (t *table) must(name string) string {
	s := t.text(name)
	if s == "" {
		t.wrong(fmt.Errorf("%s is empty", name))
	}
	return s
}

// number gives a whole number. Whoever calls it has asked for the column, or takes 0.
func (t *table) number(name string, highest int64) int64 {
	s := t.text(name)
	if _, ok := t.column[name]; !ok {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > highest || n < -highest {
		t.wrong(fmt.Errorf("%s %q is no whole number up to %d", name, s, highest))
	}
	return n
}

// moment gives a time.
func (t *table) moment(name string) time.Time {
	at, err := time.Parse(time.RFC3339, t.text(name))
	if err != nil {
		t.wrong(fmt.Errorf("%s %q is no time like 2010-12-01T08:26:00Z", name, t.text(name)))
	}
	return at
}

func (t *table) wrong(err error) {
	if t.err == nil {
		t.err = err
	}
}

// check says what a server would refuse, before anything is sent.
func (p product) check() error {
	for name, field := range map[string]struct {
		text string
		most int
	}{"sku": {p.sku, 64}, "name": {p.name, 300}} {
		if n := utf8.RuneCountInString(field.text); n > field.most {
			return fmt.Errorf("%s has %d characters, more than %d", name, n, field.most)
		}
		if why := text.Wrong(field.text); why != "" {
			return fmt.Errorf("%s %q must be %s", name, field.text, why)
		}
	}
	return nil
}

// readProducts reads the file of products. A sku may stand in it once.
func readProducts(path string) ([]product, error) {
	var products []product
	seen := map[string]bool{}
	err := eachRow(path, []string{"sku", "name", "unit_price_minor"}, func(t *table) error {
		p := product{sku: t.must("sku"), name: t.text("name"), price: t.number("unit_price_minor", maxQuantity)}
		if p.price < 0 {
			return fmt.Errorf("unit_price_minor %d is below 0", p.price)
		}
		p.line, _ = t.reader.FieldPos(0)
		if seen[p.sku] {
			return fmt.Errorf("sku %q stands twice", p.sku)
		}
		if p.name == "" {
			p.name = p.sku
		}
		if err := p.check(); err != nil {
			return err
		}
		seen[p.sku] = true
		products = append(products, p)
		return nil
	})
	return products, err
}

// readOrders reads the file of order lines. What is no order, a cancellation or a quantity of 0 or less, is counted.
func readOrders(path string) ([]row, skipped, error) {
	var rows []row
	var skip skipped
	err := eachRow(path, []string{"invoice", "customer", "ts", "sku", "quantity"}, func(t *table) error {
		r := row{
			invoice: t.must("invoice"), customer: t.text("customer"), sku: t.must("sku"), at: t.moment("ts"),
			quantity: t.number("quantity", maxQuantity), price: t.number("unit_price_minor", maxQuantity),
		}
		switch {
		case t.err != nil:
		case strings.HasPrefix(strings.ToUpper(r.invoice), "C") && r.quantity < 0:
			skip.cancellations++
		case r.quantity <= 0:
			skip.negative++
		default:
			rows = append(rows, r)
		}
		return nil
	})
	return rows, skip, err
}
