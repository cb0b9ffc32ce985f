package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkEncode runs every kind of `make vectors` on the same texts.
func BenchmarkEncode(b *testing.B) {
	short := "can you move Tuesday's dentist appointment to 4:30pm instead"
	for _, kind := range append([]string{"bundle"}, kinds[1:]...) {
		data := readVocabulary(b, kind)
		tokenizer, err := Load(data)
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range []struct{ name, text string }{
			{"short", short},
			{"accents", "Příliš žluťoučký kůň úpěl ďábelské ódy, señor Núñez"},
			{"long", strings.Repeat(short+". ", 30)},
			{"900KiB", strings.Repeat(short+". ", 900<<10/(len(short)+2))},
			{"900KiB-word", strings.Repeat("a", 900<<10)},
		} {
			b.Run(kind+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(c.text)))
				for b.Loop() {
					tokenizer.Encode(c.text, 512)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
			})
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, kind := range append([]string{"bundle"}, kinds[1:]...) {
		data := readVocabulary(b, kind)
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				if _, err := Load(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func readVocabulary(b *testing.B, kind string) []byte {
	b.Helper()
	data, err := os.ReadFile(filepath.Join(vectorsFolder(), kind+".json"))
	if err != nil {
		b.Skipf("%v: `make vectors` writes it", err)
	}
	return data
}
