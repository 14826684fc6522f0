package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// said are facts as the modules say them.
func said() map[string]any {
	id, now := uuid.Must(uuid.NewV7()), time.Now()
	terms := event.Terms{TotalMinor: 1275, Currency: "GBP", PaymentMethod: "pm_ok"}
	stock := []event.StockLine{{ProductID: id, Quantity: 2, Available: 98, Version: 3}}
	return map[string]any{
		"Order":      event.Order{Customer: "ann", HoldID: id, Lines: []event.OrderLine{{ProductID: id, Quantity: 2}}, Terms: terms},
		"OrderState": event.OrderState{Version: 2, Customer: "ann", Status: "PROCESSING", TotalMinor: 1275, Currency: "GBP"},
		"OrderEnd": event.OrderEnd{
			OrderState: event.OrderState{Version: 3, Customer: "ann", Status: "COMPLETED", TotalMinor: 1275, Currency: "GBP", EndedAt: &now},
			Lines:      []event.SoldLine{{ProductID: id, SKU: "MUG", Name: "Mug", Quantity: 1, UnitPriceMinor: 1275}},
		},
		"Stock":      event.Stock{Lines: stock},
		"OrderStock": event.OrderStock{HoldID: id, Lines: stock, Terms: terms},
		"LaneOrder":  event.LaneOrder{Lane: 2, Order: event.Order{Customer: "ann", HoldID: id, Lines: []event.OrderLine{{ProductID: id, Quantity: 2}}, Terms: terms}},
		"LaneStock":  event.LaneStock{Lane: 2, OrderStock: event.OrderStock{HoldID: id, Lines: stock, Terms: terms}},
		"Payment":    event.Payment{ChargeID: "ch_1", Terms: terms},
	}
}

// The schema of an event takes the event as the outbox holds it, and no other's.
func TestSchemasFitEvents(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	files := map[string][]byte{}
	if err := events(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	facts, err := readFacts(eventDir)
	if err != nil {
		t.Fatal(err)
	}
	examples := said()
	for _, f := range facts {
		schema := compile(t, f.name, files[f.file()])
		encoded := event.Encode(event.New(event.Name(f.name), "optimistic", uuid.Must(uuid.NewV7()), examples[f.shape]))
		if err := schema.Validate(instance(t, encoded)); err != nil {
			t.Errorf("%s does not take %s: %v", f.file(), encoded, err)
		}
		other := bytes.Replace(encoded, []byte(f.name), []byte("other.said"), 1)
		if schema.Validate(instance(t, other)) == nil {
			t.Errorf("%s takes %s", f.file(), other)
		}
		if lines := bytes.Replace(encoded, []byte(`"lines":[`), []byte(`"lines":["x",`), 1); !bytes.Equal(lines, encoded) && schema.Validate(instance(t, lines)) == nil {
			t.Errorf("%s takes %s", f.file(), lines)
		}
	}
}

func compile(t *testing.T, name string, body []byte) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	name = "schema:///" + name // else it is a file of this folder, whose name may need escapes
	if err := c.AddResource(name, instance(t, body)); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return schema
}

func instance(t *testing.T, body []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return v
}

// A constant says its shape in its comment; one that does not is found.
func TestFactWithoutShape(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := "package event\n\ntype Name string\n\nconst (\n\tA Name = \"a.said\" // Order; means it\n\tB Name = \"b.said\"\n\tC = \"none\"\n)\n"
	if err := os.WriteFile(filepath.Join(dir, "a.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	facts, err := readFacts(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []fact{{"a.said", "Order", "means it"}, {"b.said", "", ""}}
	if len(facts) != 2 || facts[0] != want[0] || facts[1] != want[1] {
		t.Errorf("%+v, want %+v", facts, want)
	}
}

// Every operation gets the prefix, a default answer and the type of problems; what is outside the API keeps its path.
func TestComplete(t *testing.T) {
	t.Parallel()
	operation := func(tag string) map[string]any {
		return map[string]any{"get": map[string]any{"tags": []any{tag}, "produces": []any{"application/json"}, "responses": map[string]any{}}}
	}
	doc := map[string]any{"paths": map[string]any{"/orders": operation("orders"), "/livez": operation("probes"), "/api/v1/cart": operation("cart")}}
	complete(doc)
	paths := doc["paths"].(map[string]any)
	for _, path := range []string{"/api/v1/orders", "/livez", "/api/v1/cart"} {
		item, there := paths[path].(map[string]any)
		if !there {
			t.Errorf("no %s in %v", path, paths)
			continue
		}
		got := item["get"].(map[string]any)
		if _, there := got["responses"].(map[string]any)["default"]; !there || len(got["produces"].([]any)) != 2 {
			t.Errorf("%s is %v", path, got)
		}
	}
}

func TestCheckFindsStaleFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sub", "a.json")
	if err := put(path, []byte("new"), true); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing file: %v", err)
	}
	if err := put(path, []byte("new"), false); err != nil {
		t.Fatal(err)
	}
	if err := put(path, []byte("new"), true); err != nil {
		t.Errorf("a fresh file: %v", err)
	}
	if err := put(path, []byte("newer"), true); err == nil {
		t.Error("a stale file is fresh")
	}
	if err := put(path, nil, true); err == nil {
		t.Error("a file of no event is fresh")
	}
}
