package sandbox

import (
	"html/template"
	"net/http"
)

// shown is how many entries a person sees at once.
const shown = 200

var ledgerPage = template.Must(template.New("ledger").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Payment sandbox: ledger</title>
<style>body{font:14px system-ui;margin:2em}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ddd}
.n{text-align:right}.declined{color:#a00}</style>
<h1>Ledger of the payment sandbox</h1>
<p>No money is moved here. The newest entries come first; programs read <code>/ledger?after=0&amp;limit=1000</code> as JSON.</p>
<table><tr><th>#<th>at<th>kind<th>status<th class=n>amount, minor units<th>order<th>id<th>method
{{range .Entries}}<tr class="{{.Status}}"><td>{{.Seq}}<td>{{.At.Format "2006-01-02 15:04:05.000"}}<td>{{.Kind}}<td>{{.Status}} {{.Reason}}<td class=n>{{.AmountMinor}} {{.Currency}}<td>{{.OrderID}}<td>{{.ID}}<td>{{.PaymentMethod}}
{{end}}</table>
{{if .Before}}<p><a href="?before={{.Before}}">older</a></p>{{end}}
`))

// showLedger is the ledger as a page for people.
func (s *Server) showLedger(w http.ResponseWriter, r *http.Request) {
	before, err := number(r, "before", 0)
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	entries, err := s.books.newest(before, shown)
	if err != nil {
		s.refuseFor(w, r, err)
		return
	}
	older := int64(0)
	if len(entries) == shown {
		older = entries[shown-1].Seq
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_ = ledgerPage.Execute(w, map[string]any{"Entries": entries, "Before": older}) // fails only if the client is gone
}
