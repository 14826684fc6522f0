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

// Decode reads the body into a struct, strictly: exactly one JSON value with exactly the fields of the struct in their exact
// spelling, each at most once and of its type. Then the struct's validate tags are applied.
//
// Answers: 415 for another content type, 413 for a body above the limit, 400 for what cannot be read or lacks a required
// field, 422 for a field whose value is out of bounds; each names the field by its JSON path.
func Decode(c echo.Context, into any) error {
	if !isJSON(c.Request().Header.Get(echo.HeaderContentType)) {
		return echo.NewHTTPError(http.StatusUnsupportedMediaType, "The body must be application/json.")
	}
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return bodyError(err)
	}
	bodyWasRead(c)
	if len(bytes.TrimSpace(body)) == 0 {
		return fault.New(fault.InvalidRequest, "The body is empty.")
	}
	if err := unmarshalStrict(body, into); err != nil {
		return decodeError(err)
	}
	return validateStruct(into)
}

// Body reads the body as it was sent, for who has to check a signature of it. Above limit bytes it answers 413.
func Body(c echo.Context, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, limit))
	if err != nil {
		return nil, bodyError(err)
	}
	bodyWasRead(c)
	return body, nil
}

// NoBody is middleware for a route that reads no body: one that says anything is refused, instead of ignored. Empty ones and {} say
// nothing.
func NoBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Request().ContentLength == 0 {
			return next(c)
		}
		body, err := io.ReadAll(c.Request().Body)
		if err != nil {
			return bodyError(err)
		}
		bodyWasRead(c)
		if body = bytes.TrimSpace(body); len(body) > 0 && unmarshalStrict(body, &struct{}{}) != nil {
			return fault.New(fault.InvalidRequest, "This request takes no body.")
		}
		return next(c)
	}
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
		return fault.New(fault.TooLarge, "The body is larger than %d bytes.", tooLarge.Limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return echo.NewHTTPError(http.StatusRequestTimeout, "The body came too slowly.")
	}
	return fault.New(fault.InvalidRequest, "The body could not be read to its end.").Because(err)
}

// zeroError is a text with the zero character, which Postgres cannot keep.
type zeroError struct{ pointer jsontext.Pointer }

func (e *zeroError) Error() string { return "contains the zero character" }

// unmarshalStrict decodes one JSON value and nothing after it.
func unmarshalStrict(body []byte, into any) error {
	if jsontext.Value(body).Kind() == 'n' {
		return errNullBody // would leave into as it is
	}
	if bytes.Contains(body, []byte(`\u0000`)) { // bare it is no JSON
		if err := findZero(body); err != nil {
			return err
		}
	}
	return json.Unmarshal(body, into, json.RejectUnknownMembers(true), json.WithUnmarshalers(strictTypes))
}

// findZero says where the zero character is, if it is not a backslash before "u0000".
func findZero(body []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if token.Kind() == '"' && strings.ContainsRune(token.String(), 0) {
			return &zeroError{dec.StackPointer()}
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
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		if token.Kind() != '"' {
			return errNotText
		}
		*id, err = parseUUID(token.String())
		return err
	}),
)

var (
	errNotText  = errors.New("not a text")
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
	var zero *zeroError
	switch {
	case errors.As(err, &zero):
		line = fault.Line{Field: jsonPath(zero.pointer), Detail: zero.Error()}
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
	return fault.New(fault.InvalidRequest, "The body is not valid: %s.", line.Detail).With(line).Because(err)
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
