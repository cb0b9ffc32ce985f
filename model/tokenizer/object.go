package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// object is a JSON object of tokenizer.json, of which every field must be known.
type object struct {
	name   string
	kind   string // its type, once read
	fields map[string]json.RawMessage
}

func readObject(name string, data []byte) (object, error) {
	o := object{name: name}
	if err := json.Unmarshal(data, &o.fields); err != nil {
		return o, fmt.Errorf("%s: %w", name, err)
	}
	if o.fields == nil {
		return o, fmt.Errorf("%s null is not implemented", name)
	}
	return o, nil
}

// readType returns the object's type, and refuses any other than the given ones.
func (o object) readType(want ...string) (string, error) {
	var found string
	if err := json.Unmarshal(o.fields["type"], &found); err != nil {
		return "", fmt.Errorf("%s without a type is not implemented; it must be %s", o.name, strings.Join(want, " or "))
	}
	if !slices.Contains(want, found) {
		return "", fmt.Errorf("%s %q is not implemented; it must be %s", o.name, found, strings.Join(want, " or "))
	}
	return found, nil
}

// mustHave refuses any field but the given ones, and the lack of one of them.
func (o object) mustHave(fields ...string) error {
	for _, field := range slices.Sorted(maps.Keys(o.fields)) {
		if !slices.Contains(fields, field) {
			return fmt.Errorf("%s: the field %q is not implemented", o.name, field)
		}
	}
	for _, field := range fields {
		if o.fields[field] == nil {
			return fmt.Errorf("%s: the field %q is missing", o.name, field)
		}
	}
	return nil
}

// setDefault gives the object a field that it lacks.
func (o object) setDefault(field, value string) {
	if o.fields[field] == nil {
		o.fields[field] = json.RawMessage(value)
	}
}

// mustBe refuses a field that is not one of the given JSON values.
func (o object) mustBe(field string, want ...string) error {
	var found any
	if err := json.Unmarshal(o.fields[field], &found); err != nil {
		return fmt.Errorf("%s: %s: %w", o.name, field, err)
	}
	for _, w := range want {
		var value any
		if json.Unmarshal([]byte(w), &value) == nil && reflect.DeepEqual(found, value) {
			return nil
		}
	}
	return fmt.Errorf("%s: %s must be %s", o.name, field, strings.Join(want, " or "))
}

// read decodes a field that is not null.
func (o object) read(field string, into any) error {
	if o.isNull(field) {
		return fmt.Errorf("%s: %s is null", o.name, field)
	}
	if err := json.Unmarshal(o.fields[field], into); err != nil {
		return fmt.Errorf("%s: %s: %w", o.name, field, err)
	}
	return nil
}

func (o object) isNull(field string) bool { return string(o.fields[field]) == "null" }

// sequence returns the object itself, or the objects of a Sequence in that field: each of one of the types, in their order,
// none twice.
func (o object) sequence(field string, order ...string) (parts []object, err error) {
	kind, err := o.readType(append(order, "Sequence")...)
	if err != nil {
		return nil, err
	}
	if o.kind = kind; kind != "Sequence" {
		return []object{o}, nil
	}
	var list []json.RawMessage
	if err := errors.Join(o.mustHave("type", field), o.read(field, &list)); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: an empty Sequence is not implemented", o.name)
	}
	for _, data := range list {
		part, err := readObject(o.name, data)
		if err != nil {
			return nil, err
		}
		if part.kind, err = part.readType(order...); err != nil {
			return nil, err
		}
		order = order[slices.Index(order, part.kind)+1:]
		parts = append(parts, part)
	}
	return parts, nil
}
