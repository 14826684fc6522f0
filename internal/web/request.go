package web

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// MaxWait is the longest that a caller may ask an answer to be held back for.
const MaxWait = 30 * time.Second

// PathID reads a path parameter that is an id. What is no UUID in its usual form names nothing: 404.
func PathID(c echo.Context, name string) (uuid.UUID, error) {
	id, err := parseUUID(c.Param(name))
	if err != nil {
		return uuid.Nil, fault.New(fault.NotFound, "There is no such thing.")
	}
	return id, nil
}

// parseUUID takes the form with four hyphens only, so that one id has one spelling (but for case).
func parseUUID(s string) (uuid.UUID, error) {
	if len(s) != 36 {
		return uuid.Nil, strconv.ErrSyntax
	}
	return uuid.Parse(s)
}

// Query gives the query parameters. Any but the allowed ones, and any that is there twice, is 400.
func Query(c echo.Context, allowed ...string) (url.Values, error) {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return nil, fault.New(fault.InvalidRequest, "The query cannot be read.")
	}
	var wrong []fault.Line
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case !slices.Contains(allowed, name):
			wrong = append(wrong, fault.Line{Field: printable(name), Detail: "unknown query parameter"})
		case len(values[name]) > 1:
			wrong = append(wrong, fault.Line{Field: name, Detail: "given more than once"})
		case !cleanText(values.Get(name)):
			wrong = append(wrong, fault.Line{Field: name, Detail: "not valid UTF-8 text"})
		}
	}
	if wrong != nil {
		return nil, fault.New(fault.InvalidRequest, "The query is not valid.").With(wrong...)
	}
	return values, nil
}

// Page reads ?limit= and ?cursor= (and checks the query: also are the route's other parameters). A limit above maxLimit is
// maxLimit. The cursor is what EncodeCursor made, unread; "" is the first page.
func Page(c echo.Context, defaultLimit, maxLimit int, also ...string) (limit int, cursor string, err error) {
	values, err := Query(c, append([]string{"limit", "cursor"}, also...)...)
	if err != nil {
		return 0, "", err
	}
	limit = defaultLimit
	if s := values.Get("limit"); s != "" {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil || n == 0 {
			return 0, "", badQuery("limit", "not a positive whole number")
		}
		limit = min(int(n), maxLimit)
	}
	return limit, values.Get("cursor"), nil
}

// EncodeCursor makes the opaque cursor that says where the next page begins.
func EncodeCursor(position any) (string, error) {
	body, err := json.Marshal(position)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(body), nil
}

// DecodeCursor reads a cursor that EncodeCursor made from a value of the same type; anything else is 400.
func DecodeCursor(cursor string, position any) error {
	body, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = unmarshalStrict(body, position)
	}
	if err != nil {
		return badQuery("cursor", "not a cursor of this list")
	}
	return nil
}

func badQuery(field, detail string) error {
	return fault.New(fault.InvalidRequest, "The query is not valid.").With(fault.Line{Field: field, Detail: detail})
}

// PreferWaitIn is PreferWait while the customer has a place for one more request that waits, and else 0: the answer comes without
// waiting, as RFC 7240 allows. What it returns besides gives the place back.
func PreferWaitIn(places *Places, c echo.Context) (wait time.Duration, leave func()) {
	if preferredWait(c.Request().Header.Values("Prefer")) == 0 {
		return 0, func() {}
	}
	leave, ok := places.Take(c)
	if !ok {
		return 0, func() {}
	}
	return PreferWait(c), leave
}

// PreferWait reads `Prefer: wait=N` (RFC 7240): how long the caller would like the answer to be held back until there is a
// result, at most MaxWait. What cannot be read is as if it were not there. The request is given that much more time;
// its context ends when the server is told to stop, so that whoever waits with it answers what there is.
func PreferWait(c echo.Context) time.Duration {
	wait := preferredWait(c.Request().Header.Values("Prefer"))
	if wait > 0 {
		extendByWait(c, wait)
		c.Response().Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
	return wait
}

func preferredWait(headers []string) time.Duration {
	for _, header := range headers {
		for preference := range strings.SplitSeq(header, ",") {
			token, _, _ := strings.Cut(preference, ";")
			name, value, found := strings.Cut(token, "=")
			if !found || !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if err != nil {
				return 0
			}
			return min(time.Duration(n)*time.Second, MaxWait)
		}
	}
	return 0
}

// caller is who a request's token speaks for.
type caller struct {
	customer string
	admin    bool
}

const callerKey = "holdfast.caller"

// Customer gives the token's subject, or "" on a public route.
func Customer(c echo.Context) string {
	who, _ := c.Get(callerKey).(caller)
	return who.customer
}

// IsAdmin says whether the token's scope contains admin.
func IsAdmin(c echo.Context) bool {
	who, _ := c.Get(callerKey).(caller)
	return who.admin
}
