// Package web is the border to HTTP: the echo server with its limits and time-outs, authentication, strict decoding, the one
// table from kinds of fault to problem+json, probes, metrics and the API's page. It knows no module: each module's http.go
// puts its routes into Routes and speaks through the functions of this package.
//
// A handler reads its request with Decode, PathID, Query or Page, asks Customer who calls, answers with JSON, and returns
// a *fault.Error for everything that a caller can act on. Any other error is answered as a 500 with an opaque id and logged
// once, here.
package web
