package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"
)

var update = flag.Bool("update", false, "write the golden files anew")

func exampleFrame() demoFrame {
	return demoFrame{
		model: "clinc150-domains 1.0.0", broker: "nats://127.0.0.1:41233", elapsed: 74*time.Second + 300*time.Millisecond,
		total: 576, published: 352, predicted: 348, rate: 24.96, p50: 4200 * time.Microsecond, p95: 31 * time.Millisecond,
		right: 309, judged: 314,
		labels: []labelCount{
			{"auto_and_commute", 31},
			{"banking", 40},
			{"credit_cards", 35},
			{"home", 33},
			{"kitchen_and_dining", 30},
			{"meta", 29},
			{"small_talk", 44},
			{"travel", 37},
			{"utility", 36},
			{"work", 31},
			{noLabelName, 2},
		},
		latest: []verdict{
			{markRight, "travel", 0.9931, "how do you say good evening in Polish?"},
			{markWrong, "home", 0.5512, "Read my shopping list out to me before I head to the store, would you please"},
			{markOutOfScope, "work", 0.4102, "今日の野球の試合はどちらが勝ちましたか、今日の野球の試合はどちらが勝ちましたか"},
			{0, "", 0, "   "},
			{markRight, "credit_cards", 1, "Hi,\r\n\r\n\twhat is my\u202e credit\x1b[31m score?\u200b"},
			{markRight, "a_label_that_is_longer_than_its_column", 0.5, "✈️ book a flight from Zürich 👩‍👩‍👧"},
		},
	}
}

func TestTable(t *testing.T) {
	many := exampleFrame()
	many.total = 0
	many.deadLetters = 3
	many.labels = nil
	for i := range 40 {
		many.labels = append(many.labels, labelCount{strings.Repeat("l", i%7+1) + string(rune('a'+i%26)), i % 13})
	}
	tests := map[string]struct {
		frame  demoFrame
		height int
		paint  paint
	}{
		"plain":       {exampleFrame(), 24, false},
		"colour":      {exampleFrame(), 24, true},
		"low":         {exampleFrame(), 18, false},
		"many_labels": {many, 30, false},
		"start":       {demoFrame{total: 576, labels: exampleFrame().labels[:10]}, 24, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			lines := test.frame.lines(test.height, test.paint)
			if len(lines) > test.height {
				t.Errorf("%d lines, want at most %d", len(lines), test.height)
			}
			for _, line := range lines {
				visible := regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(line, "")
				if width := uniseg.StringWidth(visible); width > tableWidth {
					t.Errorf("%d columns wide: %q", width, line)
				}
				if strings.ContainsAny(visible, "\x1b\r\n\u202e") {
					t.Errorf("holds control characters: %q", line)
				}
			}
			golden(t, filepath.Join("testdata", "demo", name+".txt"), strings.Join(lines, "\n")+"\n")
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
	}
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{
		"":             "",
		"12345678":     "12345678",
		"123456789":    "1234567…",
		"  a \n\t b  ": "a b",
		"今日の野球の試合":     "今日の…",
		"a\u200bb\x00": "ab",
		"\ufffd\ufffd": "",
	} {
		if got := clip(in, 8); got != want {
			t.Errorf("clip(%q, 8) = %q, want %q", in, got, want)
		}
	}
}
