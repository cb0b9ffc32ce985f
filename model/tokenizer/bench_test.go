package tokenizer

import (
	"os"
	"strings"
	"testing"
)

func BenchmarkEncode(b *testing.B) {
	if _, err := os.Stat(bundleTokenizer()); err != nil {
		b.Skipf("no tokenizer.json of a real vocabulary: %v", err)
	}
	tokenizer := loadFile(b, bundleTokenizer())
	short := "can you move Tuesday's dentist appointment to 4:30pm instead"
	for _, c := range []struct{ name, text string }{
		{"short", short},
		{"accents", "Příliš žluťoučký kůň úpěl ďábelské ódy, señor Núñez"},
		{"long", strings.Repeat(short+". ", 30)},
		{"900KiB", strings.Repeat(short+". ", 900<<10/(len(short)+2))},
		{"900KiB-word", strings.Repeat("a", 900<<10)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.text)))
			for b.Loop() {
				tokenizer.Encode(c.text, 512)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	data, err := os.ReadFile(bundleTokenizer())
	if err != nil {
		b.Skipf("no tokenizer.json of a real vocabulary: %v", err)
	}
	for b.Loop() {
		if _, err := Load(data); err != nil {
			b.Fatal(err)
		}
	}
}
