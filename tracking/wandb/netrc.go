package wandb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"flairstream/internal/secret"
)

// fromNetrc reads the password of a host from a netrc file, as ftp(1) describes it; none where there is no such file or
// host.
func fromNetrc(path, host string) (secret.String, error) {
	if path == "" {
		return secret.String{}, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return secret.String{}, nil
	}
	if err != nil {
		return secret.String{}, fmt.Errorf("read the API key: %w", err)
	}
	return secret.New(password(string(data), host)), nil
}

// password finds a host's password, or else that of the entry default; empty where there is none.
func password(netrc, host string) string {
	matching, fallback := "", ""
	words := fields(netrc)
	for i := 0; i < len(words); i++ {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch words[i] {
		case "machine":
			matching = "no"
			if next == host {
				matching = "machine"
			}
			i++
		case "default":
			matching = "default"
		case "login", "account":
			i++
		case "password":
			if matching == "machine" {
				return next
			}
			if matching == "default" {
				fallback = next
			}
			i++
		}
	}
	return fallback
}

// fields are a netrc file's words, without comments and macros. A macro ends with an empty line.
func fields(netrc string) []string {
	var words []string
	macro := false
	for line := range strings.Lines(netrc) {
		line = strings.TrimSpace(line)
		if line == "" {
			macro = false
		}
		if macro || strings.HasPrefix(line, "#") {
			continue
		}
		before, _, found := strings.Cut(line, "macdef ")
		macro = found
		for _, word := range strings.Fields(before) {
			words = append(words, strings.Trim(word, `"'`))
		}
	}
	return words
}
