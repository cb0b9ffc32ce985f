package tokenizer

import "testing"

func TestClean(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing to do", "café – ok", "café – ok"},
		{"zero width", "a\u200bb\u200cc\ufe0fd\ufeffe", "abcde"},
		{"separators of lines and paragraphs", "a\u2028b\u2029c", "abc"},
		{"the joiner stays", "👩\u200d🚀", "👩\u200d🚀"},
		{"windows-1252", "\u0080 \u0091x\u0092 \u0099", "€ ‘x’ ™"},
		{"undefined in windows-1252", "a\u0081\u008d\u008f\u0090b", "ab"},
		{"Flair reads windows-1252 up to U+0099", "\u009a\u009f\u00a0", "\u009a\u009f\u00a0"},
		{"bytes that are not UTF-8", "a\xffb\xe2\x82", "a\ufffdb\ufffd\ufffd"},
		{"bytes that only cleaning would join to a character", "\xe2\u200b\x82\xac", "\ufffd\ufffd\ufffd"},
		{"empty", "", ""},
		{"nothing left", "\ufeff\u200b", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Clean(c.text)
			if got != c.want {
				t.Errorf("Clean(%+q) = %+q, want %+q", c.text, got, c.want)
			}
			if again := Clean(got); again != got {
				t.Errorf("cleaned again: %+q, want %+q", again, got)
			}
		})
	}
}

func TestCleanAllocatesNothingWhereNothingChanges(t *testing.T) {
	text := "Ça marche: 天地, 👍🏽!"
	if got := testing.AllocsPerRun(100, func() { Clean(text) }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}
