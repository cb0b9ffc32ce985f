package mlflow

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// ModelVersion is a version of a registered model.
type ModelVersion struct {
	Name    string
	Version string // a number
	Source  string // where its files are, as in mlflow-artifacts:/1/RUN/artifacts/bundle
	RunID   string `json:"run_id"` // of the run that made it; may be empty
	Aliases []string
	Tags    []Tag
}

// Tag is a note on something, by key.
type Tag struct{ Key, Value string }

// Tag is the value of the version's tag, empty where there is none.
func (v ModelVersion) Tag(key string) string {
	for _, tag := range v.Tags {
		if tag.Key == key {
			return tag.Value
		}
	}
	return ""
}

// VersionByAlias asks which version of the model has the alias. ErrNotFound: none, or there is no such model.
func (c *Client) VersionByAlias(ctx context.Context, model, alias string) (ModelVersion, error) {
	v, err := c.version(ctx, url.Values{"name": {model}, "alias": {alias}}, "registered-models/alias")
	if isInvalid(err) {
		return v, fmt.Errorf("%w: the model %q has no alias %q: %w", ErrNotFound, model, alias, err)
	}
	return v, err
}

// Version asks for a version by its number. ErrNotFound: there is no such version.
func (c *Client) Version(ctx context.Context, model, version string) (ModelVersion, error) {
	return c.version(ctx, url.Values{"name": {model}, "version": {version}}, "model-versions/get")
}

func (c *Client) version(ctx context.Context, query url.Values, path string) (ModelVersion, error) {
	request, err := c.get(ctx, query, "api/2.0/mlflow", path)
	if err != nil {
		return ModelVersion{}, err
	}
	var answer struct {
		Version ModelVersion `json:"model_version"`
	}
	if err := c.api.JSON(request, &answer); err != nil {
		return ModelVersion{}, explain(err)
	}
	if v := answer.Version; v.Version == "" || v.Source == "" {
		return v, fmt.Errorf("GET %s: the answer has no version and source: is MLFLOW_TRACKING_URI that of an MLflow server?", c.URL())
	}
	return answer.Version, nil
}

// OpenArtifact opens the file of that name below source, from the byte at offset on. The source must be one that the server
// itself serves: mlflow-artifacts:/PATH.
func (c *Client) OpenArtifact(ctx context.Context, source, name string, offset int64) (io.ReadCloser, error) {
	place, err := url.Parse(source)
	if err != nil || place.Scheme != "mlflow-artifacts" || strings.Trim(place.Path, "/") == "" {
		return nil, fmt.Errorf("the version's files are at %q, which the MLflow server does not serve: fetch them from there, "+
			"or register the version with a source mlflow-artifacts:/", withoutSecrets(source, place))
	}
	request, err := c.get(ctx, nil, "api/2.0/mlflow-artifacts/artifacts", place.Path, name)
	if err != nil {
		return nil, err
	}
	body, err := c.artifacts.Open(request, offset)
	if err != nil {
		return nil, explain(err)
	}
	return body, nil
}

// withoutSecrets is a source without a password or signature.
func withoutSecrets(source string, parsed *url.URL) string {
	if parsed == nil {
		return strings.SplitN(source, ":", 2)[0] + ":"
	}
	return (&url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: parsed.Path}).String()
}
