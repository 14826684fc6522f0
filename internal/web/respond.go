package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

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

// SetETag tells the version of what is answered, for a later If-Match. It is weak: what is answered may have more in it that changes,
// such as units that are available.
func SetETag(c echo.Context, version int64) {
	c.Response().Header().Set("ETag", `W/"`+strconv.FormatInt(version, 10)+`"`)
}

// IfMatch returns the versions of which the caller wants to change one, or nil when any will do. It reads a list of tags (RFC 9110),
// weak or not: the version is what guards a change. If none of them is one that SetETag makes, they match nothing: 412
// precondition-failed. What is no list of tags is 400.
func IfMatch(c echo.Context) ([]int64, error) {
	values := c.Request().Header.Values("If-Match")
	if len(values) == 0 {
		return nil, nil
	}
	list := strings.TrimSpace(strings.Join(values, ","))
	if list == "*" {
		return nil, nil
	}
	if !entityTags.MatchString(list) {
		return nil, fault.New(fault.InvalidRequest, `If-Match must be * or a list of tags such as W/"7".`)
	}
	var versions []int64
	for _, tag := range versionTag.FindAllStringSubmatch(list, -1) {
		if version, err := strconv.ParseInt(tag[1], 10, 64); err == nil {
			versions = append(versions, version)
		}
	}
	if versions == nil {
		return nil, fault.New(fault.PreconditionFailed, "If-Match names no version of this resource.")
	}
	return versions, nil
}

// The grammar of RFC 9110, 8.8.3, and of a tag that SetETag makes, which lets no digit be written twice.
var (
	entityTag  = `(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"`
	entityTags = regexp.MustCompile(`^` + entityTag + `(?:[ \t]*,[ \t]*` + entityTag + `)*$`)
	versionTag = regexp.MustCompile(`"([1-9][0-9]*)"`)
)

// NoContent answers 204.
func NoContent(c echo.Context) error { return c.NoContent(http.StatusNoContent) }
