package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"flairstream/model"
	"flairstream/model/classifier"
	"flairstream/model/onnx"
	"flairstream/model/tokenizer"

	"github.com/spf13/cobra"
)

func newBundleCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "bundle",
		Short: "Fetch a model bundle, look at it, and prove it on this machine",
		Long: `A model bundle is the folder that training hands over: the model's graph, its
tokenizer, texts with the right answers, and bundle.json, which lists every file
with its digest.`,
		Args: noArguments,
		RunE: showHelp,
	}
	command.AddCommand(newBundleDoctorCommand(), newBundleFetchCommand(), newBundleInfoCommand(), newBundleTokenizeCommand(), newBundleVerifyCommand())
	return command
}

func newBundleVerifyCommand() *cobra.Command {
	var dir, library string
	command := &cobra.Command{
		Use:   "verify --bundle DIR",
		Short: "Prove a bundle on this machine, as a worker does at its start",
		Long: `Checks the manifest, and size and SHA-256 of every file; then, with the bundle's
golden texts, on this very machine: that the token ids are exactly those that Flair
had, that the probabilities are near those that the same graph gave when it was
exported and near Flair's, and that no probability depends on the batch.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return verifyBundle(c, dir, library) },
	}
	bundleFlag(command, &dir)
	libraryFlag(command, &library)
	return command
}

func verifyBundle(c *cobra.Command, dir, library string) error {
	start := time.Now()
	b, err := openBundle(dir)
	if err != nil {
		return err
	}
	slow := time.AfterFunc(2*time.Second, func() {
		fmt.Fprintln(c.ErrOrStderr(), "the files are right; proving the golden texts, some seconds more")
	})
	defer slow.Stop()
	proved, err := classifier.Open(b, classifier.Options{Library: library, Slots: 1})
	if err != nil {
		return err
	}
	defer proved.Close()
	proof, tolerances := proved.Proof(), b.Manifest.Tolerances
	out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "%s %s\t%s, ONNX Runtime %s\n", b.Manifest.Name, b.Manifest.Version, b.Manifest.Graph, onnx.Version)
	fmt.Fprintf(out, "files\t%d, size and SHA-256 of each as in %s\n", len(b.Manifest.Files), model.ManifestFile)
	fmt.Fprintf(out, "token ids\t%d golden texts, all exactly Flair's\n", proof.Texts)
	fmt.Fprintf(out, "graph\tprobabilities at most %.2g from those when exported (allowed: %v)\n", proof.Graph, tolerances.Graph)
	fmt.Fprintf(out, "Flair\tprobabilities at most %.2g from Flair's (allowed: %v)\n", proof.Flair, tolerances.Flair)
	fmt.Fprintf(out, "batches\tprobabilities at most %.2g apart, alone and in any batch tried\n", proof.Batch)
	fmt.Fprintf(out, "proved\tin %.1f s\n", time.Since(start).Seconds())
	return out.Flush()
}

func newBundleInfoCommand() *cobra.Command {
	var dir string
	var asJSON bool
	command := &cobra.Command{
		Use:   "info --bundle DIR",
		Short: "Show what a bundle is: labels, graph, sizes, data, metrics, licences",
		Long: `Checks the manifest, and size and SHA-256 of every file, and shows the manifest:
for people, or with --json the object of bundle.json with the model's digest, which
is the SHA-256 of bundle.json and what predictions carry.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := openBundle(dir)
			if err != nil {
				return err
			}
			if asJSON {
				return writeInfoJSON(c.OutOrStdout(), b)
			}
			return writeInfo(c.OutOrStdout(), b)
		},
	}
	bundleFlag(command, &dir)
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return command
}

func writeInfoJSON(w io.Writer, b *model.Bundle) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(struct {
		Digest string `json:"digest"`
		model.Manifest
	}{b.Digest, b.Manifest})
}

func writeInfo(w io.Writer, b *model.Bundle) error {
	m, out := b.Manifest, tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(out, name+"\t"+format+"\n", args...) }
	row("name", "%s", m.Name)
	row("version", "%s", m.Version)
	row("digest", "%s", b.Digest)
	row("task", "%s", m.Task)
	if m.Threshold != nil {
		row("threshold", "%v", *m.Threshold)
	}
	row("graph", "%s", m.Graph)
	row("max_tokens", "%d", m.MaxTokens)
	row("hidden_size", "%d", m.HiddenSize)
	row("tolerances", "graph %v, flair %v", m.Tolerances.Graph, m.Tolerances.Flair)
	for i, label := range m.Labels {
		row(fmt.Sprintf("labels.%d", i), "%s", label)
	}
	var total int64
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		row("files."+name, "%.1f kB", float64(m.Files[name].Bytes)/1000)
		total += m.Files[name].Bytes
	}
	row("files", "%d, %.1f MB", len(m.Files), float64(total)/1e6)
	flatten("", m.Provenance, func(name string, value any) { row(name, "%v", value) })
	return out.Flush()
}

// flatten calls leaf for every value that is not an object, by the path to it.
func flatten(at string, object map[string]any, leaf func(name string, value any)) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if below, ok := object[key].(map[string]any); ok {
			flatten(at+key+".", below, leaf)
			continue
		}
		leaf(at+key, object[key])
	}
}

func newBundleTokenizeCommand() *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use:   "tokenize --bundle DIR",
		Short: "Show the token ids that the model sees",
		Long: `Reads JSON strings from standard input, one a line, and writes a JSON array a line,
in the same order: the token ids that the model sees, after Flair's cleaning, with
[CLS] and [SEP], cut to the bundle's max_tokens; [] where nothing is left of a text.
It needs no ONNX Runtime.`,
		Example: `  echo '"what is my balance?"' | flairstream bundle tokenize --bundle examples/bundle`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := openBundle(dir)
			if err != nil {
				return err
			}
			data, err := b.Tokenizer()
			if err != nil {
				return err
			}
			t, err := tokenizer.Load(data)
			if err != nil {
				return fmt.Errorf("%s: %w", b.Path(model.TokenizerFile), err)
			}
			return writeTokens(c, t, b.Manifest.MaxTokens)
		},
	}
	bundleFlag(command, &dir)
	return command
}

func writeTokens(c *cobra.Command, t *tokenizer.Tokenizer, maxTokens int) error {
	return eachBatch(c.Context(), c.InOrStdin(), true, 1024, func(texts []string) error {
		var out []byte
		for _, text := range texts {
			ids := t.Encode(text, maxTokens).IDs
			if ids == nil {
				ids = []int32{}
			}
			array, err := json.Marshal(ids)
			if err != nil {
				return err
			}
			out = append(append(out, array...), '\n')
		}
		_, err := c.OutOrStdout().Write(out)
		return err
	})
}

func openBundle(dir string) (*model.Bundle, error) {
	if dir == "" {
		return nil, fmt.Errorf("--bundle DIR is required; %w", errUsage)
	}
	return model.Open(dir)
}

func bundleFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "bundle", "", "the bundle's `folder`")
}

func libraryFlag(c *cobra.Command, library *string) {
	c.Flags().StringVar(library, "library", os.Getenv("FLAIRSTREAM_ONNXRUNTIME"),
		"`path` of the ONNX Runtime library; by default FLAIRSTREAM_ONNXRUNTIME,\nor else searched for beside this program, in ../lib and in the system's folders")
	c.Flag("library").DefValue = ""
}
