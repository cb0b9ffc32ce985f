package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"flairstream/model"
	"flairstream/model/classifier"
	"flairstream/model/onnx"
	"flairstream/model/registry"
	"flairstream/model/registry/open"
)

// How long a registry may take. The shorter ones hold where the cache has a model that can be served instead.
const (
	fetchTimeout = 15 * time.Minute
	firstTimeout = 30 * time.Second // until the first piece of the model
	pieceTimeout = time.Minute      // until another piece
)

var errSilent = errors.New("nothing of the model comes")

// models opens the model that the settings name.
type models struct {
	settings settings
	log      *slog.Logger
}

// open gives the model, proved. fallback tells that it is the one served last, because the registry's could not be had.
func (m models) open(ctx context.Context) (c *classifier.Classifier, fallback bool, err error) {
	dir, local, err := open.Local(m.settings.Model)
	if err != nil {
		return nil, false, err
	}
	if local {
		c, err = m.prove(model.Open(dir))
		return c, false, err
	}
	from, err := open.Model(ctx, m.settings.Model, os.Getenv)
	if err != nil {
		return nil, false, err
	}
	cache, err := m.cache()
	if err != nil {
		return nil, false, err
	}
	if c, err = m.newest(ctx, from, cache); err == nil {
		return c, false, nil
	}
	if ctx.Err() != nil || errors.Is(err, registry.ErrNotFound) || errors.Is(err, onnx.ErrLibrary) {
		return nil, false, err // another model would not help, or nobody wants it
	}
	c, err = m.last(from.Place(), cache, err)
	return c, true, err
}

// newest is what the registry gives now.
func (m models) newest(ctx context.Context, from registry.Registry, cache registry.Cache) (*classifier.Classifier, error) {
	begun := time.Now()
	fetched, err := fetch(ctx, from, cache)
	if err != nil {
		return nil, err
	}
	m.log.Info("model is fetched", "from", from.Place(), "registered_version", fetched.Version.Version,
		"digest", fetched.Bundle.Digest, "bytes", fetched.Bytes, "seconds", time.Since(begun).Seconds())
	c, err := m.prove(fetched.Bundle, nil)
	if err != nil {
		return nil, err
	}
	if err := cache.Served(from.Place(), fetched); err != nil {
		m.log.Warn("the cache of models can not be kept in order", "err", err)
	}
	return c, nil
}

// fetch brings the registry's model into the cache. It waits less for a registry that says nothing where the cache has a
// model that was served before.
func fetch(ctx context.Context, from registry.Registry, cache registry.Cache) (registry.Fetched, error) {
	ctx, end := context.WithTimeoutCause(ctx, fetchTimeout, fmt.Errorf("not done in %s", fetchTimeout))
	defer end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var progress registry.Progress
	if cache.HasServed(from.Place()) {
		silence := time.AfterFunc(firstTimeout, func() { cancel(errSilent) })
		defer silence.Stop()
		progress = func(int64, int64) { silence.Reset(pieceTimeout) }
	}
	fetched, err := cache.Fetch(ctx, from, progress)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return fetched, err
}

// last is what the place gave when it was served last; failed is why there is nothing newer.
func (m models) last(place string, cache registry.Cache, failed error) (*classifier.Classifier, error) {
	fetched, at, err := cache.Last(place)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failed
	}
	if err != nil {
		return nil, errors.Join(failed, fmt.Errorf("the model that was served last: %w", err))
	}
	c, err := m.prove(fetched.Bundle, nil)
	if err != nil {
		return nil, errors.Join(failed, fmt.Errorf("the model that was served last: %w", err))
	}
	m.log.Error("the registry's model can not be had: starting with the one that was served last", "from", place, "err", failed,
		"registered_version", fetched.Version.Version, "digest", fetched.Bundle.Digest, "served_at", at)
	return c, nil
}

// prove opens the classifier of a bundle, unless there is none.
func (m models) prove(bundle *model.Bundle, err error) (*classifier.Classifier, error) {
	if err != nil {
		return nil, err
	}
	return classifier.Open(bundle, classifier.Options{Library: m.settings.Onnxruntime, Slots: m.settings.Slots})
}

// cache is the folder of the setting, or else one in the user's cache folder. It is made, where it is not there.
func (m models) cache() (registry.Cache, error) {
	dir := m.settings.ModelCache
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return registry.Cache{}, fmt.Errorf("%w: set FLAIRSTREAM_MODEL_CACHE to a folder for fetched models", err)
		}
		dir = filepath.Join(user, "flairstream", "models")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return registry.Cache{}, fmt.Errorf("%w: set FLAIRSTREAM_MODEL_CACHE to a folder where the worker may write", err)
	}
	return registry.Cache{Dir: dir}, nil
}
