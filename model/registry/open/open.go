// Package open finds the registry that a model's URL names.
package open

import (
	"context"
	"fmt"
	"strings"

	"flairstream/model/registry"
	"flairstream/model/registry/file"
	mlflowmodel "flairstream/model/registry/mlflow"
	"flairstream/model/registry/s3"
	wandbmodel "flairstream/model/registry/wandb"
	"flairstream/tracking/mlflow"
	"flairstream/tracking/wandb"
)

// Local is the folder that a path or a URL file:///path names; ok is false for other places.
func Local(place string) (dir string, ok bool, err error) {
	scheme, _, remote := strings.Cut(place, "://")
	if remote && scheme != "file" {
		return "", false, nil
	}
	dir, err = file.Dir(place)
	return dir, true, err
}

// Model takes a path, or a URL with the scheme file, mlflow, wandb or s3. Servers and credentials come from the
// registries' own variables, which getenv gives. It asks nothing of any server.
func Model(ctx context.Context, place string, getenv func(string) string) (registry.Registry, error) {
	if dir, ok, err := Local(place); ok {
		if err != nil {
			return nil, err
		}
		return file.New(dir), nil
	}
	scheme, _, _ := strings.Cut(place, "://")
	switch scheme {
	case "mlflow":
		o, err := mlflow.Environment(getenv)
		if err != nil {
			return nil, err
		}
		return checked(mlflowmodel.New(place, o))
	case "wandb":
		o, err := wandb.Environment(getenv)
		if err != nil {
			return nil, err
		}
		return checked(wandbmodel.New(place, o))
	case "s3":
		return checked(s3.New(ctx, place))
	}
	return nil, fmt.Errorf("the scheme %q is unknown: understood are a path, file:///PATH, %s, %s, and %s", scheme, mlflowmodel.Form, wandbmodel.Form, s3.Form)
}

// checked keeps a nil pointer out of the interface.
func checked[R registry.Registry](r R, err error) (registry.Registry, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}
