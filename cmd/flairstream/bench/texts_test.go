package bench

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// letters makes a token of each letter.
func letters(content string) []int32 {
	var ids []int32
	for _, r := range strings.TrimSpace(content) {
		ids = append(ids, r)
	}
	return ids
}

func readTexts(t *testing.T, lines ...string) corpus {
	t.Helper()
	file := filepath.Join(t.TempDir(), "texts.txt")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := readCorpus(t.Context(), file, letters)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func contents(texts []text) []string {
	var all []string
	for _, t := range texts {
		all = append(all, t.content)
	}
	return all
}

func TestCorpus(t *testing.T) {
	c := readTexts(t, "cccc", "b", "  ", "aa", "a", "eeeeee")
	if diff := cmp.Diff([]string{"a", "b", "aa", "cccc", "eeeeee"}, contents(c.texts)); diff != "" {
		t.Errorf("texts by length (-want +got):\n%s", diff)
	}
	want := TextsInfo{File: "x.txt", Count: 5, WithoutTokens: 1, TokensP50: 2, TokensP99: 6, TokensMax: 6, TokensMean: 14.0 / 5}
	if diff := cmp.Diff(want, c.describe("/some/where/x.txt")); diff != "" {
		t.Errorf("describe (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		n    int
		want []string
	}{
		{0, []string{"aa"}},
		{1, []string{"aa"}},
		{3, []string{"a", "aa", "eeeeee"}},
		{5, []string{"a", "b", "aa", "cccc", "eeeeee"}},
		{6, []string{"a", "b", "a", "b", "aa", "aa", "cccc", "cccc", "eeeeee", "eeeeee"}},
	} {
		taken := c.take(test.n)
		if diff := cmp.Diff(test.want, contents(taken)); diff != "" {
			t.Errorf("take(%d) (-want +got):\n%s", test.n, diff)
		}
		mixed := contents(shuffled(taken))
		slices.Sort(mixed)
		if sorted := slices.Sorted(slices.Values(test.want)); !slices.Equal(mixed, sorted) {
			t.Errorf("shuffled(%v) has %v", test.want, mixed)
		}
	}
}

func TestBatches(t *testing.T) {
	var texts []text
	for _, tokens := range []int{1, 8, 9, 16, 17, 300, 301, 600} {
		texts = append(texts, text{ids: make([]int32, tokens)})
	}
	for _, test := range []struct {
		budget budget
		want   [][2]int // texts and padded length
	}{
		{budget{32, 1 << 20}, [][2]int{{8, 600}}},
		{budget{3, 1 << 20}, [][2]int{{3, 16}, {3, 304}, {2, 600}}},
		{budget{32, 64}, [][2]int{{4, 16}, {1, 24}, {1, 304}, {1, 304}, {1, 600}}},
	} {
		var got [][2]int
		for _, b := range test.budget.batches(texts) {
			got = append(got, [2]int{len(b.ids), b.padded})
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.budget, diff)
		}
	}
}

func TestUsage(t *testing.T) {
	stat := "cpu  50 25 25 1000 2000 15 10 50 7\ncpu0 1 1 1 1\ncpu1 1 1 1 1\ncpu3 1 1 1 1\nintr 5 5\n"
	if seconds, cores := busy(stat); seconds != 1.75 || cores != 3 {
		t.Errorf("busy = %v s of %d cores, want 1.75, without idle, iowait and guests, of 3", seconds, cores)
	}
	if u, err := used(); err != nil || u.CPU <= 0 || u.PeakRSS < 1<<20 {
		t.Errorf("used = %+v, %v; want some CPU time and memory", u, err)
	}
}
