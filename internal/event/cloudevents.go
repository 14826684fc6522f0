package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Content types of a message body: one event, or the CloudEvents JSON batch format.
const (
	ContentType      = "application/cloudevents+json"
	BatchContentType = "application/cloudevents-batch+json"
)

// envelope is a CloudEvents 1.0 event in the JSON format. Extension attributes are lower-case letters and digits only.
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              uuid.UUID       `json:"id"`
	Source          string          `json:"source"`
	Type            Name            `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Strategy        string          `json:"strategy"`
	CausationID     string          `json:"causationid,omitempty"`
	TraceParent     string          `json:"traceparent,omitempty"`
	Part            string          `json:"partitionkey,omitempty"`
	Version         int             `json:"dataversion,omitempty"`
	Data            json.RawMessage `json:"data"`
}

// Encode gives the finished event, as the outbox row holds it.
func Encode(f Fact) []byte {
	e := envelope{
		SpecVersion: "1.0", ID: f.ID, Source: "/holdfast/" + speaker(f.Name), Type: f.Name, Time: f.At.UTC(),
		DataContentType: "application/json", Strategy: f.Strategy, TraceParent: f.TraceParent, Part: f.Part, Version: f.Version, Data: f.Data,
	}
	if f.OrderID != uuid.Nil {
		e.Subject = f.OrderID.String()
	}
	if f.Cause != uuid.Nil {
		e.CausationID = f.Cause.String()
	}
	body, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("event %s: encode envelope: %v", f.Name, err)) // Data is valid JSON by New
	}
	return body
}

// speaker is who says facts of that name.
func speaker(name Name) string {
	first, _, _ := strings.Cut(string(name), ".")
	switch {
	case first == "lane":
		return "stock" // asked and answered within inventory
	case strings.HasSuffix(string(name), ".requested"):
		return "order" // who asks; the name says who is asked
	default:
		return first
	}
}

// Batch joins finished events into one batch body.
func Batch(events [][]byte) []byte {
	size := 2
	for _, e := range events {
		size += len(e) + 1
	}
	body := make([]byte, 0, size)
	body = append(body, '[')
	body = append(body, bytes.Join(events, []byte{','})...)
	return append(body, ']')
}

// Split reads a message body, one event or a batch, into its facts. It fails for the whole body if one of them is no
// CloudEvents 1.0 event with a UUID for its id.
func Split(body []byte) ([]Fact, error) {
	body = bytes.TrimSpace(body)
	var events []envelope
	if len(body) > 0 && body[0] == '[' {
		if err := json.Unmarshal(body, &events); err != nil {
			return nil, fmt.Errorf("decode batch: %w", err)
		}
	} else {
		var one envelope
		if err := json.Unmarshal(body, &one); err != nil {
			return nil, fmt.Errorf("decode event: %w", err)
		}
		events = append(events, one)
	}
	facts := make([]Fact, 0, len(events))
	for _, e := range events {
		f, err := e.fact()
		if err != nil {
			return nil, err
		}
		facts = append(facts, f)
	}
	return facts, nil
}

func (e envelope) fact() (Fact, error) {
	if e.SpecVersion != "1.0" || e.ID == uuid.Nil || e.Type == "" || e.Strategy == "" {
		return Fact{}, fmt.Errorf("event %q of type %q is not a CloudEvents 1.0 event of ours", e.ID, e.Type)
	}
	f := Fact{ID: e.ID, Name: e.Type, Strategy: e.Strategy, At: e.Time, TraceParent: e.TraceParent, Part: e.Part, Version: e.Version, Data: e.Data}
	var err error
	if e.Subject != "" {
		if f.OrderID, err = uuid.Parse(e.Subject); err != nil {
			return Fact{}, fmt.Errorf("event %s: subject: %w", e.ID, err)
		}
	}
	if e.CausationID != "" {
		if f.Cause, err = uuid.Parse(e.CausationID); err != nil {
			return Fact{}, fmt.Errorf("event %s: causationid: %w", e.ID, err)
		}
	}
	return f, nil
}
