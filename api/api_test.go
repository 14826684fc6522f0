package api_test

import (
	"testing"

	"github.com/go-openapi/loads"
	"github.com/go-openapi/strfmt"
	"github.com/go-openapi/validate"

	"github.com/holdfast-checkout/holdfast/api"
)

// The document is valid by the Swagger 2.0 specification, its own rules beside its schema included.
func TestDocumentIsValidSwagger(t *testing.T) {
	t.Parallel()
	document, err := loads.Analyzed(api.Document, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Spec(document, strfmt.Default); err != nil {
		t.Error(err)
	}
}
