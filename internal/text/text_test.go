package text_test

import (
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/text"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "22423", "REGENCY CAKESTAND 3 TIER", "Käse, 1½ Pfund", "עברית", "日本", "🎁", "❤️", "café", "<script>", "a\u00a0b"} {
		if why := text.Wrong(good); why != "" {
			t.Errorf("%q is refused: must be %s", good, why)
		}
	}
	for name, bad := range map[string]string{
		"zero-width space": "a\u200bb", "word joiner": "a\u2060b", "soft hyphen": "a\u00adb", "right-to-left override": "a\u202eb",
		"isolate": "a\u2066b\u2069", "byte order mark": "\ufeffa", "zero-width joiner": "a\u200db", "decomposed": "cafe\u0301",
		"compatible but not composed": "\u212b", "line feed": "a\nb", "tab": "a\tb", "zero": "a\x00b", "escape": "\x1b[31ma", "C1": "a\u0085b",
		"line separator": "a\u2028b", "leading space": " a", "no-break space at the end": "a\u00a0", "not UTF-8": "a\xff", "private use": "a\ue000",
		"hangul filler": "a\u3164", "grapheme joiner": "a\u034fb", "variation selector": "a\ufe00", "tag": "a\U000e0041", "unassigned": "a\U000e0fff",
	} {
		if text.Wrong(bad) == "" {
			t.Errorf("%s: %q is taken", name, bad)
		}
	}
}

func TestTextsOfSeveralLines(t *testing.T) {
	t.Parallel()
	if why := text.WrongLines(" one\r\n\ttwo\n"); why != "" {
		t.Errorf("refused: must be %s", why)
	}
	for _, bad := range []string{"a\u202eb", "a\x00", "cafe\u0301", "a\u2028b", "\xff"} {
		if text.WrongLines(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}
