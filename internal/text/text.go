// Package text decides what a text may contain that names something or is shown to people: two texts that look the same
// must be the same, and no text may change how the text around it is shown.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Wrong says what keeps s from being a name on one line ("" if nothing does), as words that follow "must be": valid UTF-8 in
// Unicode normalization form C, without control and format characters (category Cf: zero-width space, soft hyphen, text
// direction), without line breaks, and without space at an end.
func Wrong(s string) string {
	switch why := wrongAnywhere(s, ""); {
	case why != "":
		return why
	case strings.TrimSpace(s) != s:
		return "without a space at an end"
	}
	return ""
}

// WrongLines is Wrong for a text of several lines, such as a description: tabs and line feeds may be in it, and space at an end.
func WrongLines(s string) string { return wrongAnywhere(s, "\t\n\r") }

func wrongAnywhere(s, also string) string {
	switch {
	case !utf8.ValidString(s):
		return "valid UTF-8"
	case strings.ContainsFunc(s, func(r rune) bool { return disturbs(r) && !strings.ContainsRune(also, r) }):
		return "printable characters only, none of them invisible"
	case !norm.NFC.IsNormalString(s):
		return "in Unicode normalization form C (letters with their accents as one character)"
	}
	return ""
}

// disturbs reports whether a character is not seen, or changes how others are: control and format characters, line and paragraph
// separators, private and unassigned ones, and variation selectors and fillers that show as nothing.
func disturbs(r rune) bool {
	if r == '\ufe0f' { // asks for the coloured form of an emoji, which is seen
		return false
	}
	return !unicode.IsGraphic(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r)
}
