package wandb

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// field is a field of W&B's schema: its arguments with their types, and the type that it gives; "" for a scalar.
type field struct {
	arguments map[string]string
	gives     string
}

// schema is the part of W&B's GraphQL schema that its public SDK uses to read registries
// (https://github.com/wandb/wandb, wandb/sdk/artifacts/_generated/operations.py).
var schema = map[string]map[string]field{
	"Query": {
		"entity":       {map[string]string{"name": "String!"}, "Entity"},
		"organization": {map[string]string{"name": "String!"}, "Organization"},
		"project":      {map[string]string{"name": "String!", "entityName": "String!"}, "Project"},
	},
	"Entity":       {"name": {}, "organization": {gives: "Organization"}},
	"Organization": {"name": {}, "orgEntity": {gives: "Entity"}},
	"Project": {
		"artifactCollectionMembership": {map[string]string{"name": "String!"}, "ArtifactCollectionMembership"},
		"artifactCollection":           {map[string]string{"name": "String!"}, "ArtifactCollection"},
	},
	"ArtifactCollection": {
		"name": {}, "artifactMembership": {map[string]string{"aliasName": "String!"}, "ArtifactCollectionMembership"},
	},
	"ArtifactCollectionMembership": {
		"id": {}, "versionIndex": {}, "createdAt": {}, "aliases": {gives: "ArtifactAlias"},
		"artifactCollection": {gives: "ArtifactCollection"}, "artifact": {gives: "Artifact"},
		"files": {map[string]string{"names": "[String!]", "after": "String", "first": "Int"}, "FileConnection"},
	},
	"ArtifactAlias":  {"id": {}, "alias": {}},
	"Artifact":       {"id": {}, "state": {}, "size": {}, "digest": {}, "metadata": {}, "commitHash": {}},
	"FileConnection": {"edges": {gives: "FileEdge"}, "pageInfo": {gives: "PageInfo"}},
	"FileEdge":       {"node": {gives: "File"}},
	"PageInfo":       {"endCursor": {}, "hasNextPage": {}},
	"File": {
		"id": {}, "name": {}, "displayName": {}, "url": {}, "directUrl": {}, "digest": {}, "md5": {}, "sizeBytes": {}, "storagePath": {},
	},
}

// object is a value of the schema: its fields by name, those with arguments as a func(map[string]any) any.
type object map[string]any

// execution runs one query. It is as strict as a server: unknown fields and arguments, wrong types, variables that are not
// used or not given, and objects without a selection are errors.
type execution struct {
	words     []string
	types     map[string]string // of the variables
	used      map[string]bool
	variables map[string]any
}

var word = regexp.MustCompile(`\$?[A-Za-z_][A-Za-z_0-9]*|[0-9]+|[][{}():!]`)

func execute(query string, variables map[string]any, root object) (data any, err error) {
	e := &execution{words: word.FindAllString(query, -1), types: map[string]string{}, used: map[string]bool{}, variables: variables}
	defer func() {
		if failed := recover(); failed != nil {
			err = fmt.Errorf("%v", failed)
		}
	}()
	e.want("query")
	e.next()
	e.declare()
	data = e.selection("Query", root)
	for name := range e.types {
		if !e.used[name] {
			return nil, fmt.Errorf("variable %s is never used", name)
		}
	}
	return data, nil
}

func (e *execution) next() string {
	if len(e.words) == 0 {
		panic("the query ends too early")
	}
	first := e.words[0]
	e.words = e.words[1:]
	return first
}

func (e *execution) at(w string) bool { return len(e.words) > 0 && e.words[0] == w }

func (e *execution) want(w string) {
	if got := e.next(); got != w {
		panic(fmt.Sprintf("got %q, want %q", got, w))
	}
}

// declare reads ($a: String!, $b: [String!]).
func (e *execution) declare() {
	e.want("(")
	for !e.at(")") {
		name := e.next()
		e.want(":")
		kind := ""
		for !e.at(")") && !strings.HasPrefix(e.words[0], "$") {
			kind += e.next()
		}
		if _, given := e.variables[name[1:]]; !given {
			panic("variable " + name + " is not given")
		}
		e.types[name] = kind
	}
	e.want(")")
}

// selection reads { a b(x: $y) { c } } and picks that of a value: nil, an object, or a list of objects.
func (e *execution) selection(kind string, value any) any {
	begin := e.words
	switch v := value.(type) {
	case []object:
		list := []any{}
		for _, element := range v {
			e.words = begin
			list = append(list, e.selection(kind, element))
		}
		if len(v) == 0 {
			e.selection(kind, object(nil))
		}
		return list
	case nil:
		e.selection(kind, object(nil))
		return nil
	}
	of, picked := value.(object), map[string]any{}
	e.want("{")
	for !e.at("}") {
		name := e.next()
		f, known := schema[kind][name]
		if !known {
			panic(fmt.Sprintf("Cannot query field %q on type %q", name, kind))
		}
		picked[name] = e.pick(f, of[name])
	}
	e.want("}")
	return picked
}

func (e *execution) pick(f field, value any) any {
	arguments := map[string]any{}
	if e.at("(") {
		arguments = e.arguments(f)
	}
	for name, kind := range f.arguments {
		if _, given := arguments[name]; !given && strings.HasSuffix(kind, "!") {
			panic("argument " + name + " is required")
		}
	}
	if resolve, ok := value.(func(map[string]any) any); ok {
		value = resolve(arguments)
	}
	if f.gives == "" {
		return value
	}
	return e.selection(f.gives, value)
}

// arguments reads (x: $y, first: 2).
func (e *execution) arguments(f field) map[string]any {
	given := map[string]any{}
	e.want("(")
	for !e.at(")") {
		name := e.next()
		e.want(":")
		value := e.next()
		kind, known := f.arguments[name]
		if !known {
			panic("unknown argument " + name)
		}
		if !strings.HasPrefix(value, "$") {
			given[name] = value
			continue
		}
		if declared := e.types[value]; !slices.Contains([]string{kind, kind + "!"}, declared) {
			panic(fmt.Sprintf("variable %s is a %q, want a %s", value, declared, kind))
		}
		e.used[value], given[name] = true, e.variables[value[1:]]
	}
	e.want(")")
	return given
}
