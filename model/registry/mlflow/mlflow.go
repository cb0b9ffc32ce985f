// Package mlflow finds bundles in MLflow's model registry.
package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"flairstream/model/registry"
	"flairstream/tracking/mlflow"
)

// Model is a registered model, by an alias or a version.
type Model struct {
	client               *mlflow.Client
	name, alias, version string
}

var _ registry.Registry = (*Model)(nil)

// Form is what a place looks like.
const Form = "mlflow://models/NAME@ALIAS or mlflow://models/NAME/VERSION"

// New takes a place of the Form. It asks nothing of the server.
func New(place string, o mlflow.Options) (*Model, error) {
	m, err := parse(place)
	if err != nil {
		return nil, err
	}
	if m.client, err = mlflow.New(o); err != nil {
		return nil, err
	}
	return m, nil
}

func parse(place string) (*Model, error) {
	wrong := fmt.Errorf("want %s", Form)
	rest, ok := strings.CutPrefix(place, "mlflow://models/")
	if !ok {
		return nil, wrong
	}
	name, alias, byAlias := cutLast(rest, "@")
	version := ""
	if !byAlias {
		name, version, _ = cutLast(rest, "/")
	}
	name, err := url.PathUnescape(name)
	if err != nil || name == "" || alias+version == "" || strings.ContainsAny(alias+version, "/?#@:") || strings.ContainsAny(name, "/:") {
		return nil, wrong
	}
	if !byAlias && strings.Trim(version, "0123456789") != "" {
		return nil, fmt.Errorf("%w: %q is no version's number", wrong, version)
	}
	return &Model{name: name, alias: alias, version: version}, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Place names the model and its server.
func (m *Model) Place() string {
	which := "@" + m.alias
	if m.alias == "" {
		which = "/" + m.version
	}
	return "mlflow://models/" + url.PathEscape(m.name) + which + " at " + m.client.URL()
}

// Resolve asks which version has the alias.
func (m *Model) Resolve(ctx context.Context) (registry.Version, error) {
	v, err := m.ask(ctx)
	if err != nil {
		return registry.Version{}, wrap(err)
	}
	return registry.Version{
		Name: v.Name, Version: v.Version, Aliases: v.Aliases, Digest: v.Tag("digest"), Run: v.RunID, Source: v.Source,
		Page: m.client.URL() + "/#/models/" + url.PathEscape(v.Name) + "/versions/" + v.Version,
	}, nil
}

func (m *Model) ask(ctx context.Context) (mlflow.ModelVersion, error) {
	if m.alias != "" {
		return m.client.VersionByAlias(ctx, m.name, m.alias)
	}
	return m.client.Version(ctx, m.name, m.version)
}

// Open opens a file of the version.
func (m *Model) Open(ctx context.Context, v registry.Version, file string, offset int64) (io.ReadCloser, error) {
	body, err := m.client.OpenArtifact(ctx, v.Source, file, offset)
	return body, wrap(err)
}

func wrap(err error) error {
	if errors.Is(err, mlflow.ErrNotFound) {
		return fmt.Errorf("%w: %w", registry.ErrNotFound, err)
	}
	return err
}
