package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// Problem is the body of every answer that is not a success (RFC 9457).
type Problem struct {
	Type              string       `json:"type" example:"/problems/out-of-stock"` // a stable path; GET it for an explanation
	Title             string       `json:"title" example:"Out of stock"`
	Status            int          `json:"status" example:"409"`
	Detail            string       `json:"detail,omitempty" example:"2 of 3 lines cannot be had."`
	Instance          string       `json:"instance,omitempty" example:"/requests/0198a7c2b1d37c5e8a1b2c3d4e5f6071"` // the request, as the log names it
	Errors            []fault.Line `json:"errors,omitempty"`                                                        // field by field, or line by line
	Available         *int64       `json:"available,omitempty"`                                                     // units that could be had
	TotalMinor        *int64       `json:"total_minor,omitempty"`                                                   // what it would cost now, where a price has changed
	Currency          string       `json:"currency,omitempty"`                                                      // of the total
	Limit             string       `json:"limit,omitempty" example:"max-quantity"`                                  // of limit-exceeded: which limit, named like its flag
	Allowed           *int64       `json:"allowed,omitempty"`                                                       // what it allows: units, lines, seconds
	RetryAfterSeconds int64        `json:"retry_after_seconds,omitempty"`
}

type answer struct {
	status int
	title  string
	means  string
}

// kinds is the one table from kinds of fault to HTTP.
var kinds = map[fault.Kind]answer{
	fault.InvalidRequest:        {400, "Invalid request", "The request cannot be understood (400), or is well formed and cannot be done as it stands (422). errors[] names the fields."},
	fault.Unauthorized:          {401, "Unauthorized", "There is no valid token: send Authorization: Bearer <JWT>."},
	fault.Forbidden:             {403, "Forbidden", "The token is valid but does not allow this."},
	fault.NotFound:              {404, "Not found", "There is no such thing, or it is not yours."},
	fault.OutOfStock:            {409, "Out of stock", "Units cannot be had at once. available and errors[] say how many could."},
	fault.LimitExceeded:         {422, "Limit exceeded", "A limit per line, cart, customer or product was met. limit says which, allowed what it allows; errors[] name the lines."},
	fault.CartEmpty:             {422, "Cart empty", "There is nothing in the cart to buy."},
	fault.CartChanged:           {409, "Cart changed", "The cart was bought or changed meanwhile: read it again."},
	fault.HoldExpired:           {409, "Hold expired", "Units were held too long ago and could not be had again. errors[] names the lines."},
	fault.HoldLost:              {409, "Hold lost", "Units that were held are no longer held, by no fault of yours. errors[] names the lines."},
	fault.PriceChanged:          {409, "Price changed", "A price is not what was last shown. errors[] names the lines with both prices, total_minor is the new total; the cart shows the new prices from now on, so a repetition buys at them."},
	fault.IdempotencyKeyMissing: {400, "Idempotency-Key missing", "This request needs an Idempotency-Key header of 1 to 255 printable characters."},
	fault.IdempotencyKeyReused:  {422, "Idempotency-Key reused", "Another request was sent under this Idempotency-Key."},
	fault.IdempotencyKeyInUse:   {409, "Idempotency-Key in use", "The first request under this Idempotency-Key is still running: try again."},
	fault.Conflict:              {409, "Conflict", "The request does not fit the present state."},
	fault.Archived:              {410, "Archived", "The order ended so long ago that it was archived, and its month is no longer kept."},
	fault.PreconditionFailed:    {412, "Precondition failed", "If-Match names a version that is not the current one."},
	fault.TooLarge:              {413, "Too large", "The request is larger than the server takes."},
	fault.RateLimited:           {429, "Rate limited", "Too many requests: wait retry_after_seconds."},
	fault.Unavailable:           {503, "Unavailable", "Something that the server needs is not there at the moment: try again."},
}

// problemOf turns any error into what the caller may see of it. The second answer says that the error is a defect or an
// outage, to be logged.
func problemOf(err error, unavailable func(error) bool) (p Problem, ours bool) {
	var refused *echo.HTTPError
	switch f := fault.As(err); {
	case f != nil:
		return problemOfFault(f), f.Kind == fault.Unavailable
	case errors.As(err, &refused):
		return problemOfEcho(refused), refused.Code >= http.StatusInternalServerError
	case outage(err), unavailable != nil && unavailable(err):
		f := fault.New(fault.Unavailable, "The server could not answer in time.")
		f.RetryAfter = time.Second
		return problemOfFault(f), true
	default:
		return Problem{
			Type: "about:blank", Title: "Internal Server Error", Status: http.StatusInternalServerError,
			Detail: "The server failed. Its log knows this request by its instance.",
		}, true
	}
}

// outage says whether an error is one of time or of the network, whatever was asked over it.
func outage(err error) bool {
	var network *net.OpError
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &network)
}

func problemOfFault(f *fault.Error) Problem {
	a := kinds[f.Kind]
	p := Problem{Type: "/problems/" + string(f.Kind), Title: a.title, Status: a.status, Detail: f.Detail, Errors: f.Lines, Available: f.Available}
	if f.Limit != nil {
		p.Limit, p.Allowed = f.Limit.Name, &f.Limit.Allowed
	}
	if f.Status != 0 {
		p.Status = f.Status
	}
	if f.Total != nil {
		p.TotalMinor, p.Currency = &f.Total.TotalMinor, f.Total.Currency
	}
	if f.RetryAfter > 0 {
		p.RetryAfterSeconds = int64((f.RetryAfter + time.Second - 1) / time.Second)
	}
	return p
}

// problemOfEcho is for what the router and the limits refuse.
func problemOfEcho(e *echo.HTTPError) Problem {
	detail, _ := e.Message.(string)
	if detail == http.StatusText(e.Code) {
		detail = "" // the title says it
	}
	kind := fault.InvalidRequest
	switch e.Code {
	case http.StatusUnauthorized:
		kind = fault.Unauthorized
	case http.StatusForbidden:
		kind = fault.Forbidden
	case http.StatusNotFound:
		kind = fault.NotFound
	case http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		kind = fault.TooLarge
	case http.StatusServiceUnavailable:
		kind = fault.Unavailable
	}
	p := problemOfFault(&fault.Error{Kind: kind, Status: e.Code, Detail: detail})
	if kind == fault.InvalidRequest {
		p.Title = http.StatusText(e.Code)
	}
	return p
}

// writeProblem answers with p.
func writeProblem(c echo.Context, p Problem) error {
	h := c.Response().Header()
	if p.RetryAfterSeconds > 0 {
		h.Set(echo.HeaderRetryAfter, strconv.FormatInt(p.RetryAfterSeconds, 10))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set(echo.HeaderWWWAuthenticate, `Bearer realm="holdfast"`)
	}
	return writeJSON(c, p.Status, "application/problem+json", p)
}
