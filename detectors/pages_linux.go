package detectors

import (
	"runtime"
	"syscall"
	"unsafe"
)

// Large tables live in mappings of their own, outside the Go heap: the collector neither scans them nor
// waits for the heap to grow by a share of them. They hold no pointers.

// mapping owns pages; it is given back by free, or when nothing refers to it any more.
type mapping struct {
	bytes   []byte
	cleanup runtime.Cleanup
}

// newPages maps zeroed memory of n bytes, or returns nil when the system gives none. Memory that was never
// touched is not resident.
func newPages(n int) *mapping {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	m := &mapping{bytes: b}
	m.cleanup = runtime.AddCleanup(m, func(b []byte) { _ = syscall.Munmap(b) }, b)
	return m
}

func (m *mapping) free() {
	if m != nil && m.bytes != nil {
		m.cleanup.Stop()
		_ = syscall.Munmap(m.bytes)
		m.bytes = nil
	}
}

func (m *mapping) base() unsafe.Pointer { return unsafe.Pointer(&m.bytes[0]) }
