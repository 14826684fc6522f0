package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

//go:embed ui/index.html ui/start.js ui/favicon-32x32.png ui/swagger-ui.css.gz ui/swagger-ui-bundle.js.gz
var pageFiles embed.FS

// pageFile is one file of the API's page.
type pageFile struct {
	path        string // in pageFiles
	contentType string
	gzipped     bool
}

var page = map[string]pageFile{
	"index.html":           {"ui/index.html", "text/html; charset=utf-8", false},
	"start.js":             {"ui/start.js", "text/javascript; charset=utf-8", false},
	"favicon-32x32.png":    {"ui/favicon-32x32.png", "image/png", false},
	"swagger-ui.css":       {"ui/swagger-ui.css.gz", "text/css; charset=utf-8", true},
	"swagger-ui-bundle.js": {"ui/swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8", true},
}

// pagePolicy lets the page load from this server alone. Swagger UI writes styles into its elements.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// showPage is the API's page.
//
//	@Summary	The API as a page to read and try
//	@Tags		documents
//	@Produce	html
//	@Success	200	{string}	string
//	@Router		/docs [get]
func showPage(c echo.Context) error { return sendPageFile(c, "index.html") }

// showPageFile is a script, a style sheet or an image of the page.
//
//	@Summary	A file that the page needs
//	@Tags		documents
//	@Produce	octet-stream
//	@Param		file	path		string	true	"name of the file"	example(start.js)
//	@Success	200		{string}	string
//	@Failure	404		{object}	Problem
//	@Router		/docs/{file} [get]
func showPageFile(c echo.Context) error { return sendPageFile(c, c.Param("file")) }

func sendPageFile(c echo.Context, name string) error {
	file, known := page[name]
	if !known {
		return fault.New(fault.NotFound, "There is no such file.")
	}
	body, err := pageFiles.ReadFile(file.path)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	if file.gzipped {
		h.Set(echo.HeaderVary, echo.HeaderAcceptEncoding)
		if takesGzip(c.Request()) {
			h.Set(echo.HeaderContentEncoding, "gzip")
		} else if body, err = unzip(body); err != nil {
			return err
		}
	}
	h.Set(echo.HeaderContentSecurityPolicy, pagePolicy)
	h.Set(echo.HeaderCacheControl, "public, max-age=300")
	h.Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	return c.Blob(http.StatusOK, file.contentType, body)
}

func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get(echo.HeaderAcceptEncoding), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.TrimSpace(name) == "gzip" {
			return strings.TrimRight(strings.ReplaceAll(quality, " ", ""), "0.") != "q="
		}
	}
	return false
}

func unzip(body []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
