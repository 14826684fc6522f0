package web

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// maxDepth is how deep a request may nest; ours nest three deep.
const maxDepth = 32

// Decode reads the body into a struct, strictly: exactly one JSON value with exactly the fields of the struct in their exact
// spelling, each at most once and of its type. Then the struct's validate tags are applied.
//
// Answers: 415 for another content type, 413 for a body above the limit, 400 for what cannot be read or lacks a required
// field, 422 for a field whose value is out of bounds; each names the field by its JSON path.
func Decode(c echo.Context, into any) error {
	if !isJSON(c.Request().Header.Get(echo.HeaderContentType)) {
		return echo.NewHTTPError(http.StatusUnsupportedMediaType, "the body must be application/json")
	}
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return bodyError(err)
	}
	bodyWasRead(c)
	if len(bytes.TrimSpace(body)) == 0 {
		return fault.New(fault.InvalidRequest, "the body is empty")
	}
	if err := unmarshalStrict(body, into); err != nil {
		return decodeError(err)
	}
	return validateStruct(into)
}

func isJSON(contentType string) bool {
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if charset, there := params["charset"]; there && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	return mediaType == echo.MIMEApplicationJSON || (strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json"))
}

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fault.New(fault.TooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return echo.NewHTTPError(http.StatusRequestTimeout, "the body came too slowly")
	}
	return fault.New(fault.InvalidRequest, "the body could not be read to its end").Because(err)
}

// textError is a string that no column of ours can hold, or nesting that no request of ours needs.
type textError struct {
	pointer jsontext.Pointer
	detail  string
}

func (e *textError) Error() string { return e.detail }

// unmarshalStrict decodes one JSON value and nothing after it.
func unmarshalStrict(body []byte, into any) error {
	if err := checkTokens(body); err != nil {
		return err
	}
	if jsontext.Value(body).Kind() == 'n' {
		return errNullBody // would leave into as it is
	}
	return json.Unmarshal(body, into, json.RejectUnknownMembers(true), json.WithUnmarshalers(strictTypes))
}

// checkTokens finds what the types cannot say: depth, and the zero character, which Postgres refuses in text.
func checkTokens(body []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if dec.StackDepth() > maxDepth {
			return &textError{pointer: "", detail: "nested too deep"}
		}
		if token.Kind() == '"' && strings.ContainsRune(token.String(), 0) {
			return &textError{pointer: dec.StackPointer(), detail: "contains the zero character"}
		}
	}
}

// strictTypes refuses null where there is no pointer to hold it, and ids in unusual spellings.
var strictTypes = json.JoinUnmarshalers(
	json.UnmarshalFromFunc(func(dec *jsontext.Decoder, _ *string) error { return refuseNull(dec) }),
	json.UnmarshalFromFunc(func(dec *jsontext.Decoder, _ *int64) error { return refuseNull(dec) }),
	json.UnmarshalFromFunc(func(dec *jsontext.Decoder, _ *int) error { return refuseNull(dec) }),
	json.UnmarshalFromFunc(func(dec *jsontext.Decoder, _ *bool) error { return refuseNull(dec) }),
	json.UnmarshalFromFunc(func(dec *jsontext.Decoder, id *uuid.UUID) error {
		var s string
		if err := json.UnmarshalDecode(dec, &s); err != nil {
			return err
		}
		var err error
		*id, err = parseUUID(s)
		return err
	}),
)

var (
	errNull     = errors.New("null is not a value of this field")
	errNullBody = errors.New("null is no request")
)

func refuseNull(dec *jsontext.Decoder) error {
	if dec.PeekKind() == 'n' {
		return errNull
	}
	return errors.ErrUnsupported
}

// decodeError says which field is wrong without repeating the library's words.
func decodeError(err error) error {
	line := fault.Line{Detail: "not valid JSON"}
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	var text *textError
	switch {
	case errors.As(err, &text):
		line = fault.Line{Field: jsonPath(text.pointer), Detail: text.detail}
	case errors.Is(err, errNullBody):
		line.Detail = err.Error()
	case errors.Is(err, json.ErrUnknownName):
		errors.As(err, &semantic)
		line = fault.Line{Field: jsonPath(semantic.JSONPointer), Detail: "unknown field"}
	case errors.Is(err, jsontext.ErrDuplicateName):
		errors.As(err, &syntactic)
		line = fault.Line{Field: jsonPath(syntactic.JSONPointer), Detail: "given more than once"}
	case errors.As(err, &semantic):
		line = fault.Line{Field: jsonPath(semantic.JSONPointer), Detail: wantedType(semantic)}
	case errors.As(err, &syntactic):
		line.Field = jsonPath(syntactic.JSONPointer)
	}
	return fault.New(fault.InvalidRequest, "the body is not valid: %s", line.Detail).With(line).Because(err)
}

func wantedType(e *json.SemanticError) string {
	if e.GoType == nil {
		return "wrong type"
	}
	switch kind := e.GoType.Kind().String(); {
	case e.GoType == typeUUID:
		return "not a UUID"
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "not a whole number in range"
	case kind == "string", kind == "bool":
		return "not a " + kind
	case kind == "slice":
		return "not an array"
	case kind == "struct":
		return "not an object"
	default:
		return "wrong type"
	}
}
