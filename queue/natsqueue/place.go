package natsqueue

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Server says how to reach NATS. Equal values can share a connection.
type Server struct {
	URLs  string // comma-separated, without credentials
	Creds string // file of a user's JWT and key
	CA    string // file of certificates to trust
	Cert  string // file of the client's certificate
	Key   string // file of its key
	Inbox string // prefix of reply subjects; empty: _INBOX
}

// Place is a stream and how to use it.
type Place struct {
	Server   Server
	Stream   string
	Consumer string // default "worker"
	// Once refuses a message whose subject is taken for as long as the stream keeps it, beyond the deduplication window.
	Once     bool
	Replicas int   // of a stream to be created; 0: 1
	MaxBytes int64 // of a stream to be created; 0: no limit but the server's
	raw      string
}

// String is the URL as it was given; it holds no secret.
func (p Place) String() string { return p.raw }

// subject is the stream's name in lower case: TEXTS has "texts" and "texts.>".
func (p Place) subject() string { return strings.ToLower(p.Stream) }

// settings reads the parameters of a place's URL, by name.
var settings = map[string]func(p *Place, value string) error{
	"consumer": func(p *Place, v string) error { p.Consumer = v; return checkName(v) },
	"creds":    func(p *Place, v string) error { p.Server.Creds = v; return nil },
	"ca":       func(p *Place, v string) error { p.Server.CA = v; return nil },
	"cert":     func(p *Place, v string) error { p.Server.Cert = v; return nil },
	"key":      func(p *Place, v string) error { p.Server.Key = v; return nil },
	"inbox":    func(p *Place, v string) error { p.Server.Inbox = v; return checkName(v) },
	"once": func(p *Place, v string) error {
		if v != "retention" {
			return fmt.Errorf("want retention")
		}
		p.Once = true
		return nil
	},
	"replicas": func(p *Place, v string) (err error) {
		if p.Replicas, err = strconv.Atoi(v); err != nil || p.Replicas < 1 || p.Replicas > 5 {
			return fmt.Errorf("want 1 to 5")
		}
		return nil
	},
	"max_bytes": func(p *Place, v string) (err error) {
		if p.MaxBytes, err = strconv.ParseInt(v, 10, 64); err != nil || p.MaxBytes < 1 {
			return fmt.Errorf("want a number of bytes")
		}
		return nil
	},
}

// ParsePlace reads nats://host:4222/STREAM or tls://..., with several hosts separated by commas, and the parameters
// consumer, creds, ca, cert, key, inbox, once=retention, replicas and max_bytes. Credentials come from files only: a
// password in the URL is refused, and no error shows it.
func ParsePlace(raw string) (Place, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || scheme != "nats" && scheme != "tls" {
		return Place{}, fmt.Errorf("a NATS place is nats://host:4222/STREAM or tls://host:4222/STREAM")
	}
	authority, path, _ := strings.Cut(rest, "/")
	if strings.Contains(raw, "@") { // anywhere: a password may hold / and ? (a file's name can say %40)
		return Place{}, fmt.Errorf("%s: credentials in the URL are refused; put them into a file and give creds=FILE", scheme)
	}
	if authority, _, _ = strings.Cut(authority, "?"); authority == "" {
		return Place{}, fmt.Errorf("%s: no host; want %s://host:4222/STREAM", scheme, scheme)
	}
	u, err := url.Parse("/" + path)
	if err != nil {
		return Place{}, fmt.Errorf("%s://%s: malformed path or parameters", scheme, authority)
	}
	p := Place{Stream: strings.TrimPrefix(u.Path, "/"), Consumer: "worker", raw: raw}
	if err := checkName(p.Stream); err != nil {
		return Place{}, fmt.Errorf("%s://%s: the stream's name: %w", scheme, authority, err)
	}
	var urls []string
	for host := range strings.SplitSeq(authority, ",") {
		if _, err := url.Parse(scheme + "://" + host); err != nil || host == "" {
			return Place{}, fmt.Errorf("%s://%s: malformed host or port", scheme, authority)
		}
		urls = append(urls, scheme+"://"+host)
	}
	p.Server.URLs = strings.Join(urls, ",")
	return p, p.set(u.RawQuery)
}

func (p *Place) set(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("%s: malformed parameters", p.Stream)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		set, known := settings[name]
		if !known {
			return fmt.Errorf("%s: unknown parameter %q; known are %s",
				p.Stream, name, strings.Join(slices.Sorted(maps.Keys(settings)), ", "))
		}
		if err := set(p, values.Get(name)); err != nil {
			return fmt.Errorf("%s: parameter %s: %w", p.Stream, name, err)
		}
	}
	if (p.Server.Cert == "") != (p.Server.Key == "") {
		return fmt.Errorf("%s: parameters cert and key belong together", p.Stream)
	}
	return nil
}

// checkName wants what NATS takes as the name of a stream or consumer.
func checkName(name string) error {
	if name == "" || len(name) > 128 || strings.ContainsAny(name, " .*>/\\") ||
		strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("want 1 to 128 printable characters without space . * > / \\")
	}
	return nil
}
