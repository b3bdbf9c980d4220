package detectors

import (
	"runtime"
	"syscall"
	"unsafe"
)

// Random access to a large table misses the TLB on almost every read with pages of 4 KiB; with pages of
// 2 MiB, which Linux gives to whom asks (madvise), a miss costs about half. So large tables live in
// mappings of their own, outside the Go heap. They hold no pointers.

const (
	mapHuge    = 14 // MADV_HUGEPAGE
	pageOfHuge = 2 << 20
)

// mapping owns pages; it is given back by free, or when nothing refers to it any more.
type mapping struct {
	bytes   []byte
	cleanup runtime.Cleanup
}

// newPages maps zeroed memory of at least n bytes, or returns nil when the system gives none.
func newPages(n int) *mapping {
	size := (n + pageOfHuge - 1) / pageOfHuge * pageOfHuge
	b, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	_ = syscall.Madvise(b, mapHuge) // without it the table is only slower
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
