//go:build !linux

package registry

import "errors"

func exchange(_, _ string) error { return errors.ErrUnsupported }
