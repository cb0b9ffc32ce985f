// Package wandb is a client of Weights & Biases: of the GraphQL API that its own SDK speaks (https://github.com/wandb/wandb),
// as far as the registry needs it.
package wandb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"flairstream/internal/secret"
	"flairstream/internal/web"
)

// Hosted is the URL of the service that W&B runs.
const Hosted = "https://api.wandb.ai"

// Options say which server is meant, and who asks.
type Options struct {
	URL       string            // empty: Hosted
	APIKey    secret.Source     // none: the one of Netrc
	Netrc     string            // the path of a netrc file, which holds keys by host; empty: none
	Transport http.RoundTripper // nil: http.DefaultTransport
}

// Environment reads the options from W&B's own variables: WANDB_BASE_URL, WANDB_API_KEY (or the path of its file in
// WANDB_API_KEY_FILE), and NETRC, by default ~/.netrc, where `wandb login` leaves the key.
func Environment(getenv func(string) string) (Options, error) {
	key, err := secret.FromEnvironment(getenv, "WANDB_API_KEY")
	o := Options{URL: getenv("WANDB_BASE_URL"), APIKey: key, Netrc: getenv("NETRC")}
	if home := getenv("HOME"); o.Netrc == "" && home != "" {
		o.Netrc = filepath.Join(home, ".netrc")
	}
	return o, err
}

// ErrNotFound marks what the server does not have, or does not show to the key's owner: it makes no difference between them.
var ErrNotFound = errors.New("W&B has none such, or does not show it with this key")

// errRefused marks a query that was understood, and answered by an error.
var errRefused = errors.New("W&B refuses")

// Client asks one server. It is safe for concurrent use.
type Client struct {
	base *url.URL
	o    Options
	web  *web.Client
}

// New makes a client. It asks nothing of the server.
func New(o Options) (*Client, error) {
	if o.URL == "" {
		o.URL = Hosted
	}
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil {
		return nil, errors.New("WANDB_BASE_URL is not the http:// or https:// URL of a server, without a user")
	}
	base = &url.URL{Scheme: base.Scheme, Host: base.Host, Path: strings.TrimRight(base.Path, "/")}
	return &Client{base: base, o: o, web: web.New(web.Options{Transport: o.Transport})}, nil
}

// URL is the server's.
func (c *Client) URL() string { return c.base.String() }

// App is where people see what the API tells.
func (c *Client) App() string {
	if c.URL() == Hosted {
		return "https://wandb.ai"
	}
	return c.URL()
}

// key is the API key as it is now.
func (c *Client) key() (secret.String, error) {
	if !c.o.APIKey.IsZero() {
		key, err := c.o.APIKey.Read()
		if err != nil {
			return key, fmt.Errorf("WANDB_API_KEY_FILE: %w", err)
		}
		return key, nil
	}
	key, err := fromNetrc(c.o.Netrc, c.base.Host)
	if err != nil {
		return key, err
	}
	if key.IsZero() {
		return key, fmt.Errorf("no API key for %s: set WANDB_API_KEY or WANDB_API_KEY_FILE, or call wandb login", c.base.Host)
	}
	return key, nil
}

// query sends a GraphQL query, which must change nothing: it may be sent twice. The answer's data goes into data.
func (c *Client) query(ctx context.Context, query string, variables map[string]any, data any) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath("graphql").String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.SetBasicAuth("api", key.Reveal())
	answer := struct {
		Data   any
		Errors []struct{ Message string }
	}{Data: data}
	if err := c.web.JSON(request, &answer); err != nil {
		return explain(err)
	}
	if len(answer.Errors) > 0 {
		return fmt.Errorf("POST %s/graphql: %w: %.300q", c.URL(), errRefused, answer.Errors[0].Message)
	}
	return nil
}

// explain adds what the server said, and the remedy.
func explain(err error) error {
	if errors.Is(err, web.ErrForm) {
		return fmt.Errorf("%w: is WANDB_BASE_URL that of the server, and the credentials what its proxy wants?", err)
	}
	status, ok := errors.AsType[*web.StatusError](err)
	if !ok {
		return err
	}
	switch status.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: set WANDB_API_KEY to a key of a user who may read this, as shown by the server's page /authorize", err)
	case http.StatusNotFound:
		return fmt.Errorf("%w: is WANDB_BASE_URL that of a W&B server?", err)
	}
	var said struct{ Errors []struct{ Message string } }
	if json.Unmarshal(status.Body, &said) == nil && len(said.Errors) > 0 {
		return fmt.Errorf("%w: %.300q", err, said.Errors[0].Message)
	}
	return err
}
