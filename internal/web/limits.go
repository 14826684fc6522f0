package web

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// limitRequest refuses what no client of ours sends before anything is read of it.
func limitRequest(maxBody int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			h := c.Response().Header()
			h.Set(echo.HeaderXContentTypeOptions, "nosniff")
			// Our paths need no escapes. One that hides a slash, a dot or a letter is another spelling of a path that
			// somebody in between may have judged differently.
			if r.URL.RawPath != "" || !cleanText(r.URL.Path) {
				return fault.New(fault.NotFound, "There is no such path.")
			}
			if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
				return fault.New(fault.InvalidRequest, "The query cannot be read.")
			}
			if coding := r.Header.Get(echo.HeaderContentEncoding); coding != "" && coding != "identity" {
				h.Set(echo.HeaderAcceptEncoding, "identity")
				return echo.NewHTTPError(http.StatusUnsupportedMediaType, "Compressed bodies are not taken.")
			}
			if r.ContentLength > maxBody {
				return fault.New(fault.TooLarge, "The body is larger than %d bytes.", maxBody)
			}
			r.Body = http.MaxBytesReader(c.Response().Writer, r.Body, maxBody)
			return next(c)
		}
	}
}
