package web

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"strings"
)

// traceParent is a W3C trace context: https://www.w3.org/TR/trace-context/.
type traceParent struct{ traceID, spanID, flags string }

func (t traceParent) String() string {
	if t.traceID == "" {
		return ""
	}
	return "00-" + t.traceID + "-" + t.spanID + "-" + t.flags
}

var traceParentForm = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// childOf goes on with a caller's trace, or begins one when the header holds none.
func childOf(header string) traceParent {
	span := randomHex(8)
	if traceParentForm.MatchString(header) && !strings.HasPrefix(header, "ff") {
		if id := header[3:35]; strings.Trim(id, "0") != "" && strings.Trim(header[36:52], "0") != "" {
			return traceParent{traceID: id, spanID: span, flags: header[53:]}
		}
	}
	return traceParent{traceID: randomHex(16), spanID: span, flags: "00"}
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}
