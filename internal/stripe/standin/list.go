package standin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// list answers a page of a list as Stripe does: the newest first, ten unless limit says otherwise, and never more than a hundred. After
// starting_after come the older ones; before ending_before come the newer ones, of these the last before it.
func list(path string, all []Object, form url.Values) reply {
	limit, err := strconv.Atoi(form.Get("limit"))
	if form.Get("limit") == "" {
		limit, err = 10, nil
	}
	if err != nil || limit < 1 || limit > 100 {
		return refuse(http.StatusBadRequest, "invalid_request_error", "parameter_invalid_integer", "limit")
	}
	var fit []Object
	for _, o := range slices.Backward(all) {
		if fits(o, form) {
			fit = append(fit, o)
		}
	}
	more := false
	switch after, before := form.Get("starting_after"), form.Get("ending_before"); {
	case after != "":
		i := place(fit, after)
		if i < 0 {
			return refuse(http.StatusBadRequest, "invalid_request_error", "resource_missing", "starting_after")
		}
		fit, more = first(fit[i+1:], limit)
	case before != "":
		i := place(fit, before)
		if i < 0 {
			return refuse(http.StatusBadRequest, "invalid_request_error", "resource_missing", "ending_before")
		}
		fit, more = fit[max(0, i-limit):i], i > limit
	default:
		fit, more = first(fit, limit)
	}
	return reply{http.StatusOK, Object{"object": "list", "url": path, "has_more": more, "data": append([]Object{}, fit...)}}
}

func first(all []Object, limit int) ([]Object, bool) {
	return all[:min(limit, len(all))], len(all) > limit
}

func place(all []Object, id string) int {
	return slices.IndexFunc(all, func(o Object) bool { return o["id"] == id })
}

// fits says whether the filters of a list let an object through.
func fits(o Object, form url.Values) bool {
	created := o["created"].(int64)
	for name, bound := range map[string]func(int64) bool{
		"created[gte]": func(n int64) bool { return created >= n }, "created[gt]": func(n int64) bool { return created > n },
		"created[lte]": func(n int64) bool { return created <= n }, "created[lt]": func(n int64) bool { return created < n },
	} {
		if text := form.Get(name); text != "" {
			if n, err := strconv.ParseInt(text, 10, 64); err != nil || !bound(n) {
				return false
			}
		}
	}
	if pi := form.Get("payment_intent"); pi != "" && o["payment_intent"] != pi {
		return false
	}
	var types []string
	for name := range form {
		if strings.HasPrefix(name, "types[") {
			types = append(types, form.Get(name))
		}
	}
	return len(types) == 0 || slices.Contains(types, o["type"].(string))
}
