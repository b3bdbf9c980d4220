//go:build !linux

package app

import "errors"

func mountSmall(string) (unmount func(), err error) { return nil, errors.New("only on Linux") }
