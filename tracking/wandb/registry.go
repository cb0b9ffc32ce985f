package wandb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Organization is one as W&B names it: for people, and as the owner of its registries.
type Organization struct{ Name, Entity string }

const (
	entityQuery = `query Organization($name: String!) {
  entity(name: $name) { organization { name orgEntity { name } } }
}`
	organizationQuery = `query Organization($name: String!) {
  organization(name: $name) { name orgEntity { name } }
}`
	membershipQuery = `query Membership($entity: String!, $project: String!, $name: String!) {
  project(entityName: $entity, name: $project) {
    artifactCollectionMembership(name: $name) {
      versionIndex
      aliases { alias }
      artifactCollection { name }
      artifact { state metadata }
    }
  }
}`
	fileQuery = `query File($entity: String!, $project: String!, $collection: String!, $alias: String!, $names: [String!]) {
  project(entityName: $entity, name: $project) {
    artifactCollection(name: $collection) {
      artifactMembership(aliasName: $alias) {
        files(names: $names, first: 2) { edges { node { name directUrl md5 } } }
      }
    }
  }
}`
)

// organization is the answer's form of an Organization.
type organization struct {
	Name      string
	OrgEntity *struct{ Name string }
}

func (o *organization) found() (Organization, bool) {
	if o == nil || o.OrgEntity == nil || o.OrgEntity.Name == "" {
		return Organization{}, false
	}
	return Organization{Name: o.Name, Entity: o.OrgEntity.Name}, true
}

// Organization finds an organization by the name of its entity or of one of its teams, or else by its own name.
func (c *Client) Organization(ctx context.Context, name string) (Organization, error) {
	var byEntity struct {
		Entity *struct{ Organization *organization }
	}
	variables := map[string]any{"name": name}
	if err := c.query(ctx, entityQuery, variables, &byEntity); err != nil && !errors.Is(err, errRefused) {
		return Organization{}, err // a refusal may mean that there is no such entity
	}
	if byEntity.Entity != nil {
		if o, ok := byEntity.Entity.Organization.found(); ok {
			return o, nil
		}
	}
	var byName struct{ Organization *organization }
	if err := c.query(ctx, organizationQuery, variables, &byName); err != nil {
		return Organization{}, err
	}
	if o, ok := byName.Organization.found(); ok {
		return o, nil
	}
	return Organization{}, fmt.Errorf("%w: the organization %q", ErrNotFound, name)
}

// Collection is a series of versions of an artifact: an entity's project, and the name in it.
type Collection struct{ Entity, Project, Name string }

// Membership is a version in a collection.
type Membership struct {
	Index    int // of the version: 3 is v3
	Aliases  []string
	Metadata map[string]any
}

// Membership asks which version has the alias, vN included. ErrNotFound: none.
func (c *Client) Membership(ctx context.Context, in Collection, alias string) (Membership, error) {
	var answer struct {
		Project *struct {
			Membership *struct {
				VersionIndex *int
				Aliases      []struct{ Alias string }
				Artifact     *struct{ State, Metadata string }
			} `json:"artifactCollectionMembership"`
		}
	}
	variables := map[string]any{"entity": in.Entity, "project": in.Project, "name": in.Name + ":" + alias}
	if err := c.query(ctx, membershipQuery, variables, &answer); err != nil {
		return Membership{}, err
	}
	switch {
	case answer.Project == nil:
		return Membership{}, fmt.Errorf("%w: %s/%s", ErrNotFound, in.Entity, in.Project)
	case answer.Project.Membership == nil:
		return Membership{}, fmt.Errorf("%w: %s/%s/%s:%s", ErrNotFound, in.Entity, in.Project, in.Name, alias)
	}
	found := answer.Project.Membership
	if found.VersionIndex == nil || found.Artifact == nil || found.Artifact.State != "COMMITTED" {
		return Membership{}, fmt.Errorf("%w: %s:%s is not uploaded whole, or was deleted", ErrNotFound, in.Name, alias)
	}
	m := Membership{Index: *found.VersionIndex}
	for _, a := range found.Aliases {
		m.Aliases = append(m.Aliases, a.Alias)
	}
	if found.Artifact.Metadata != "" {
		if err := json.Unmarshal([]byte(found.Artifact.Metadata), &m.Metadata); err != nil {
			return m, fmt.Errorf("the metadata of %s:%s: %w", in.Name, alias, err)
		}
	}
	return m, nil
}

// File is an open file of a version.
type File struct {
	Body io.ReadCloser
	MD5  string // of the whole file, as W&B tells it, in base64 or hexadecimal; may be empty
}

// OpenFile opens a file of a version, from the byte at offset on.
func (c *Client) OpenFile(ctx context.Context, in Collection, alias, name string, offset int64) (File, error) {
	node, err := c.file(ctx, in, alias, name)
	if err != nil {
		return File{}, err
	}
	place, err := c.base.Parse(node.DirectURL)
	if err != nil || place.Scheme != "http" && place.Scheme != "https" || node.DirectURL == "" {
		return File{}, fmt.Errorf("W&B gives no URL for the file %s", name)
	}
	// The URL is signed, and may be another company's: the key is not for it.
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place.String(), nil)
	if err != nil {
		return File{}, fmt.Errorf("W&B gives no URL for the file %s", name) // without err, which tells the URL
	}
	body, err := c.web.Open(request, offset)
	return File{Body: body, MD5: node.MD5}, err
}

type fileNode struct {
	Name      string
	DirectURL string `json:"directUrl"`
	MD5       string
}

// file asks for a file's URL, each time: it is valid for a short time only.
func (c *Client) file(ctx context.Context, in Collection, alias, file string) (fileNode, error) {
	var answer struct {
		Project *struct {
			ArtifactCollection *struct {
				ArtifactMembership *struct {
					Files struct{ Edges []struct{ Node fileNode } }
				}
			}
		}
	}
	variables := map[string]any{
		"entity": in.Entity, "project": in.Project, "collection": in.Name, "alias": alias, "names": []string{file},
	}
	if err := c.query(ctx, fileQuery, variables, &answer); err != nil {
		return fileNode{}, err
	}
	if p := answer.Project; p != nil && p.ArtifactCollection != nil && p.ArtifactCollection.ArtifactMembership != nil {
		for _, edge := range p.ArtifactCollection.ArtifactMembership.Files.Edges {
			if edge.Node.Name == file {
				return edge.Node, nil
			}
		}
	}
	return fileNode{}, fmt.Errorf("%w: the file %s in %s:%s", ErrNotFound, file, in.Name, alias)
}
