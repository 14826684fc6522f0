package main

import (
	"context"
	"fmt"
	"reflect"

	"github.com/google/uuid"
	"github.com/invopop/jsonschema"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

const eventDir = "internal/event"

// shapes are the types that facts say, by the name that the comment of the fact's constant begins with.
var shapes = map[string]any{
	"Order":      event.Order{},
	"OrderState": event.OrderState{},
	"OrderEnd":   event.OrderEnd{},
	"Stock":      event.Stock{},
	"OrderStock": event.OrderStock{},
	"LaneOrder":  event.LaneOrder{},
	"LaneStock":  event.LaneStock{},
	"Payment":    event.Payment{},
}

// events makes api/events/*.schema.json and api/asyncapi.yaml.
func events(_ context.Context, files map[string][]byte) error {
	facts, err := readFacts(eventDir)
	if err != nil {
		return err
	}
	reflector := newReflector()
	if err := reflector.AddGoComments("github.com/holdfast-checkout/holdfast", "./"+eventDir); err != nil {
		return err
	}
	for _, f := range facts {
		shape, known := shapes[f.shape]
		if !known {
			return fmt.Errorf("%s: the comment of its constant must begin with one of its shapes, not with %q", f.name, f.shape)
		}
		body, err := indented(eventSchema(f, reflector.Reflect(shape)))
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		files[f.file()] = body
	}
	files["api/asyncapi.yaml"], err = asyncAPI(facts)
	return err
}

func newReflector() *jsonschema.Reflector {
	return &jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true,
		AllowAdditionalProperties: true, // fields may be added to a fact, so a reader must let them pass
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			if t == reflect.TypeFor[uuid.UUID]() {
				return &jsonschema.Schema{Type: "string", Format: "uuid"}
			}
			return nil
		},
	}
}

// eventSchema is the whole event: the CloudEvents envelope, and the fact's shape as its data.
func eventSchema(f fact, data *jsonschema.Schema) map[string]any {
	definitions := data.Definitions
	data.Definitions, data.Version = nil, ""
	text := func(description string) map[string]any {
		return map[string]any{"type": "string", "description": description}
	}
	id := map[string]any{"type": "string", "format": "uuid", "description": "UUIDv7; the same for every copy of the fact"}
	schema := map[string]any{
		"$schema": jsonschema.Version,
		"title":   f.name, "type": "object",
		"required": []string{"specversion", "id", "source", "type", "time", "datacontenttype", "strategy", "data"},
		"properties": map[string]any{
			"specversion": map[string]any{"const": "1.0"}, "id": id, "source": text("/holdfast/ and the module that says it"),
			"type": map[string]any{"const": f.name}, "subject": text("id of the order it belongs to"),
			"time":            map[string]any{"type": "string", "format": "date-time"},
			"datacontenttype": map[string]any{"const": "application/json"},
			"strategy":        text("strategy of the order, or " + event.Shop + " for a fact of no order"),
			"causationid":     text("id of the fact that led to it"), "traceparent": text("W3C trace context"),
			"data": data,
		},
	}
	if _, parameters := addressOf(f); parameters["lane"] != nil {
		schema["properties"].(map[string]any)["partitionkey"] = text("number of the lane, from 0 on, and the last part of the routing key")
	}
	if f.means != "" {
		schema["description"] = f.means
	}
	if len(definitions) > 0 {
		schema["$defs"] = definitions
	}
	return schema
}
