// Package wandb finds bundles in the registry of Weights & Biases.
package wandb

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"flairstream/model/registry"
	"flairstream/tracking/wandb"
)

// Model is a collection of an organization's registry, by an alias or a version.
type Model struct {
	client                              *wandb.Client
	organization, registry, name, alias string
}

var _ registry.Registry = (*Model)(nil)

// Form is what a place looks like.
const Form = "wandb://ORGANIZATION/REGISTRY/NAME:ALIAS or wandb://ORGANIZATION/REGISTRY/NAME:vN"

// projectPrefix is how W&B names the project that a registry is.
const projectPrefix = "wandb-registry-"

// New takes a place of the Form. It asks nothing of the server.
func New(place string, o wandb.Options) (*Model, error) {
	m, err := parse(place)
	if err != nil {
		return nil, err
	}
	if m.client, err = wandb.New(o); err != nil {
		return nil, err
	}
	return m, nil
}

func parse(place string) (*Model, error) {
	wrong := fmt.Errorf("want %s", Form)
	rest, ok := strings.CutPrefix(place, "wandb://")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return nil, wrong
	}
	for i, part := range parts {
		unescaped, err := url.PathUnescape(part)
		if err != nil || unescaped == "" || strings.ContainsAny(unescaped, "/?#@") {
			return nil, wrong
		}
		parts[i] = unescaped
	}
	name, alias, ok := strings.Cut(parts[2], ":")
	if !ok || name == "" || alias == "" || strings.Contains(alias, ":") {
		return nil, wrong
	}
	return &Model{organization: parts[0], registry: strings.TrimPrefix(parts[1], projectPrefix), name: name, alias: alias}, nil
}

// Place names the model and its server.
func (m *Model) Place() string {
	return fmt.Sprintf("wandb://%s/%s/%s:%s at %s", url.PathEscape(m.organization), url.PathEscape(m.registry),
		url.PathEscape(m.name), m.alias, m.client.URL())
}

func (m *Model) collection(entity string) wandb.Collection {
	return wandb.Collection{Entity: entity, Project: projectPrefix + m.registry, Name: m.name}
}

// Resolve asks which version has the alias. Its errors are never ErrNotFound: W&B answers that it has none such also for what
// it does not show with this key.
func (m *Model) Resolve(ctx context.Context) (registry.Version, error) {
	o, err := m.client.Organization(ctx, m.organization)
	if err != nil {
		return registry.Version{}, err
	}
	in := m.collection(o.Entity)
	found, err := m.client.Membership(ctx, in, m.alias)
	if err != nil {
		return registry.Version{}, err
	}
	digest, _ := found.Metadata["digest"].(string)
	version := "v" + strconv.Itoa(found.Index)
	return registry.Version{
		Name: m.name, Version: version, Aliases: found.Aliases, Digest: digest, Source: o.Entity, Page: m.page(o, in, version),
	}, nil
}

// page is where W&B shows a version, as its SDK makes the URL.
func (m *Model) page(o wandb.Organization, in wandb.Collection, version string) string {
	query := url.Values{
		"selectionPath": {in.Entity + "/" + in.Project + "/" + in.Name}, "view": {"membership"}, "version": {version},
	}
	return m.client.App() + "/orgs/" + url.PathEscape(o.Name) + "/registry/" + url.PathEscape(m.registry) + "?" + query.Encode()
}

// Open opens a file of the version. From the beginning, its MD5 is checked at its end, where W&B tells one.
func (m *Model) Open(ctx context.Context, v registry.Version, file string, offset int64) (io.ReadCloser, error) {
	opened, err := m.client.OpenFile(ctx, m.collection(v.Source), v.Version, file, offset)
	if err != nil {
		return nil, err
	}
	if offset > 0 || opened.MD5 == "" {
		return opened.Body, nil
	}
	return newChecked(opened.Body, file, opened.MD5)
}
