package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
)

// readPostProcessor returns the ids of [CLS] and [SEP], which stand before and after every text.
func readPostProcessor(data []byte) (first, last int32, err error) {
	o, err := readObject("post_processor", data)
	if err != nil {
		return 0, 0, err
	}
	found, err := o.readType("TemplateProcessing", "BertProcessing")
	if err != nil {
		return 0, 0, err
	}
	if found == "BertProcessing" {
		return readBertProcessing(o)
	}
	return readTemplate(o)
}

// bertToken is ["[CLS]", 101].
type bertToken int32

// UnmarshalJSON takes the id alone.
func (b *bertToken) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("%d values, where a name and an id should be", len(pair))
	}
	return json.Unmarshal(pair[1], (*int32)(b))
}

func readBertProcessing(o object) (first, last int32, err error) {
	if err := o.mustHave("type", "sep", "cls"); err != nil {
		return 0, 0, err
	}
	var cls, sep bertToken
	err = errors.Join(o.read("cls", &cls), o.read("sep", &sep))
	return int32(cls), int32(sep), err
}

// templatePiece is {"SpecialToken": {"id": "[CLS]", "type_id": 0}} or {"Sequence": {"id": "A", "type_id": 0}}.
type templatePiece struct {
	SpecialToken, Sequence *struct {
		ID     string `json:"id"`
		TypeID int    `json:"type_id"`
	}
}

// readTemplate reads the template for one text; that for pairs of texts is never used.
func readTemplate(o object) (first, last int32, err error) {
	if err := o.mustHave("type", "single", "pair", "special_tokens"); err != nil {
		return 0, 0, err
	}
	var single []templatePiece
	var special map[string]struct {
		IDs []int32 `json:"ids"`
	}
	if err := errors.Join(o.read("single", &single), o.read("special_tokens", &special)); err != nil {
		return 0, 0, err
	}
	if !isBetweenSpecials(single) {
		return 0, 0, errors.New("post_processor: this template is not implemented; it must be [CLS] A [SEP], with type_id 0")
	}
	var ids [2]int32
	for i, name := range []string{single[0].SpecialToken.ID, single[2].SpecialToken.ID} {
		stands := special[name].IDs
		if len(stands) != 1 {
			return 0, 0, fmt.Errorf("post_processor: the special token %q stands for %d ids; it must be 1", name, len(stands))
		}
		ids[i] = stands[0]
	}
	return ids[0], ids[1], nil
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
