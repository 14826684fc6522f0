package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// JSON answers with v. What is answered is about one caller at one moment, so nobody may keep it.
func JSON(c echo.Context, status int, v any) error {
	return writeJSON(c, status, echo.MIMEApplicationJSON, v)
}

func writeJSON(c echo.Context, status int, contentType string, v any) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode answer %T: %w", v, err)
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentLength, strconv.Itoa(body.Len()))
	if h.Get(echo.HeaderCacheControl) == "" {
		h.Set(echo.HeaderCacheControl, "no-store")
	}
	return c.Blob(status, contentType, body.Bytes())
}

// List is the shape of every list: a page of items, and the cursor of the next page ("" at the end).
type List[T any] struct {
	Items      []T    `json:"items" validate:"required"`
	NextCursor string `json:"next_cursor,omitempty"`
}

// MarshalJSON writes an empty page as [], never as null.
func (l List[T]) MarshalJSON() ([]byte, error) {
	type plain List[T]
	if l.Items == nil {
		l.Items = []T{}
	}
	return json.Marshal(plain(l))
}

// SetETag tells the version of what is answered, for a later If-Match.
func SetETag(c echo.Context, version int64) {
	c.Response().Header().Set("ETag", strconv.Quote(strconv.FormatInt(version, 10)))
}

// IfMatch gives the version that the caller wants to change, or nil when it does not care. A tag that SetETag never made
// matches nothing: 412 precondition-failed.
func IfMatch(c echo.Context) (*int64, error) {
	values := c.Request().Header.Values("If-Match")
	if len(values) == 0 || (len(values) == 1 && values[0] == "*") {
		return nil, nil
	}
	noMatch := fault.New(fault.PreconditionFailed, "If-Match names no version of this resource.")
	if len(values) > 1 {
		return nil, noMatch
	}
	digits, err := strconv.Unquote(values[0])
	if err != nil || values[0][0] != '"' {
		return nil, noMatch
	}
	version, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || strconv.FormatInt(version, 10) != digits {
		return nil, noMatch
	}
	return &version, nil
}

// NoContent answers 204.
func NoContent(c echo.Context) error { return c.NoContent(http.StatusNoContent) }
