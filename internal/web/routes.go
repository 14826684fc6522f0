package web

import (
	"net/http"
	"regexp"
	"slices"

	"github.com/labstack/echo/v4"
)

// Prefix is where the API lives; AdminPrefix is its part for operators.
const (
	Prefix      = "/api/v1"
	AdminPrefix = Prefix + "/admin"
)

// Routes is where a module puts its routes. Paths are relative: Customer.GET("/orders/:id", …) is /api/v1/orders/{id},
// Admin.POST("/products", …) is /api/v1/admin/products.
type Routes struct {
	Public   Router // anyone, no token needed
	Anyone   Router // anyone; a token, if there is one, must be valid, and Customer gives its subject
	Customer Router // a valid token; Customer gives its subject
	Admin    Router // a valid token whose scope contains admin
}

// Router adds routes under a prefix, each behind the same middleware. It stands in for echo's Group, whose own middleware
// turns every 405 into a 404.
type Router struct {
	echo   *echo.Echo
	prefix string
	before []echo.MiddlewareFunc
}

// GET adds a route without a body. HEAD requests are answered by it too.
func (r Router) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) {
	r.add(http.MethodGet, path, h, append(m, NoBody))
}

// POST adds a route. One that reads no body says so with NoBody.
func (r Router) POST(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) {
	r.add(http.MethodPost, path, h, m)
}

// PUT adds a route.
func (r Router) PUT(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) {
	r.add(http.MethodPut, path, h, m)
}

// PATCH adds a route.
func (r Router) PATCH(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) {
	r.add(http.MethodPatch, path, h, m)
}

// DELETE adds a route without a body.
func (r Router) DELETE(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) {
	r.add(http.MethodDelete, path, h, append(m, NoBody))
}

func (r Router) add(method, path string, h echo.HandlerFunc, m []echo.MiddlewareFunc) {
	r.echo.Add(method, r.prefix+path, h, append(append([]echo.MiddlewareFunc{}, r.before...), m...)...)
}

// Route is one route as the API document writes it.
type Route struct{ Method, Path string }

// Table lists the routes that are served, with their parameters in braces.
func (s *Server) Table() []Route {
	var all []Route
	for _, site := range s.sites() {
		for _, r := range site.echo.Routes() {
			route := Route{Method: r.Method, Path: pathParameter.ReplaceAllString(r.Path, "{$1}")}
			if !slices.Contains(all, route) {
				all = append(all, route)
			}
		}
	}
	return all
}

var pathParameter = regexp.MustCompile(`:(\w+)`)
