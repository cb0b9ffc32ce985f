package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
)

func readPostProcessor(data []byte) (s specials, err error) {
	o, err := readObject("post_processor", data)
	if err != nil {
		return s, err
	}
	kind, err := o.readType("TemplateProcessing", "BertProcessing", "RobertaProcessing")
	if err != nil {
		return s, err
	}
	switch kind {
	case "BertProcessing":
		return readPair(o, "type", "sep", "cls")
	case "RobertaProcessing": // its last two fields are about offsets
		return readPair(o, "type", "sep", "cls", "trim_offsets", "add_prefix_space")
	default:
		return readTemplate(o)
	}
}

// namedID is ["[CLS]", 101].
type namedID int32

// UnmarshalJSON takes the id alone.
func (n *namedID) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("%d values, where a name and an id should be", len(pair))
	}
	return json.Unmarshal(pair[1], (*int32)(n))
}

func readPair(o object, fields ...string) (s specials, err error) {
	if err := o.mustHave(fields...); err != nil {
		return s, err
	}
	err = errors.Join(o.read("cls", (*namedID)(&s.first)), o.read("sep", (*namedID)(&s.last)))
	return s, err
}

// templatePiece is {"SpecialToken": {"id": "[CLS]", "type_id": 0}} or {"Sequence": {"id": "A", "type_id": 0}}.
type templatePiece struct {
	SpecialToken, Sequence *struct {
		ID     string `json:"id"`
		TypeID int    `json:"type_id"`
	}
}

// readTemplate reads the template for one text; that for pairs of texts is never used.
func readTemplate(o object) (s specials, err error) {
	if err := o.mustHave("type", "single", "pair", "special_tokens"); err != nil {
		return s, err
	}
	var single []templatePiece
	var special map[string]struct {
		IDs []int32 `json:"ids"`
	}
	if err := errors.Join(o.read("single", &single), o.read("special_tokens", &special)); err != nil {
		return s, err
	}
	if !isBetweenSpecials(single) {
		return s, errors.New("post_processor: this template is not implemented; it must be a special token, A and a special token, with type_id 0")
	}
	var ids [2]int32
	for i, name := range []string{single[0].SpecialToken.ID, single[2].SpecialToken.ID} {
		stands := special[name].IDs
		if len(stands) != 1 {
			return s, fmt.Errorf("post_processor: the special token %q stands for %d ids; it must be 1", name, len(stands))
		}
		ids[i] = stands[0]
	}
	return specials{ids[0], ids[1]}, nil
}

// isBetweenSpecials tells whether the template is a special token, the text, and a special token, all of type 0.
func isBetweenSpecials(template []templatePiece) bool {
	if len(template) != 3 {
		return false
	}
	before, text, after := template[0].SpecialToken, template[1].Sequence, template[2].SpecialToken
	return before != nil && text != nil && after != nil && text.ID == "A" &&
		before.TypeID == 0 && text.TypeID == 0 && after.TypeID == 0
}
