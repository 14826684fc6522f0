package main

import "strings"

// asyncAPI describes the exchange that the facts go through: one channel per fact, one message per schema.
func asyncAPI(facts []fact) ([]byte, error) {
	channels, operations := map[string]any{}, map[string]any{}
	for _, f := range facts {
		id := strings.ReplaceAll(f.name, ".", "_")
		message := map[string]any{
			"name": f.name, "contentType": "application/cloudevents+json",
			"payload": map[string]any{"$ref": "./" + strings.TrimPrefix(f.file(), "api/")},
		}
		if f.means != "" {
			message["summary"] = f.means
		}
		address, parameters := addressOf(f)
		channels[id] = map[string]any{
			"address":    address,
			"parameters": parameters,
			"messages":   map[string]any{id: message},
			"bindings": map[string]any{"amqp": map[string]any{
				"is": "routingKey", "bindingVersion": "0.3.0",
				"exchange": map[string]any{"name": "holdfast.events", "type": "topic", "durable": true},
			}},
		}
		operations["say_"+id] = map[string]any{"action": "send", "channel": map[string]any{"$ref": "#/channels/" + id}}
	}
	return asYAML(map[string]any{
		"asyncapi": "3.0.0",
		"info": map[string]any{
			"title": "Holdfast", "version": "1",
			"description": "The facts that Holdfast says, as CloudEvents 1.0 in JSON on a RabbitMQ topic exchange named after the namespace. " +
				"A message body is one event or a JSON batch (application/cloudevents-batch+json) of one routing key. " +
				"A fact may come more than once and in any order: its id is the same for every copy.",
			"license": map[string]any{"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		"defaultContentType": "application/cloudevents+json",
		"channels":           channels, "operations": operations,
	})
}

// addressOf gives the routing keys that a fact is said under. What is asked of a lane has the lane in it.
func addressOf(f fact) (address string, parameters map[string]any) {
	parameters = map[string]any{"strategy": map[string]any{"description": "strategy of the order, or shop for a fact of no order"}}
	address = "{strategy}." + f.name
	if strings.HasPrefix(f.name, "lane.") && strings.HasSuffix(f.name, ".requested") {
		address += ".{lane}"
		parameters["lane"] = map[string]any{"description": "number of the lane, from 0 on; partitionkey of the event"}
	}
	return address, parameters
}
