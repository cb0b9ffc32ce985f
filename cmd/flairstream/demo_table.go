package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/rivo/uniseg"
)

// demoFrame is what the demo's table shows at one moment.
type demoFrame struct {
	model, broker string
	elapsed       time.Duration
	// total is the number of texts to publish; 0: no end.
	total, published, predicted, deadLetters int
	rate                                     float64 // texts a second, lately
	p50, p95                                 time.Duration
	right, judged                            int // of the predictions of texts in scope
	labels                                   []labelCount
	latest                                   []verdict // newest first
}

type labelCount struct {
	name  string
	count int
}

// verdict is one prediction beside what was expected.
type verdict struct {
	mark  mark
	label string // "" for none
	score float32
	text  string
}

type mark rune

const (
	markRight      mark = '✓'
	markWrong      mark = '✗'
	markOutOfScope mark = '~'
)

const (
	tableWidth  = 79 // one less than 80: a full last column wraps in some terminals
	mostLabels  = 12
	labelWidth  = 18
	noLabelName = "(no label)"
)

// lines draws the frame: at most height lines of at most tableWidth columns.
func (f demoFrame) lines(height int, p paint) []string {
	lines := []string{f.title(p), ""}
	lines = append(lines, f.figures(p)...)
	lines = append(lines, "", p.dim(pad(" label", labelWidth+1)+"texts"))
	lines = append(lines, f.distribution(p)...)
	lines = append(lines, "", p.dim(" latest texts")+"   "+
		p.green(string(markRight))+" right   "+p.red(string(markWrong))+" wrong   "+p.yellow(string(markOutOfScope))+" out of scope, not counted")
	for _, v := range f.latest[:min(len(f.latest), max(0, height-len(lines)))] {
		lines = append(lines, v.line(p))
	}
	return lines[:min(len(lines), height)]
}

func (f demoFrame) title(p paint) string {
	clock := fmt.Sprintf("%d:%02d", int(f.elapsed.Minutes()), int(f.elapsed.Seconds())%60)
	name := " flairstream demo"
	width := tableWidth - len(name) - len(clock)
	return p.bold(name) + p.dim(pad("   "+clip(f.model+" · "+f.broker, width-4), width)) + clock
}

func (f demoFrame) figures(p paint) []string {
	published := fmt.Sprintf("%d", f.published)
	if f.total > 0 {
		const width = 40
		done := bar(float64(f.published)/float64(f.total), width)
		rest := strings.Repeat("·", width-uniseg.StringWidth(done))
		published = pad(fmt.Sprintf("%d of %d", f.published, f.total), 14) + p.cyan(done) + p.dim(rest)
	}
	accuracy := "-"
	if f.judged > 0 {
		accuracy = fmt.Sprintf("%.1f %%", 100*float64(f.right)/float64(f.judged))
	}
	dead := fmt.Sprintf("dead letters %d", f.deadLetters)
	if f.deadLetters > 0 {
		dead = p.red(dead)
	}
	row := func(name, value, rest string) string {
		return p.dim(pad(" "+name, 13)) + p.bold(pad(value, 14)) + rest
	}
	return []string{
		p.dim(pad(" published", 13)) + published,
		row("predicted", fmt.Sprint(f.predicted), pad(fmt.Sprintf("%.1f texts/s", f.rate), 16)+
			pad(fmt.Sprintf("backlog %d", max(0, f.published-f.predicted-f.deadLetters)), 14)+dead),
		row("latency", "p50 "+short(f.p50), pad("p95 "+short(f.p95), 16)+"text stored to prediction stored"),
		row("accuracy", accuracy, fmt.Sprintf("so far, of %d texts in scope", f.judged)),
	}
}

// distribution shows how often each label was given, in two columns.
func (f demoFrame) distribution(p paint) []string {
	shown := f.labels
	if len(shown) > mostLabels { // those that matter, in their order
		byCount := slices.Clone(shown)
		slices.SortStableFunc(byCount, func(a, b labelCount) int { return b.count - a.count })
		least := byCount[mostLabels-1].count
		shown = slices.DeleteFunc(slices.Clone(shown), func(l labelCount) bool { return l.count < least })[:mostLabels]
	}
	most := 1
	for _, l := range shown {
		most = max(most, l.count)
	}
	cell := func(l labelCount) string {
		share := float64(l.count) / float64(most)
		return " " + pad(clip(l.name, labelWidth), labelWidth) + fmt.Sprintf("%5d ", l.count) + p.cyan(pad(bar(share, 12), 12))
	}
	rows := (len(shown) + 1) / 2
	lines := make([]string, 0, rows)
	for i := range rows {
		line := cell(shown[i])
		if j := i + rows; j < len(shown) {
			line += "  " + cell(shown[j])
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

func (v verdict) line(p paint) string {
	name, score := v.label, fmt.Sprintf("%.2f", v.score)
	if name == "" {
		name, score = noLabelName, "    "
	}
	sign := map[mark]string{
		markRight: p.green(string(v.mark)), markWrong: p.red(string(v.mark)), markOutOfScope: p.yellow(string(v.mark)), 0: " ",
	}[v.mark]
	head := pad(clip(name, labelWidth), labelWidth) + " " + score + "  "
	// Terminals disagree on how wide some emoji are: two columns are left free.
	return strings.TrimRight(" "+sign+" "+head+p.dim(clip(v.text, tableWidth-3-labelWidth-7-2)), " ")
}

// bar draws a share, 0 to 1, in eighths of a column.
func bar(share float64, width int) string {
	eighths := int(min(max(share, 0), 1)*float64(width*8) + 0.5)
	full := strings.Repeat("█", eighths/8)
	if eighths%8 == 0 {
		return full
	}
	return full + string([]rune(" ▏▎▍▌▋▊▉")[eighths%8])
}

func short(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// pad fills up with spaces to a width.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-uniseg.StringWidth(s)))
}

// clip cuts to a width, and keeps whatever would move the cursor or turn the writing around from the terminal.
func clip(s string, width int) string {
	var b strings.Builder
	left := width
	space := true // of several spaces one is kept, of those at the beginning none
	for g := uniseg.NewGraphemes(s); g.Next(); {
		cluster := g.Str()
		if r := g.Runes()[0]; unicode.IsSpace(r) || unicode.IsControl(r) {
			cluster = " "
		}
		cluster = strings.Map(func(r rune) rune {
			if unicode.In(r, unicode.Cf, unicode.Cc, unicode.Co, unicode.Cs) || r == unicode.ReplacementChar {
				return -1
			}
			return r
		}, cluster)
		if cluster == "" || cluster == " " && space {
			continue
		}
		space = cluster == " "
		w := uniseg.StringWidth(cluster)
		if w > left-1 && !(w <= left && last(s, g)) {
			b.WriteString("…")
			break
		}
		b.WriteString(cluster)
		left -= w
	}
	return strings.TrimRight(b.String(), " ")
}

// last tells whether the cluster is the string's end.
func last(s string, g *uniseg.Graphemes) bool {
	_, end := g.Positions()
	return end == len(s)
}

// paint colours, where the output is a terminal that wants colours.
type paint bool

func (p paint) with(code, s string) string {
	if !p || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p paint) bold(s string) string   { return p.with("1", s) }
func (p paint) dim(s string) string    { return p.with("2", s) }
func (p paint) red(s string) string    { return p.with("31", s) }
func (p paint) green(s string) string  { return p.with("32", s) }
func (p paint) yellow(s string) string { return p.with("33", s) }
func (p paint) cyan(s string) string   { return p.with("36", s) }
