package web_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	const id = `"0198a7c2-b1d3-7c5e-8a1b-2c3d4e5f6071"`
	for name, tc := range map[string]struct {
		body   string
		status int
		field  string
	}{
		"empty":                     {``, 400, ""},
		"blank":                     {" \n", 400, ""},
		"no JSON":                   {`name=x`, 400, ""},
		"cut off":                   {`{"name":"x"`, 400, ""},
		"array":                     {`[]`, 400, ""},
		"null":                      {` null `, 400, ""},
		"trailing value":            {`{"name":"x"}{"name":"y"}`, 400, ""},
		"trailing garbage":          {`{"name":"x"} x`, 400, ""},
		"unknown field":             {`{"name":"x","price":1}`, 400, "price"},
		"unknown field deep":        {`{"name":"x","lines":[{"product_id":` + id + `,"quantity":1,"total":0}]}`, 400, "lines[0].total"},
		"status by the client":      {`{"name":"x","status":"paid"}`, 400, "status"},
		"other case":                {`{"Name":"x"}`, 400, "Name"},
		"duplicate":                 {`{"name":"x","name":"y"}`, 400, "name"},
		"duplicate by escape":       {`{"name":"x","n\u0061me":"y"}`, 400, "name"},
		"duplicate deep":            {`{"name":"x","lines":[{"quantity":1,"quantity":2}]}`, 400, "lines[0].quantity"},
		"duplicate in unknown":      {`{"name":"x","x":{"a":1,"a":2}}`, 400, "x"},
		"number for an id":          {`{"name":"x","lines":[{"product_id":7,"quantity":1}]}`, 400, "lines[0].product_id"},
		"object for an id":          {`{"name":"x","lines":[{"product_id":{"a":[1]},"quantity":1}]}`, 400, "lines[0].product_id"},
		"number for text":           {`{"name":5}`, 400, "name"},
		"text for number":           {`{"name":"x","count":"5"}`, 400, "count"},
		"fraction":                  {`{"name":"x","count":1.5}`, 400, "count"},
		"whole fraction":            {`{"name":"x","count":1.0}`, 400, "count"},
		"exponent":                  {`{"name":"x","count":1e3}`, 400, "count"},
		"hexadecimal":               {`{"name":"x","count":0x5}`, 400, ""},
		"leading zero":              {`{"name":"x","count":05}`, 400, ""},
		"plus":                      {`{"name":"x","count":+5}`, 400, "count"},
		"NaN":                       {`{"name":"x","count":NaN}`, 400, "count"},
		"2^63":                      {`{"name":"x","count":9223372036854775808}`, 400, "count"},
		"2^53+1 is kept, too large": {`{"name":"x","count":9007199254740993}`, 422, "count"},
		"true for number":           {`{"name":"x","count":true}`, 400, "count"},
		"null for number":           {`{"name":"x","count":null}`, 400, "count"},
		"null for text":             {`{"name":null}`, 400, "name"},
		"null for bool":             {`{"name":"x","dry_run":null}`, 400, "dry_run"},
		"null for id":               {`{"name":"x","lines":[{"product_id":null,"quantity":1}]}`, 400, "lines[0].product_id"},
		"null for line":             {`{"name":"x","lines":[null,{}]}`, 400, "lines[0].product_id"},
		"object for list":           {`{"name":"x","lines":{}}`, 400, "lines"},
		"no UUID":                   {`{"name":"x","lines":[{"product_id":"7","quantity":1}]}`, 400, "lines[0].product_id"},
		"UUID in braces":            {`{"name":"x","lines":[{"product_id":"{0198a7c2-b1d3-7c5e-8a1b-2c3d4e5f6071}","quantity":1}]}`, 400, "lines[0].product_id"},
		"UUID as URN":               {`{"name":"x","lines":[{"product_id":"urn:uuid:0198a7c2-b1d3-7c5e-8a1b-2c3d4e5f6071","quantity":1}]}`, 400, "lines[0].product_id"},
		"invalid UTF-8":             {"{\"name\":\"\xff\"}", 400, "name"},
		"half a surrogate":          {`{"name":"\ud800"}`, 400, "name"},
		"zero character":            {`{"name":"a\u0000b"}`, 400, "name"},
		"zero character in a name":  {`{"name":"x","a\u0000":1}`, 400, "a?"},
		"too deep":                  {strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000), 400, ""},
		"missing":                   {`{"count":1}`, 400, "name"},
		"missing in a line":         {`{"name":"x","lines":[{"quantity":1}]}`, 400, "lines[0].product_id"},
		"too long":                  {`{"name":"123456789"}`, 422, "name"},
		"too small in a line":       {`{"name":"x","lines":[{"product_id":` + id + `,"quantity":-5}]}`, 422, "lines[0].quantity"},
		"zero in a line":            {`{"name":"x","lines":[{"product_id":` + id + `,"quantity":0}]}`, 422, "lines[0].quantity"},
		"too many lines":            {`{"name":"x","lines":[` + strings.TrimSuffix(strings.Repeat(`{"product_id":`+id+`,"quantity":1},`, 4), ",") + `]}`, 422, "lines"},
		"comment":                   {`{"name":"x"/* */}`, 400, ""},
		"byte order mark":           {"\ufeff" + `{"name":"x"}`, 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := r.do(http.MethodPost, "/api/v1/sample", tc.body, "Content-Type", "application/json")
			p := a.problem(t)
			if a.status != tc.status || p.Status != tc.status || p.Type != "/problems/invalid-request" {
				t.Fatalf("answered %d %s, want %d invalid-request", a.status, a.body, tc.status)
			}
			if tc.field == "" {
				return
			}
			if len(p.Errors) == 0 || p.Errors[0].Field != tc.field || p.Errors[0].Detail == "" {
				t.Errorf("errors are %+v, want %s first", p.Errors, tc.field)
			}
		})
	}
}

func TestDecodeTakes(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for name, tc := range map[string]struct{ body, contentType, want string }{
		"least":               {`{"name":"x"}`, "application/json", `{"name":"x","count":0}`},
		"with charset":        {`{"name":"ü"}`, "application/json; charset=UTF-8", `{"name":"ü","count":0}`},
		"another +json":       {` {"name":"x"} `, "application/vnd.shop+json", `{"name":"x","count":0}`},
		"null for a pointer":  {`{"name":"x","version":null}`, "application/json", `{"name":"x","count":0}`},
		"no zero character":   {`{"name":"\\u0000"}`, "application/json", `{"name":"\\u0000","count":0}`},
		"escapes":             {`{"n\u0061me":"\u00fc\ud83d\ude00"}`, "application/json", `{"name":"ü😀","count":0}`},
		"large number intact": {`{"name":"x","version":9007199254740993}`, "application/json", `{"name":"x","count":0,"version":9007199254740993}`},
		"negative zero":       {`{"name":"x","count":-0}`, "application/json", `{"name":"x","count":0}`},
		"lines": {
			`{"name":"x","lines":[{"product_id":"0198A7C2-B1D3-7C5E-8A1B-2C3D4E5F6071","quantity":1}]}`, "application/json",
			`{"name":"x","count":0,"lines":[{"product_id":"0198a7c2-b1d3-7c5e-8a1b-2c3d4e5f6071","quantity":1}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := r.do(http.MethodPost, "/api/v1/sample", tc.body, "Content-Type", tc.contentType)
			if a.status != http.StatusOK || strings.TrimSpace(a.body) != tc.want {
				t.Errorf("answered %d %s, want %s", a.status, a.body, tc.want)
			}
		})
	}
}

func TestDecodeWantsJSON(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for _, contentType := range []string{"", "text/plain", "text/json", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "application/xml", "json", "application/json; ="} {
		a := r.do(http.MethodPost, "/api/v1/sample", `{"name":"x"}`, "Content-Type", contentType)
		if p := a.problem(t); a.status != http.StatusUnsupportedMediaType || p.Type != "/problems/invalid-request" {
			t.Errorf("Content-Type %q answered %d %s", contentType, a.status, a.body)
		}
	}
}
