package secret

import "fmt"

// Source is where a secret comes from: a value, or a file that is read anew each time, so that a changed secret is taken
// up without a restart. The zero value has none.
type Source struct {
	value String
	path  string
}

// Value is a source of that secret.
func Value(s String) Source { return Source{value: s} }

// FromEnvironment gives the source that the variables name and name_FILE tell: the secret itself, or the path of its file.
// Not both. The zero Source where neither is set.
func FromEnvironment(getenv func(string) string, name string) (Source, error) {
	value, path := getenv(name), getenv(name+"_FILE")
	if value != "" && path != "" {
		return Source{}, fmt.Errorf("%s and %s_FILE are both set: unset one", name, name)
	}
	return Source{value: String{value}, path: path}, nil
}

// Read gives the secret as it is now; the zero String from the zero Source.
func (s Source) Read() (String, error) {
	if s.path != "" {
		return FromFile(s.path)
	}
	return s.value, nil
}

// IsZero tells whether there is no secret.
func (s Source) IsZero() bool { return s.path == "" && s.value.IsZero() }
