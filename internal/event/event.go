// Package event holds the name and shape of every fact that crosses a module's border, and the envelope it travels in:
// a CloudEvents 1.0 event in JSON, alone or in a batch. A file per speaker: order.go, stock.go, payment.go.
package event

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/clock"
)

// Name is what a fact says happened, like stock.reserved. It is the CloudEvents type.
type Name string

// Shop stands where a strategy would for a fact that belongs to no order.
const Shop = "shop"

// Fact is one thing that happened, as a module says it or hears it.
type Fact struct {
	ID          uuid.UUID       // UUIDv7; the same for every copy of the fact
	Name        Name            // what happened
	Strategy    string          // strategy of the order it belongs to, or Shop
	OrderID     uuid.UUID       // the order it belongs to; zero for facts of the shop
	Cause       uuid.UUID       // the fact that led to it; zero when a person or a clock did
	At          time.Time       // when it was said, UTC
	TraceParent string          // W3C trace context, passed on
	Version     int             // of the shape of Data: 0 is the first, which readers of later versions still read
	Part        string          // for facts that not all who hear their name hear: which part of the work it is of; else ""
	Data        json.RawMessage // the shape that belongs to Name
}

// versions are the shapes beyond the first. A field more that a reader may overlook is no new version: what is, is a shape that a
// reader of an older version would read wrongly.
var versions = map[Name]int{}

// Version is the newest shape of a name's data that this program says and reads.
func Version(name Name) int { return versions[name] }

// New makes a fact with a fresh id, saying data.
// It panics when data cannot be encoded: the shapes of this package always can.
func New(name Name, strategy string, orderID uuid.UUID, data any) Fact {
	body, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("event %s: encode %T: %v", name, data, err)) // a shape of this package that JSON cannot hold
	}
	return Fact{ID: clock.NewID(), Name: name, Strategy: strategy, OrderID: orderID, At: clock.Now(), Version: Version(name), Data: body}
}

// Answer makes the fact that follows from hearing f: same order, strategy and trace, with f as its cause.
func (f Fact) Answer(name Name, data any) Fact {
	a := New(name, f.Strategy, f.OrderID, data)
	a.Cause, a.TraceParent = f.ID, f.TraceParent
	return a
}

// RoutingKey is the key it is published under: <strategy>.<name>, and its part behind it if it has one.
func (f Fact) RoutingKey() string { return PartKey(f.Strategy, f.Name, f.Part) }

// Row is the row of a strategy's table that it is heard by: <strategy>.<name>.
func (f Fact) Row() string { return RoutingKey(f.Strategy, f.Name) }

// RoutingKey is the key that a fact of that name and strategy is published under.
func RoutingKey(strategy string, name Name) string { return strategy + "." + string(name) }

// PartKey is the key that a fact of that name, strategy and part is published under.
func PartKey(strategy string, name Name, part string) string {
	if part == "" {
		return RoutingKey(strategy, name)
	}
	return RoutingKey(strategy, name) + "." + part
}

// Decode reads a fact's data.
func Decode[T any](f Fact) (T, error) {
	var v T
	if err := json.Unmarshal(f.Data, &v); err != nil {
		return v, fmt.Errorf("decode %s %s: %w", f.Name, f.ID, err)
	}
	return v, nil
}
