package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// windows1252 is what the bytes 0x80 to 0x99 mean in windows-1252; 0 where they mean nothing
// (https://encoding.spec.whatwg.org/index-windows-1252.txt, where the undefined ones are controls; Python has no mapping).
var windows1252 = [...]rune{
	'€', 0, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0, 'Ž', 0,
	0, '‘', '’', '“', '”', '•', '–', '—', '˜', '™',
}

// Clean does what Flair 0.15 does to a text before anything else (Sentence._handle_problem_characters, flair/data.py in
// github.com/flairNLP/flair): it deletes U+200B, U+200C, U+2028, U+2029, U+FE0F and U+FEFF, and reads U+0080 to U+0099 as
// windows-1252, deleting the four that have no meaning there. A byte that is not UTF-8 becomes U+FFFD. A text that needs
// none of this is returned as it is. Cleaning twice changes nothing more.
func Clean(text string) string {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if cleaned(r) != r || r == utf8.RuneError && size == 1 {
			return text[:i] + strings.Map(cleaned, text[i:])
		}
		i += size
	}
	return text
}

// cleaned returns what the rune becomes; -1 deletes it.
func cleaned(r rune) rune {
	switch r {
	case 0x200b, 0x200c, 0x2028, 0x2029, 0xfe0f, 0xfeff:
		return -1
	}
	if r < 0x80 || r >= 0x80+rune(len(windows1252)) {
		return r
	}
	if r = windows1252[r-0x80]; r == 0 {
		return -1
	}
	return r
}
