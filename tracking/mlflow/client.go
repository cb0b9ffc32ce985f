// Package mlflow is a client of a tracking server's REST API (https://mlflow.org/docs/latest/api_reference/rest-api.html):
// its model registry, and the artifacts that it serves.
package mlflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"flairstream/internal/secret"
	"flairstream/internal/web"
)

// Options say which server is meant, and who asks.
type Options struct {
	URL string // as in https://mlflow.example; a user and password in it serve as Username and Password
	// Token is sent as a bearer token; else Username and Password by basic authentication; else nothing.
	Token, Password secret.Source
	Username        string
	Transport       http.RoundTripper // nil: http.DefaultTransport
}

// Environment reads the options from MLflow's own variables: MLFLOW_TRACKING_URI, MLFLOW_TRACKING_TOKEN,
// MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. Token and password may be in files, named by the variable with
// _FILE behind it.
func Environment(getenv func(string) string) (Options, error) {
	token, tokenErr := secret.FromEnvironment(getenv, "MLFLOW_TRACKING_TOKEN")
	password, passwordErr := secret.FromEnvironment(getenv, "MLFLOW_TRACKING_PASSWORD")
	return Options{
		URL: getenv("MLFLOW_TRACKING_URI"), Token: token, Password: password, Username: getenv("MLFLOW_TRACKING_USERNAME"),
	}, errors.Join(tokenErr, passwordErr)
}

// ErrNotFound marks what the server does not have.
var ErrNotFound = errors.New("MLflow has none such")

// artifactPatience is how long the first byte of a file may take: a server whose artifacts lie in an object store fetches
// the whole file before it sends any of it.
const artifactPatience = 5 * time.Minute

// Client asks one tracking server. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	o         Options
	api       *web.Client
	artifacts *web.Client
}

// New makes a client. It asks nothing of the server.
func New(o Options) (*Client, error) {
	if o.URL == "" {
		return nil, errors.New("MLFLOW_TRACKING_URI is not set: set it to the tracking server's URL, as in https://mlflow.example")
	}
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, errors.New("MLFLOW_TRACKING_URI is not the http:// or https:// URL of a tracking server")
	}
	if base.User != nil {
		password, _ := base.User.Password()
		o.Username, o.Password = base.User.Username(), secret.Value(secret.New(password))
	}
	if o.Username != "" && o.Token.IsZero() && o.Password.IsZero() {
		return nil, errors.New("MLFLOW_TRACKING_USERNAME is set without MLFLOW_TRACKING_PASSWORD: set both")
	}
	base = &url.URL{Scheme: base.Scheme, Host: base.Host, Path: strings.TrimRight(base.Path, "/")}
	return &Client{
		base: base, o: o,
		api:       web.New(web.Options{Transport: o.Transport}),
		artifacts: web.New(web.Options{Transport: o.Transport, Patience: artifactPatience}),
	}, nil
}

// URL is the server's, without credentials.
func (c *Client) URL() string { return c.base.String() }

// get makes a request with the credentials as they are now, for a path without escapes.
func (c *Client) get(ctx context.Context, query url.Values, path ...string) (*http.Request, error) {
	place := c.base.JoinPath(escaped(path)...)
	place.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place.String(), nil)
	if err != nil {
		return nil, err
	}
	return request, c.authorize(request)
}

// escaped are the segments of a path as they stand in a URL.
func escaped(path []string) []string {
	segments := strings.Split(strings.Join(path, "/"), "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return segments
}

func (c *Client) authorize(request *http.Request) error {
	token, err := c.o.Token.Read()
	if err != nil {
		return fmt.Errorf("MLFLOW_TRACKING_TOKEN_FILE: %w", err)
	}
	if !token.IsZero() {
		request.Header.Set("Authorization", "Bearer "+token.Reveal())
		return nil
	}
	password, err := c.o.Password.Read()
	if err != nil {
		return fmt.Errorf("MLFLOW_TRACKING_PASSWORD_FILE: %w", err)
	}
	if c.o.Username != "" {
		request.SetBasicAuth(c.o.Username, password.Reveal())
	}
	return nil
}
