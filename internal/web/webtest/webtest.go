// Package webtest holds a server's real routes and answers against its API document. Only tests import it.
package webtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

// Document is an API document to hold a server against.
type Document struct {
	doc    *openapi3.T
	router routers.Router
}

// loaded are the documents that were read, by their text: many tests of a program ask for the same one.
var loaded = struct {
	sync.Mutex
	documents map[string]*Document
}{documents: map[string]*Document{}}

// Load reads a Swagger 2.0 document, and fails the test if it is not a valid one.
func Load(tb testing.TB, swagger []byte) *Document {
	tb.Helper()
	loaded.Lock()
	defer loaded.Unlock()
	if d := loaded.documents[string(swagger)]; d != nil {
		return d
	}
	d, err := load(tb.Context(), swagger)
	if err != nil {
		tb.Fatalf("API document: %v", err)
	}
	loaded.documents[string(swagger)] = d
	return d
}

func load(ctx context.Context, swagger []byte) (*Document, error) {
	var v2 openapi2.T
	if err := json.Unmarshal(swagger, &v2); err != nil {
		return nil, err
	}
	doc, err := openapi2conv.ToV3(&v2)
	if err != nil {
		return nil, err
	}
	doc.Servers = openapi3.Servers{{URL: "/"}}
	if err := doc.Validate(ctx); err != nil {
		return nil, err
	}
	for _, schema := range doc.Components.Schemas {
		closeSchema(schema.Value)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, err
	}
	return &Document{doc: doc, router: router}, nil
}

// closeSchema lets an object have no field that the document does not name, so that a forgotten one shows.
func closeSchema(s *openapi3.Schema) {
	if len(s.Properties) > 0 && s.AdditionalProperties.Schema == nil && s.AdditionalProperties.Has == nil {
		closed := false
		s.AdditionalProperties.Has = &closed
	}
}

// Check compares the routes of a server with the document, both ways, and reports what is in only one of them.
func (d *Document) Check(tb testing.TB, routes []web.Route) {
	tb.Helper()
	served := map[string]bool{}
	for _, r := range routes {
		served[r.Method+" "+r.Path] = true
		if item := d.doc.Paths.Value(r.Path); item == nil || item.GetOperation(r.Method) == nil {
			tb.Errorf("%s %s is served and not in the API document", r.Method, r.Path)
		}
	}
	for path, item := range d.doc.Paths.Map() {
		for method := range item.Operations() {
			if !served[method+" "+path] {
				tb.Errorf("%s %s is in the API document and not served", method, path)
			}
		}
	}
}

// Transport gives a RoundTripper that fails the test when an answer is not as the document says, or when a request that was
// done is one that the document does not allow. next nil is http.DefaultTransport. The answers are passed on as they came;
// one that goes on for ever, as server-sent events do, must not go through it.
func (d *Document) Transport(tb testing.TB, next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{document: d, tb: tb, next: next}
}

type transport struct {
	document *Document
	tb       testing.TB
	next     http.RoundTripper
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := copyBody(&r.Body)
	if err != nil {
		return nil, err
	}
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	got, err := copyBody(&resp.Body)
	if err != nil {
		return nil, err
	}
	if err := t.document.judge(r, sent, resp, got); err != nil {
		t.tb.Errorf("%s %s answered %d, against the API document: %v\nsent %s\ngot %s", r.Method, r.URL.Path, resp.StatusCode, err, sent, got)
	}
	return resp, nil
}

// copyBody reads a body and puts another in its place.
func copyBody(body *io.ReadCloser) ([]byte, error) {
	if *body == nil {
		return nil, nil
	}
	content, err := io.ReadAll(*body)
	(*body).Close()
	*body = io.NopCloser(bytes.NewReader(content))
	return content, err
}

// judge says nothing about a refusal of what the document does not know, and about HEAD and OPTIONS.
func (d *Document) judge(r *http.Request, sent []byte, resp *http.Response, got []byte) error {
	if r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return nil
	}
	asked := r.Clone(r.Context())
	asked.Body = io.NopCloser(bytes.NewReader(sent))
	route, params, err := d.router.FindRoute(asked)
	if err != nil {
		if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed {
			return nil
		}
		return fmt.Errorf("no such operation: %w", err)
	}
	input := &openapi3filter.RequestValidationInput{
		Request: asked, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
			ExcludeResponseBody: !isJSON(resp.Header),
		},
	}
	if resp.StatusCode < 300 {
		if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
			return err
		}
	}
	return openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header,
		Body: io.NopCloser(bytes.NewReader(got)), Options: input.Options,
	})
}

func isJSON(h http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}
