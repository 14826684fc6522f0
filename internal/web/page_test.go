package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestPageNeedsNobodyElse(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	index := r.do(http.MethodGet, "/docs", "")
	if index.status != http.StatusOK || !strings.HasPrefix(index.header.Get("Content-Type"), "text/html") {
		t.Fatalf("answered %d %v", index.status, index.header)
	}
	if policy := index.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "http") {
		t.Errorf("Content-Security-Policy is %q", policy)
	}
	for _, link := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(index.body, -1) {
		if !strings.HasPrefix(link[1], "/") || strings.HasPrefix(link[1], "//") {
			t.Errorf("the page loads %s from elsewhere", link[1])
		}
		if a := r.do(http.MethodGet, link[1], "", "Accept-Encoding", "gzip"); a.status != http.StatusOK || a.body == "" {
			t.Errorf("%s answered %d", link[1], a.status)
		}
	}
	if a := r.do(http.MethodGet, "/docs/nothing.js", ""); a.status != http.StatusNotFound {
		t.Errorf("answered %d", a.status)
	}
}

func TestPageIsSentZippedToThoseWhoTakeIt(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	const path = "/docs/swagger-ui.css"
	plain := r.do(http.MethodGet, path, "")
	if plain.header.Get("Content-Encoding") != "" || !strings.Contains(plain.body, ".swagger-ui") {
		t.Fatalf("plain: %v", plain.header)
	}
	for coding, zipped := range map[string]bool{"gzip": true, "br, gzip;q=0.5": true, "gzip;q=0": false, "gzip; q=0.00": false, "br": false, "identity": false} {
		a := r.do(http.MethodGet, path, "", "Accept-Encoding", coding)
		if got := a.header.Get("Content-Encoding") == "gzip"; got != zipped {
			t.Errorf("Accept-Encoding %q: zipped is %v", coding, got)
			continue
		}
		if zipped {
			if got := unzip(t, a.body); got != plain.body {
				t.Errorf("Accept-Encoding %q: unzipped it is another file of %d bytes", coding, len(got))
			}
		}
		if a.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Vary is %q", a.header.Get("Vary"))
		}
	}
}

func unzip(t *testing.T, body string) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}
