package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// shortWord is how many bytes of a word are merged on the stack, by looking at all of them again and again; longer ones go
// through a heap.
const shortWord = 64

// bytePair is byte-level BPE: a word's bytes are merged, pair by pair, the pair with the lowest rank first, the leftmost of
// equals, until no two neighbours are a pair.
type bytePair struct {
	words       gpt2Words
	prefixSpace bool       // a text that does not start with a space is given one
	bytes       [256]int32 // the piece of each byte
	merges      mergeTable
	// wholes holds, by their bytes, the words that merge to one piece.
	wholes *trie
}

func (m *bytePair) encode(text string, f frame) Encoding {
	var buffer [shortText]int32
	var padded [4 * shortText]byte
	ids := append(buffer[:0], f.first)
	rest := padded[:0]
	if m.prefixSpace && text[0] != ' ' {
		rest = append(rest, ' ')
	}
	rest = append(rest, text...)
	for len(ids) <= f.limit && len(rest) > 0 {
		end := m.words.end(rest)
		ids = m.appendPieces(ids, rest[:end])
		rest = rest[end:]
	}
	return f.close(ids)
}

func (m *bytePair) appendPieces(ids []int32, word []byte) []int32 {
	if id, length := m.wholes.longest(root, word); length == len(word) {
		return append(ids, id)
	}
	return m.appendMerged(ids, word)
}

func (m *bytePair) appendMerged(ids []int32, word []byte) []int32 {
	if len(word) > shortWord {
		return m.appendMergedLong(ids, word)
	}
	var symbols [shortWord]int32
	var pairs [shortWord]merge // of each symbol and the next
	for i, b := range word {
		symbols[i] = m.bytes[b]
	}
	n := len(word)
	for i := range n - 1 {
		pairs[i] = m.merges.find(symbols[i], symbols[i+1])
	}
	pairs[n-1] = noMerge
	for {
		lowest := 0
		for i := 1; i < n; i++ {
			if pairs[i].rank < pairs[lowest].rank {
				lowest = i
			}
		}
		if pairs[lowest].rank == noMerge.rank {
			return append(ids, symbols[:n]...)
		}
		symbols[lowest] = pairs[lowest].piece
		copy(symbols[lowest+1:n-1], symbols[lowest+2:n])
		copy(pairs[lowest:n-1], pairs[lowest+1:n])
		n--
		if lowest+1 < n {
			pairs[lowest] = m.merges.find(symbols[lowest], symbols[lowest+1])
		}
		if lowest > 0 {
			pairs[lowest-1] = m.merges.find(symbols[lowest-1], symbols[lowest])
		}
	}
}

// bytePairFile is the "model" of tokenizer.json.
type bytePairFile struct {
	unknown    string // or empty
	vocabulary map[string]int32
	merges     []mergeRule
}

// loadBytePair reads what RoBERTa's and GPT-2's files have: no normalizer, ByteLevel, BPE.
func loadBytePair(file, o object, around specials) (*Tokenizer, error) {
	if !file.isNull("normalizer") {
		return nil, errors.New("a normalizer before BPE is not implemented; it must be null")
	}
	prefixSpace, err := readByteLevel(file.fields["pre_tokenizer"])
	if err != nil {
		return nil, err
	}
	content, err := readBytePair(o)
	if err != nil {
		return nil, err
	}
	if err := checkVocabulary(content.vocabulary, around); err != nil {
		return nil, err
	}
	m := bytePair{words: newGPT2Words(), prefixSpace: prefixSpace}
	unknown := int32(-1)
	if content.unknown != "" {
		id, found := content.vocabulary[content.unknown]
		if !found {
			return nil, fmt.Errorf("model: the vocabulary lacks unk_token %q", content.unknown)
		}
		unknown = id
	}
	if err := m.fill(content, unknown); err != nil {
		return nil, err
	}
	return &Tokenizer{around: around, unknown: unknown, model: &m}, nil
}

// fill takes in the vocabulary.
func (m *bytePair) fill(content bytePairFile, unknown int32) (err error) {
	characters := byteCharacters()
	for b, character := range characters {
		id, found := content.vocabulary[string(character)]
		if !found && unknown < 0 {
			return fmt.Errorf("model: the vocabulary lacks %q, the byte %#02x, and there is no unk_token", character, b)
		}
		if !found {
			id = unknown
		}
		m.bytes[b] = id
	}
	if m.merges, err = newMergeTable(content.merges, content.vocabulary); err != nil {
		return err
	}
	m.wholes = newTrie(m.findWholes(content.vocabulary, characters))
	return nil
}

// findWholes returns the pieces to which their own bytes merge, by these bytes.
func (m *bytePair) findWholes(vocabulary map[string]int32, characters [256]rune) map[string]int32 {
	named := make(map[rune]byte, len(characters))
	for b, character := range characters {
		named[character] = byte(b)
	}
	wholes := make(map[string]int32, len(vocabulary))
	var ids []int32
	for piece, id := range vocabulary {
		word := make([]byte, 0, len(piece))
		for _, r := range piece {
			if b, found := named[r]; found {
				word = append(word, b)
			}
		}
		if len(word) == 0 || len(word) < utf8.RuneCountInString(piece) {
			continue
		}
		if ids = m.appendMerged(ids[:0], word); len(ids) == 1 && ids[0] == id {
			wholes[string(word)] = id
		}
	}
	return wholes
}

func readByteLevel(data []byte) (prefixSpace bool, err error) {
	o, err := readObject("pre_tokenizer", data)
	if err != nil {
		return false, err
	}
	if _, err := o.readType("ByteLevel"); err != nil {
		return false, err
	}
	// trim_offsets is about offsets; files of old lack use_regex, which is then true.
	o.setDefault("use_regex", "true")
	if err := o.mustHave("type", "add_prefix_space", "trim_offsets", "use_regex"); err != nil {
		return false, err
	}
	return prefixSpace, errors.Join(o.mustBe("use_regex", "true"), o.read("add_prefix_space", &prefixSpace))
}

func readBytePair(o object) (m bytePairFile, err error) {
	o.setDefault("byte_fallback", "false") // files of old lack these
	o.setDefault("ignore_merges", "false")
	if err := o.mustHave("type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
		"byte_fallback", "ignore_merges", "vocab", "merges"); err != nil {
		return m, err
	}
	if err := errors.Join(
		o.mustBe("dropout", "null", "0"),
		o.mustBe("continuing_subword_prefix", "null", `""`),
		o.mustBe("end_of_word_suffix", "null", `""`),
		o.mustBe("fuse_unk", "false"),
		o.mustBe("byte_fallback", "false"),
		o.mustBe("ignore_merges", "false"),
		o.read("vocab", &m.vocabulary),
		o.read("merges", &m.merges),
	); err != nil {
		return m, err
	}
	if !o.isNull("unk_token") {
		return m, o.read("unk_token", &m.unknown)
	}
	return m, nil
}

// mergeRule is two pieces: ["a", "b"], or "a b" in files of old.
type mergeRule struct{ left, right string }

// UnmarshalJSON takes either form.
func (r *mergeRule) UnmarshalJSON(data []byte) error {
	var parts []string
	if data[0] == '"' {
		var line string
		if err := json.Unmarshal(data, &line); err != nil {
			return err
		}
		parts = strings.Split(line, " ")
	} else if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	if len(parts) != 2 {
		return fmt.Errorf("%s is %d pieces; it must be 2", data, len(parts))
	}
	r.left, r.right = parts[0], parts[1]
	return nil
}
