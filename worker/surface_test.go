package worker

import "testing"

func TestDominantScript(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"12 %, 7!":             "",
		"hello":                "Latin",
		"Übergröße":            "Latin",
		"привет":               "Cyrillic",
		"ok, привет":           "Cyrillic",
		"你好":                   "Han",
		"こんにちは世界":              "Hiragana",
		"안녕하세요":                "Hangul",
		"שלום hi":              "Hebrew",
		"ᐃᓄᒃᑎᑐᑦ":               "Canadian_Aboriginal",
		"\U0001F600 bonjour":   "Latin",
		"नमस्ते":               "Devanagari",
		"abc αβγδ":             "Greek",
		"\U00016A00\U00016A01": "Bamum",
	} {
		if got := dominantScript(text); got != want {
			t.Errorf("dominantScript(%q) = %q, want %q", text, got, want)
		}
	}
}
