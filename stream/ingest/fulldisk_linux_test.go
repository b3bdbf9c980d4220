package ingest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The seam of log_test.go checks the same everywhere; this is the kernel's own ENOSPC.
func TestARealFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("may not mount a tmpfs: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	ballast := filepath.Join(dir, "ballast")
	rewrite(t, ballast, make([]byte, 64<<10))
	l, err := OpenLog(Options{Dir: filepath.Join(dir, "log"), SegmentBytes: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := handler(t, HandlerOptions{Log: l})
	var want []string
	for _, b := range numbered(1000, 3000) {
		w := post(h, strings.NewReader(b))
		if w.Code != 202 {
			check(t, w, 507, "disk_full")
			break
		}
		want = append(want, b)
	}
	if len(want) < 10 || !slices.Equal(readAll(t, l, Position{}), want) {
		t.Fatalf("%d batches fit", len(want))
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	check(t, post(h, strings.NewReader("after\n")), 202, "")
	if got := readAll(t, copyOpen(t, filepath.Join(dir, "log")), Position{}); !slices.Equal(got, append(want, "after\n")) {
		t.Errorf("%d batches after recovery, want %d", len(got), len(want)+1)
	}
}
