//go:build !linux

package detectors

import "unsafe"

type mapping struct{}

func newPages(int) *mapping { return nil }

func (*mapping) free() {}

func (*mapping) base() unsafe.Pointer { return nil }
