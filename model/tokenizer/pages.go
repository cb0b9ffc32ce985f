package tokenizer

import "unicode/utf8"

const (
	pageBits = 8
	pageSize = 1 << pageBits
)

// pages gives every code point a value; equal pages are one.
type pages[T comparable] [(utf8.MaxRune + 1) / pageSize]*[pageSize]T

func (p *pages[T]) at(r rune) T {
	return p[r>>pageBits][r&(pageSize-1)]
}

// newPages asks for the pages, each by its first code point.
func newPages[T comparable](page func(first rune) [pageSize]T) *pages[T] {
	var p pages[T]
	known := map[[pageSize]T]*[pageSize]T{}
	for i := range p {
		made := page(rune(i) << pageBits)
		if known[made] == nil {
			known[made] = &made
		}
		p[i] = known[made]
	}
	return &p
}

// class is what a character is to one way of cutting texts; 0 is any other.
type class uint8

// newClasses gives each span's code points the class at its place; a later one takes what an earlier one had.
func newClasses(spans map[class][]span) *pages[class] {
	all := make([]class, utf8.MaxRune+1)
	for c := class(1); int(c) <= len(spans); c++ {
		for _, s := range spans[c] {
			for r := s.low; r <= s.high; r++ {
				all[r] = c
			}
		}
	}
	return newPages(func(first rune) [pageSize]class { return [pageSize]class(all[first : first+pageSize]) })
}
