// Package api holds what other people's programs are written against: the OpenAPI document, and the schemas of all events in
// events/ with asyncapi.yaml around them. All of it is made from the source by `go run ./api/generate`.
package api

import _ "embed"

// Document is the OpenAPI (Swagger 2.0) document.
//
//go:embed swagger.json
var Document []byte
