package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"flairstream/event"
	"flairstream/producer"
	"flairstream/queue"
)

// text is a row of the file, and what the model sees of it.
type text struct {
	content string
	ids     []int32
}

// corpus is the file's texts, the shortest first. Those without tokens, which no model sees, are left out.
type corpus struct {
	texts   []text
	without int // tokens
}

// readCorpus reads a file as the producer does.
func readCorpus(ctx context.Context, path string, tokenize func(string) []int32) (corpus, error) {
	in, err := producer.File(path, "")
	if err != nil {
		return corpus{}, err
	}
	var c collector
	p, err := producer.New(&c, producer.Options{})
	if err != nil {
		return corpus{}, err
	}
	if _, err := p.Run(ctx, in); err != nil {
		return corpus{}, fmt.Errorf("texts: %w", err)
	}
	var read corpus
	for _, content := range c.texts {
		t := text{content: content, ids: tokenize(content)}
		if len(t.ids) == 0 {
			read.without++
			continue
		}
		read.texts = append(read.texts, t)
	}
	if len(read.texts) == 0 {
		return corpus{}, fmt.Errorf("%s: no texts", path)
	}
	slices.SortFunc(read.texts, func(a, b text) int {
		return cmp.Or(cmp.Compare(len(a.ids), len(b.ids)), cmp.Compare(a.content, b.content))
	})
	return read, nil
}

// collector is a sink that keeps the texts published to it.
type collector struct {
	mu    sync.Mutex
	texts []string
}

// Publish keeps the texts.
func (c *collector) Publish(_ context.Context, msgs ...queue.Message) ([]queue.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range msgs {
		t, err := event.DecodeText(m.Header, m.Body, event.Identity{})
		if err != nil {
			return nil, err
		}
		c.texts = append(c.texts, string(t.Text))
	}
	return make([]queue.Receipt, len(msgs)), nil
}

// Close does nothing.
func (c *collector) Close(context.Context) error { return nil }

// take gives about n texts whose lengths are spread as the file's are, the shortest first: the whole file as often as it
// takes, or rows that stand equally far apart in it.
func (c corpus) take(n int) []text {
	total := len(c.texts)
	if n >= total {
		taken := make([]text, 0, n+total)
		for times := (n + total - 1) / total; len(taken) < times*total; {
			taken = append(taken, c.texts...)
		}
		slices.SortStableFunc(taken, func(a, b text) int { return cmp.Compare(len(a.ids), len(b.ids)) })
		return taken
	}
	taken := make([]text, max(1, n))
	for i := range taken {
		taken[i] = c.texts[(2*i+1)*total/(2*len(taken))]
	}
	return taken
}

// shuffled gives texts in the order in which they arrive.
func shuffled(texts []text) []text {
	texts = slices.Clone(texts)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
	return texts
}

// message is a text as it is published, with its number as its id.
func (t text) message(number int) (queue.Message, error) {
	id := strconv.Itoa(number)
	e, err := event.Text{ID: id, Source: "bench", Text: event.Content(t.content), Time: time.Now()}.Encode()
	return queue.Message{ID: id, Header: e.Header, Body: e.Body}, err
}

// TextsInfo describes the texts that were measured with.
type TextsInfo struct {
	File                            string // its name, without the folder
	Count                           int
	WithoutTokens                   int // left out
	TokensP50, TokensP99, TokensMax int
	TokensMean                      float64
}

func (c corpus) describe(path string) TextsInfo {
	lengths := make([]float64, len(c.texts))
	var sum float64
	for i, t := range c.texts {
		lengths[i] = float64(len(t.ids))
		sum += lengths[i]
	}
	return TextsInfo{
		File: filepath.Base(path), Count: len(c.texts), WithoutTokens: c.without, TokensMean: sum / float64(len(lengths)),
		TokensP50: int(quantile(lengths, 0.5)), TokensP99: int(quantile(lengths, 0.99)), TokensMax: int(lengths[len(lengths)-1]),
	}
}

var errLost = errors.New("not every text has exactly one prediction")
