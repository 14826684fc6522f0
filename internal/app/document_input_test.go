package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/api"
)

// schema is what the test reads of the API document's schemas.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Example    any                `json:"example"`
	Enum       []any              `json:"enum"`
	Items      *schema            `json:"items"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
}

type operation struct {
	Parameters []struct {
		In     string  `json:"in"`
		Schema *schema `json:"schema"`
	} `json:"parameters"`
}

type document struct {
	Paths       map[string]map[string]operation `json:"paths"`
	Definitions map[string]*schema              `json:"definitions"`
}

func readDocument(t *testing.T) *document {
	t.Helper()
	var d document
	if err := json.Unmarshal(api.Document, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

func (d *document) resolve(s *schema) *schema {
	for s.Ref != "" {
		s = d.Definitions[strings.TrimPrefix(s.Ref, "#/definitions/")]
	}
	return s
}

// sample makes a value of a schema with every field in it.
func (d *document) sample(s *schema) any {
	s = d.resolve(s)
	switch {
	case s.Example != nil:
		return s.Example
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Format == "uuid":
		return uuid.NewString()
	}
	switch s.Type {
	case "object":
		object := map[string]any{}
		for name, field := range s.Properties {
			object[name] = d.sample(field)
		}
		return object
	case "array":
		return []any{d.sample(s.Items)}
	case "integer":
		return 1
	case "boolean":
		return true
	}
	return "text"
}

// place is a field in a sample: the object that it is in, by names and indices, and its name there.
type place struct {
	path     []any
	name     string
	schema   *schema
	required bool
}

// field is the name of a place as problems write it: items[0].quantity.
func field(path []any, name string) string {
	var text strings.Builder
	for _, step := range append(slices.Clone(path), name) {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&text, "[%d]", step)
		case string:
			text.WriteString("." + step)
		}
	}
	return strings.TrimPrefix(text.String(), ".")
}

// places lists the fields of a schema, those of what is in it included; objects lists where its objects are.
func (d *document) places(s *schema, path []any) (fields []place, objects [][]any) {
	s = d.resolve(s)
	switch s.Type {
	case "array":
		return d.places(s.Items, append(slices.Clone(path), 0))
	case "object":
		objects = append(objects, path)
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			of := d.resolve(s.Properties[name])
			fields = append(fields, place{path, name, of, slices.Contains(s.Required, name)})
			deeper, more := d.places(of, append(slices.Clone(path), name))
			fields, objects = append(fields, deeper...), append(objects, more...)
		}
	}
	return fields, objects
}

// changed writes a sample with something done to the object at a path.
func changed(t *testing.T, sample any, path []any, change func(map[string]any)) string {
	t.Helper()
	body, err := json.Marshal(sample)
	if err != nil {
		t.Fatal(err)
	}
	var whole any
	if err := json.Unmarshal(body, &whole); err != nil {
		t.Fatal(err)
	}
	at := whole
	for _, step := range path {
		switch step := step.(type) {
		case int:
			at = at.([]any)[step]
		case string:
			at = at.(map[string]any)[step]
		}
	}
	change(at.(map[string]any))
	if body, err = json.Marshal(whole); err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// wrongTypes are values that a field cannot have.
func wrongTypes(s *schema) []any {
	values := map[string][]any{
		"string": {7, true, []any{"x"}, map[string]any{}}, "integer": {"5", 1.5, true, []any{1}, map[string]any{}},
		"boolean": {"true", 1, []any{}}, "array": {map[string]any{}, "x", 1}, "object": {[]any{}, "x", 1},
	}[s.Type]
	if s.Format == "uuid" {
		values = append(values, "not a uuid", strings.ReplaceAll(uuid.NewString(), "-", ""))
	}
	return values
}

// The document and the server agree on what a body must have: for every operation, each field of its body is refused when it is
// of a wrong type, each required one when it is null or left out, and what is in no document is refused beside them. Bodies where
// none is meant are refused as well. All of it changes nothing.
func TestBodiesAreWhatTheDocumentSays(t *testing.T) {
	t.Parallel()
	s := open(t)
	mug := s.product("MUG", 1275, 100)
	who := s.operator()
	who.must(http.StatusOK, http.MethodPut, "/cart/items/"+mug, `{"quantity":1}`)
	bought := who.buy("k", buyNow(mug, 2, "pm_ok"))
	s.clean()
	d := readDocument(t)
	before := s.content()
	tried := 0
	for path, operations := range d.Paths {
		for method, o := range operations {
			path = filled(path, map[string]string{"/products/": mug, "/items/": mug, "/orders/": bought.ID})
			try := attempt{t, s, who, strings.ToUpper(method), path}
			tried += try.all(d, o)
		}
	}
	if tried < 300 {
		t.Errorf("tried %d requests only", tried)
	}
	if after := s.content(); after != before {
		t.Errorf("something has changed:\n%s\nbefore\n%s", after, before)
	}
}

// filled puts ids into a path: those of things that are there, as far as they are known by what stands before them.
func filled(path string, known map[string]string) string {
	for {
		open, end := strings.Index(path, "{"), strings.Index(path, "}")
		if open < 0 {
			return path
		}
		id := uuid.NewString()
		for before, there := range known {
			if strings.HasSuffix(path[:open], before) {
				id = there
			}
		}
		path = path[:open] + id + path[end+1:]
	}
}

// attempt tries one operation.
type attempt struct {
	t      *testing.T
	shop   *shop
	who    customer
	method string
	path   string
}

// all tries everything that the operation must refuse, and returns how many requests that were.
func (a attempt) all(d *document, o operation) (tried int) {
	for _, p := range o.Parameters {
		if p.In == "body" && len(d.resolve(p.Schema).Properties) == 0 {
			return 0 // a payment provider's, signed
		}
		if p.In == "body" {
			return a.body(d, p.Schema)
		}
	}
	return a.each(`{"items":[]}`, `{"dry_run":true}`, `[]`, `[{}]`, `"x"`, `null`, `1`, `{"x`, `{}{}`, `{} x`, "\x00")
}

func (a attempt) body(d *document, of *schema) (tried int) {
	refused := func(named string, path []any, change func(map[string]any)) {
		a.refused(changed(a.t, d.sample(of), path, change), named)
		tried++
	}
	fields, objects := d.places(of, nil)
	for _, f := range fields {
		if f.required {
			refused(field(f.path, f.name), f.path, func(o map[string]any) { delete(o, f.name) })
			refused(field(f.path, f.name), f.path, func(o map[string]any) { o[f.name] = nil })
		}
		for _, wrong := range wrongTypes(f.schema) {
			refused("", f.path, func(o map[string]any) { o[f.name] = wrong })
		}
	}
	for _, path := range objects {
		refused(field(path, "surprise"), path, func(o map[string]any) { o["surprise"] = 1 })
	}
	return tried + a.each(``, `null`, `[]`, `"x"`, `{`, `{}{}`)
}

func (a attempt) each(bodies ...string) int {
	for _, body := range bodies {
		a.refused(body, "")
	}
	return len(bodies)
}

// refused wants a problem that is the client's fault, and that names the field if one is given.
func (a attempt) refused(body, named string) {
	a.t.Helper()
	if body == "" && a.method == http.MethodGet {
		return
	}
	req, err := http.NewRequestWithContext(a.t.Context(), a.method, a.shop.url+a.path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.who.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", uuid.NewString())
	res, err := a.shop.http.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	var p problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.Header.Get("Content-Type") != "application/problem+json" ||
		res.StatusCode < 400 || res.StatusCode > 499 || p.Status != res.StatusCode {
		a.t.Errorf("%s %s with %q: answered %d %+v", a.method, a.path, body, res.StatusCode, p)
		return
	}
	for _, line := range p.Errors {
		if line.Field == named {
			return
		}
	}
	if named != "" {
		a.t.Errorf("%s %s with %s: names %+v, not %s", a.method, a.path, body, p.Errors, named)
	}
}

// volatile are tables that an instance writes to without being asked.
const volatile = `{shared.leases, shared.relay_mark, shared.refills, shared.reconciliations, shared.reconcile_mark, shared.redis_memory, payment.hunts}`

// content is a digest of each table that is written to because of a request.
func (s *shop) content() string {
	s.t.Helper()
	rows, err := s.env.DB.Query(s.t.Context(), `SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('cart', 'inventory', 'orders', 'payment', 'shared') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		AND c.oid::regclass::text <> ALL ($1::text::text[]) ORDER BY 1`, volatile)
	if err != nil {
		s.t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	var all strings.Builder
	for _, table := range tables {
		var n int
		var digest string
		if err := s.env.DB.QueryRow(s.t.Context(), `SELECT count(*), coalesce(md5(string_agg(r::text, chr(10) ORDER BY r::text)), '')
			FROM `+table+` AS r`).Scan(&n, &digest); err != nil {
			s.t.Fatal(err)
		}
		fmt.Fprintln(&all, table, n, digest)
	}
	return all.String()
}
