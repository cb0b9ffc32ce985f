package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"flairstream/model"
	"flairstream/model/classifier"

	"github.com/spf13/cobra"
)

// Bounds of a batch. It is the padded tokens that take the memory: 8,192 of them some 600 MB with a small BERT.
const (
	maxClassifyBatch  = 256
	maxClassifyTokens = 8192
)

func newClassifyCommand() *cobra.Command {
	var dir, library string
	var asJSON bool
	var size int
	command := &cobra.Command{
		Use:   "classify --bundle DIR [TEXT...]",
		Short: "Classify texts without a queue",
		Long: `Classifies texts from the arguments or, without any, from standard input, and
writes a line a text, in the same order. The bundle is proved first, as by
"flairstream bundle verify". Batches are made of neighbours: at most --batch texts,
fewer where no more are there yet or where they are long. The batch has no effect on
the result.

Without --json, standard input has a text a line, and the output is for people:
label, probability, the text's beginning.

With --json, standard input has a JSON string a line, and the output is an object a
line:
  label            the label's name; of several the most probable; null if none
  labels           multi-label models only: all labels chosen, each name and score
  no_label_reason  only where label is null: "empty", nothing is left of the text
                   after cleaning; "below_threshold" (multi-label models)
  scores           the probabilities of all labels, in the bundle's order, at full
                   precision; [] for an empty text
  tokens           how many tokens the model saw
  truncated        whether the text had more`,
		Example: `  flairstream classify --bundle examples/bundle "what is my balance?"
  jq -c .text examples/messages.jsonl | flairstream classify --bundle examples/bundle --json --batch 32`,
		RunE: func(c *cobra.Command, args []string) error {
			if size < 1 || size > maxClassifyBatch {
				return fmt.Errorf("--batch is %d, want 1 to %d; %w", size, maxClassifyBatch, errUsage)
			}
			for i, text := range args {
				if !utf8.ValidString(text) {
					return fmt.Errorf("text %d of the arguments: not valid UTF-8; %w", i+1, errUsage)
				}
			}
			b, err := openBundle(dir)
			if err != nil {
				return err
			}
			open, err := classifier.Open(b, classifier.Options{Library: library, Slots: 1})
			if err != nil {
				return err
			}
			defer open.Close()
			write := writePeople(b.Manifest.Labels)
			if asJSON {
				write = writeJSON(b.Manifest.Task)
			}
			return classifyTexts(c, open, args, asJSON, size, write)
		},
	}
	bundleFlag(command, &dir)
	libraryFlag(command, &library)
	command.Flags().BoolVar(&asJSON, "json", false, "JSON strings in, a JSON object a line out")
	command.Flags().IntVar(&size, "batch", 8, fmt.Sprintf("largest `number` of texts in a batch, 1 to %d", maxClassifyBatch))
	return command
}

// writeRow writes what the model says of a text.
type writeRow func(w *bufio.Writer, text string, tokens model.Tokens, c model.Classification) error

func classifyTexts(c *cobra.Command, open *classifier.Classifier, args []string, asJSON bool, size int, write writeRow) error {
	out := bufio.NewWriter(c.OutOrStdout())
	do := func(texts []string) error {
		if err := classifyBatch(c.Context(), open, texts, out, write); err != nil {
			return err
		}
		return out.Flush()
	}
	if len(args) == 0 {
		return eachBatch(c.Context(), c.InOrStdin(), asJSON, size, do)
	}
	for len(args) > 0 {
		n := min(size, len(args))
		if err := do(args[:n]); err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}

func classifyBatch(ctx context.Context, open *classifier.Classifier, texts []string, out *bufio.Writer, write writeRow) error {
	batch := make([]model.Tokens, len(texts))
	for i, text := range texts {
		batch[i] = open.Tokenize(text)
	}
	for len(batch) > 0 {
		n := fitting(batch)
		classifications, err := open.Classify(ctx, batch[:n])
		if err != nil {
			return err
		}
		for i, c := range classifications {
			if err := write(out, texts[i], batch[i], c); err != nil {
				return err
			}
		}
		texts, batch = texts[n:], batch[n:]
	}
	return nil
}

// fitting is how many of the first texts, one at least, have no more than maxClassifyTokens when padded.
func fitting(batch []model.Tokens) int {
	longest := 0
	for i, tokens := range batch {
		longest = max(longest, model.PaddedTokens(len(tokens.IDs)))
		if i > 0 && (i+1)*longest > maxClassifyTokens {
			return i
		}
	}
	return len(batch)
}

// classified is a line of --json.
type classified struct {
	Label         *string       `json:"label"`
	Labels        []model.Label `json:"labels,omitempty"`
	NoLabelReason string        `json:"no_label_reason,omitempty"`
	Scores        []float32     `json:"scores"`
	Tokens        int           `json:"tokens"`
	Truncated     bool          `json:"truncated"`
}

func writeJSON(task model.Task) writeRow {
	return func(w *bufio.Writer, _ string, tokens model.Tokens, c model.Classification) error {
		row := classified{Scores: c.Scores, Tokens: len(tokens.IDs), Truncated: tokens.Truncated}
		switch {
		case len(tokens.IDs) == 0:
			row.NoLabelReason, row.Scores = "empty", []float32{}
		case len(c.Labels) == 0:
			row.NoLabelReason = "below_threshold"
		default:
			row.Label = &c.Labels[0].Name
		}
		if task == model.MultiLabel {
			row.Labels = c.Labels
		}
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(row)
	}
}

// writePeople writes a line with the columns label, probability and text.
func writePeople(labels []string) writeRow {
	width := len("(none)")
	for _, label := range labels {
		width = max(width, len([]rune(label)))
	}
	return func(w *bufio.Writer, text string, _ model.Tokens, c model.Classification) error {
		if len(c.Labels) == 0 {
			return writeLine(w, "%-*s  %6s  %s", width, "(none)", "", preview(text))
		}
		for i, label := range c.Labels {
			if i > 0 {
				text = ""
			}
			if err := writeLine(w, "%-*s  %.4f  %s", width, label.Name, label.Score, preview(text)); err != nil {
				return err
			}
		}
		return nil
	}
}

func writeLine(w *bufio.Writer, format string, args ...any) error {
	_, err := fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	return err
}

// preview is a text's beginning on one line.
func preview(text string) string {
	const most = 80
	var short strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > most {
			short.WriteString("...")
			break
		}
		if !unicode.IsGraphic(r) {
			r = ' '
		}
		short.WriteRune(r)
	}
	return short.String()
}
