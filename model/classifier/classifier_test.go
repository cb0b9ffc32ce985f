package classifier

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"flairstream/internal/modeltest"
	"flairstream/model"
	"flairstream/model/onnx"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// texts are of every length up to max_tokens, in and out of the model's domains.
func texts() []string {
	base := []string{
		"what is my balance", "thanks", "my card was declined at a restaurant in Lisbon, and I do not know why",
		"Book a flight to Rome for the second week of May, with a window seat, and tell me what the weather will be like there.",
		"no", "¿cuál es el tipo de cambio?", "你好，请问今天天气怎么样", "😀😀😀", "\n\t", "[SEP] [CLS] [MASK]", "i̇stanbul'a git", "a\u0301 e\u0301",
		strings.Repeat("x", 300), "https://example.com/a?b=c#d", "12:30 - 14:45, 3.5 kg @ $4.99", "set an alarm",
	}
	var all []string
	for i, text := range base {
		all = append(all, text, strings.Repeat(text+" ", i%4+2))
	}
	for _, words := range []int{20, 60, 130, 250, 400, 509, 510, 700} {
		all = append(all, strings.Repeat("the car needs oil ", words/4+1), strings.Repeat("word ", words))
	}
	return all
}

func TestATextGetsTheSameWhateverTheBatch(t *testing.T) {
	c := shared(t)
	texts := texts()
	batch := make([]model.Tokens, len(texts))
	alone := make([]model.Classification, len(texts))
	for i, text := range texts {
		batch[i] = c.Tokenize(text)
		alone[i] = classify(t, c, batch[i:i+1])[0]
	}
	random := rand.New(rand.NewPCG(20, 26))
	for round := range 40 {
		rows := random.Perm(len(texts))[:1+random.IntN(8)]
		if round%5 != 0 { // mostly short ones: what takes the time is one long one that pads them all
			rows = append(shorter(batch, rows, 64), rows[0])
		}
		picked := make([]model.Tokens, len(rows))
		for i, row := range rows {
			picked[i] = batch[row]
		}
		for i, got := range classify(t, c, picked) {
			want := alone[rows[i]]
			if got.Labels[0].Name != want.Labels[0].Name || distance(got.Scores, want.Scores) > 1e-6 {
				t.Fatalf("round %d: text %d gets %v in a batch of %d, and %v alone; the probabilities are %.3g apart",
					round, rows[i], got.Labels, len(rows), want.Labels, distance(got.Scores, want.Scores))
			}
		}
	}
}

// shorter are the rows of at most so many tokens.
func shorter(batch []model.Tokens, rows []int, most int) (short []int) {
	for _, row := range rows {
		if len(batch[row].IDs) <= most {
			short = append(short, row)
		}
	}
	return short
}

func TestClassifyAtOnce(t *testing.T) {
	c := shared(t)
	texts := texts()[:16]
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := range texts {
				tokens := []model.Tokens{c.Tokenize(texts[(i+worker)%len(texts)]), {}, c.Tokenize(texts[i])}
				got, err := c.Classify(context.Background(), tokens)
				if err != nil || len(got[0].Labels) != 1 || got[1].Labels != nil || got[1].Scores != nil || len(got[2].Embedding) != c.bundle.Manifest.HiddenSize {
					t.Errorf("Classify = %v, %v; want a label, nothing for the row without tokens, and a label", got, err)
				}
			}
		})
	}
	wait.Wait()
	if got := classify(t, c, nil); len(got) != 0 {
		t.Errorf("Classify of no rows = %v", got)
	}
}

func TestTokenize(t *testing.T) {
	c := shared(t)
	if got := c.Tokenize(" \u200b "); got.IDs != nil {
		t.Errorf("Tokenize of nothing = %v, want no ids", got)
	}
	most := c.Info().MaxTokens
	if got := c.Tokenize(strings.Repeat("word ", 2*most)); len(got.IDs) != most || !got.Truncated {
		t.Errorf("Tokenize of a long text = %d ids, truncated %v; want %d, true", len(got.IDs), got.Truncated, most)
	}
}

func TestCheck(t *testing.T) {
	c := open(t, 1)
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("Check = %v, want nil", err)
	}
	c.sample.Graph = make([]float64, len(c.sample.Graph)) // no softmax gives that
	if err := c.Check(t.Context()); !errors.Is(err, ErrUnproved) {
		t.Errorf("Check of a model whose answer has changed = %v, want ErrUnproved", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); !errors.Is(err, onnx.ErrClosed) {
		t.Errorf("Check of a closed model = %v, want ErrClosed", err)
	}
}

func TestOpenRefusesWhatItCanNotProve(t *testing.T) {
	graph := func(weight float32) func(t *testing.T, dir string, m *model.Manifest) {
		return func(t *testing.T, dir string, m *model.Manifest) {
			g := modeltest.NewGraph(len(m.Labels), m.HiddenSize)
			for i := range g.Logits {
				g.Logits[i] *= weight
			}
			write(t, filepath.Join(dir, m.Graph), g.Encode())
		}
	}
	for _, test := range []struct {
		name   string
		change func(t *testing.T, dir string, m *model.Manifest)
		want   []string
	}{
		{"another model's graph", graph(1e-3), []string{"golden.jsonl row ", "the probability of", "the same graph gave when exported"}},
		{"a graph that gives no numbers", graph(float32(math.NaN())), []string{"golden.jsonl row ", "the model's output is not finite"}},
		{
			"a tolerance that is too tight",
			func(_ *testing.T, _ string, m *model.Manifest) { m.Tolerances.Flair = 1e-9 },
			[]string{"golden.jsonl row ", "at most 1e-09", "Flair gave"},
		},
		{
			"other golden ids",
			func(t *testing.T, dir string, _ *model.Manifest) {
				edit(t, dir, model.GoldenFile, `"ids":[101,`, `"ids":[101,100,`)
			},
			[]string{"golden.jsonl row ", "the first difference is at index 1", "export the bundle"},
		},
		{
			"other words in the tokenizer",
			func(t *testing.T, dir string, _ *model.Manifest) { edit(t, dir, model.TokenizerFile, `"the"`, `"thx"`) },
			[]string{"golden.jsonl row ", "tokenizes otherwise"},
		},
		{
			"a tokenizer that is not one",
			func(t *testing.T, dir string, _ *model.Manifest) {
				write(t, filepath.Join(dir, model.TokenizerFile), []byte("{}"))
			},
			[]string{"tokenizer.json: "},
		},
		{
			"other golden probabilities",
			func(t *testing.T, dir string, m *model.Manifest) {
				uniform := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%v, ", 1/float64(len(m.Labels))), len(m.Labels)), ", ")
				rewriteGolden(t, dir, func(row map[string]json.RawMessage) { row["graph"] = json.RawMessage("[" + uniform + "]") })
			},
			[]string{"golden.jsonl row ", "the same graph gave when exported"},
		},
		{
			"one label more than the graph",
			func(t *testing.T, dir string, m *model.Manifest) {
				g := modeltest.NewGraph(len(m.Labels)-1, m.HiddenSize)
				write(t, filepath.Join(dir, m.Graph), g.Encode())
			},
			[]string{"logits has 9 columns, the manifest says 10"},
		},
		{
			"another hidden size",
			func(_ *testing.T, _ string, m *model.Manifest) { m.HiddenSize++ },
			[]string{"embedding has 384 columns, the manifest says 385"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := modeltest.Copy(t, modeltest.Bundle(t))
			sign(t, dir, func(m *model.Manifest) { test.change(t, dir, m) })
			b, err := model.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Open(b, Options{Library: modeltest.Library(t), Slots: 1})
			if err == nil {
				c.Close()
				t.Fatal("Open proves it")
			}
			for _, want := range append(test.want, dir) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Open = %v, want an error with %q", err, want)
				}
			}
		})
	}
}

func TestOpenRefusesAModelThatLooksAtTheWholeBatch(t *testing.T) {
	c := shared(t)
	golden, err := c.bundle.Golden()
	if err != nil {
		t.Fatal(err)
	}
	rows, alone := []int{}, make([][]float32, len(golden))
	for i, g := range golden {
		if len(g.IDs) > 0 {
			rows = append(rows, i)
			alone[i] = classify(t, c, []model.Tokens{{IDs: g.IDs}})[0].Scores
		}
	}
	if err := c.proveBatches(t.Context(), golden, rows, alone); err != nil {
		t.Errorf("proveBatches = %v, want nil", err)
	}
	alone[rows[3]][0] += 2e-6 // as if the batch had moved it
	err = c.proveBatches(t.Context(), golden, rows, alone)
	if want := fmt.Sprintf("golden.jsonl row %d:", rows[3]+1); !errors.Is(err, ErrUnproved) || !strings.Contains(err.Error(), want) {
		t.Errorf("proveBatches = %v, want ErrUnproved with %q", err, want)
	}
}

func TestProofSaysWhatWasFound(t *testing.T) {
	c := shared(t)
	p, tolerances := c.Proof(), c.bundle.Manifest.Tolerances
	golden, err := c.bundle.Golden()
	if err != nil {
		t.Fatal(err)
	}
	if p.Texts != len(golden) || p.Graph > tolerances.Graph || p.Flair <= 0 || p.Flair > tolerances.Flair || p.Batch > 1e-6 {
		t.Errorf("Proof = %+v of %d golden texts, tolerances %+v", p, len(golden), tolerances)
	}
	t.Logf("%+v", p)
}

func open(t testing.TB, slots int) *Classifier {
	t.Helper()
	c, err := openDemo(modeltest.Bundle(t), modeltest.Library(t), slots)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func openDemo(dir, library string, slots int) (*Classifier, error) {
	b, err := model.Open(dir)
	if err != nil {
		return nil, err
	}
	return Open(b, Options{Library: library, Slots: slots})
}

var (
	sharedOnce sync.Once
	sharedC    *Classifier
	errShared  error
)

// shared is one classifier with two slots for the tests that only classify: proving it takes a second or two.
func shared(t *testing.T) *Classifier {
	t.Helper()
	dir, library := modeltest.Bundle(t), modeltest.Library(t)
	sharedOnce.Do(func() { sharedC, errShared = openDemo(dir, library, 2) })
	if errShared != nil {
		t.Fatal(errShared)
	}
	return sharedC
}

func classify(t testing.TB, c *Classifier, batch []model.Tokens) []model.Classification {
	t.Helper()
	got, err := c.Classify(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// sign changes the manifest of a copied bundle, and gives every file its size and digest anew.
func sign(t *testing.T, dir string, change func(*model.Manifest)) {
	t.Helper()
	b, err := model.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := b.Manifest
	change(&m)
	for name := range m.Files {
		data, err := os.ReadFile(b.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		m.Files[name] = model.File{Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, b.Path(model.ManifestFile), data)
}

func edit(t *testing.T, dir, name, old, replacement string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s has no %s", name, old)
	}
	write(t, filepath.Join(dir, name), []byte(strings.Replace(string(data), old, replacement, 1)))
}

// rewriteGolden changes the first row that has probabilities.
func rewriteGolden(t *testing.T, dir string, change func(row map[string]json.RawMessage)) {
	t.Helper()
	path := filepath.Join(dir, model.GoldenFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(data), "\n")
	for i, line := range lines {
		var row map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if string(row["graph"]) == "null" {
			continue
		}
		change(row)
		changed, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = string(changed) + "\n"
		break
	}
	write(t, path, []byte(strings.Join(lines, "")))
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
