package worker

import (
	"maps"
	"slices"
	"unicode"

	"flairstream/event"
)

// surface describes a text without showing it. [CLS] and [SEP] are no part of the share.
func (it *item) surface() event.Surface {
	words := len(it.tokens.IDs) - 2
	if words <= 0 {
		return event.Surface{Script: it.script}
	}
	return event.Surface{UnknownShare: float32(it.tokens.Unknown) / float32(words), Script: it.script}
}

// scriptLetters is how many letters decide the script: enough for what it is used for, whatever the text's length.
const scriptLetters = 256

// dominantScript is the Unicode script that most of the first letters of a text have: "Latin", "Han"; "" without letters.
func dominantScript(content string) string {
	var latin, letters int
	var others map[string]int
	for _, r := range content {
		if letters == scriptLetters {
			break
		}
		if !unicode.IsLetter(r) {
			continue
		}
		letters++
		script := scriptOf(r)
		if script == "Latin" {
			latin++
			continue
		}
		if others == nil {
			others = make(map[string]int)
		}
		others[script]++
	}
	dominant, most := "", latin
	if latin > 0 {
		dominant = "Latin"
	}
	for script, n := range others {
		if n > most || n == most && script < dominant {
			dominant, most = script, n
		}
	}
	return dominant
}

func scriptOf(r rune) string {
	if r < unicode.MaxASCII || unicode.Is(unicode.Latin, r) {
		return "Latin"
	}
	for _, s := range scripts {
		if unicode.Is(unicode.Scripts[s], r) {
			return s
		}
	}
	return "Common"
}

// scripts are Unicode's names, those that are met most first.
var scripts = func() []string {
	common := []string{
		"Han", "Hiragana", "Katakana", "Hangul", "Cyrillic", "Arabic", "Greek", "Hebrew", "Devanagari", "Thai", "Bengali", "Tamil",
	}
	rest := slices.Sorted(maps.Keys(unicode.Scripts))
	return append(common, slices.DeleteFunc(rest, func(s string) bool { return slices.Contains(common, s) })...)
}()
