package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
)

// noSync keeps tests about contents quick: what they check does not depend on the disk.
func noSync(*os.File) error { return nil }

func open(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := OpenLog(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func add(t *testing.T, l *Log, batches ...string) []Position {
	t.Helper()
	var at []Position
	for _, b := range batches {
		p, err := l.Append([]byte(b))
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, p)
	}
	return at
}

// readAll gives what is there from a position on.
func readAll(t *testing.T, l *Log, from Position) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if from == (Position{}) {
		from = l.segments[0].start()
	}
	if from.Compare(l.End()) == 0 {
		return nil
	}
	var got []string
	for r, err := range l.Read(ctx, from) {
		if err != nil {
			t.Fatal(err)
		}
		if want := r.At.seq; r.Seq != want || r.Next.seq != want+1 {
			t.Errorf("record at %v has sequence number %d and next %v", r.At, r.Seq, r.Next)
		}
		if got = append(got, string(r.Data)); r.Next.Compare(l.End()) == 0 {
			cancel()
		}
	}
	return got
}

func numbered(n int, bytes int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%d %s\n", i, strings.Repeat("x", bytes)))
	}
	return all
}

func TestReadingResumesFromTheCommittedPositionAcrossSegments(t *testing.T) {
	dir, batches := t.TempDir(), numbered(50, 500)
	o := Options{Dir: dir, SegmentBytes: 4 << 10, Sync: noSync}
	l := open(t, o)
	at := add(t, l, batches...)
	if got := readAll(t, l, Position{}); !cmp.Equal(got, batches) {
		t.Fatalf("read %d of %d batches", len(got), len(batches))
	}
	if err := l.Commit(at[33]); err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(at[10]); err != nil || l.Committed() != at[33] {
		t.Errorf("an older commit gave %v and moved the position to %v", err, l.Committed())
	}
	for _, r := range oneError(l, at[0]) {
		if vw.CodeOf(r) != vw.NotFound {
			t.Errorf("read a deleted position: %v", r)
		}
	}
	if numbers, _ := segmentNumbers(dir); numbers[0] != at[33].segment || len(numbers) != int(at[49].segment-at[33].segment)+1 {
		t.Errorf("segments %v are left", numbers)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, o)
	if l.Committed() != at[33] {
		t.Errorf("committed %v, want %v", l.Committed(), at[33])
	}
	if diff := cmp.Diff(batches[33:], readAll(t, l, l.Committed())); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
	if next := add(t, l, "more\n")[0]; next.seq != 51 {
		t.Errorf("the next batch is %v", next)
	}
	if err := l.Commit(l.End()); err != nil {
		t.Fatal(err)
	}
	if n, _ := l.Backlog(); n != 0 {
		t.Errorf("backlog is %d after everything was committed", n)
	}
}

// oneError is the error that Read ends with.
func oneError(l *Log, from Position) []error {
	for _, err := range l.Read(context.Background(), from) {
		return []error{err}
	}
	return nil
}

func TestRetainedSegmentsCanBeReadAgain(t *testing.T) {
	batches := numbered(50, 500)
	l := open(t, Options{Dir: t.TempDir(), SegmentBytes: 4 << 10, RetainBytes: 9 << 10, Sync: noSync})
	at := add(t, l, batches...)
	if err := l.Commit(l.End()); err != nil {
		t.Fatal(err)
	}
	got := readAll(t, l, Position{})
	if want := batches[50-len(got):]; !cmp.Equal(got, want) || at[50-len(got)].segment != at[49].segment-2 {
		t.Errorf("%d batches are left", len(got))
	}
}

func TestReadWaitsForNewRecordsUntilItsContextEnds(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Sync: noSync})
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan string)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(got)
		for r, err := range l.Read(ctx, Position{}) {
			if err != nil {
				t.Error(err)
			}
			got <- string(r.Data)
		}
	})
	for _, b := range numbered(5, 10) {
		add(t, l, b)
		if g := <-got; g != b {
			t.Errorf("read %q, want %q", g, b)
		}
	}
	cancel()
	wg.Wait()
	if g, open := <-got; open {
		t.Errorf("read %q after the end", g)
	}
}

func TestWaitingAppendsShareOneSync(t *testing.T) {
	const writers = 16
	dir := t.TempDir()
	var l *Log
	var on atomic.Bool
	var syncs atomic.Int32
	l = open(t, Options{Dir: dir, Sync: func(f *os.File) error {
		// The first group's sync lasts until all others wait.
		for on.Load() && syncs.Load() == 0 {
			l.mu.Lock()
			n := len(l.pending)
			l.mu.Unlock()
			if n == writers-1 {
				break
			}
			runtime.Gosched()
		}
		if on.Load() {
			syncs.Add(1)
		}
		return f.Sync()
	}})
	on.Store(true)
	want := map[string]bool{}
	var wg sync.WaitGroup
	for _, b := range numbered(writers, 100) {
		want[b] = true
		wg.Go(func() { add(t, l, b) })
	}
	wg.Wait()
	if n := syncs.Load(); n != 2 {
		t.Errorf("%d syncs for %d batches, want 2", n, writers)
	}
	got := readAll(t, copyOpen(t, dir), Position{})
	for _, b := range got {
		delete(want, b)
	}
	if len(want) != 0 || len(got) != writers {
		t.Errorf("%d batches read, %d missing", len(got), len(want))
	}
}

// copyOpen opens a copy of the folder, as after a crash.
func copyOpen(t *testing.T, dir string) *Log {
	t.Helper()
	return open(t, Options{Dir: copyDir(t, dir), Sync: noSync})
}

func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// sick is a disk with faults.
type sick struct {
	left     atomic.Int64 // bytes until it is full, when on
	full     atomic.Bool
	sync     atomic.Bool // fails
	truncate atomic.Bool // fails
}

func (s *sick) options(dir string) Options {
	return Options{
		Dir: dir, SegmentBytes: 4 << 10,
		Sync: func(*os.File) error {
			if s.sync.Load() {
				return syscall.EIO
			}
			return nil
		},
		write: func(f *os.File, b []byte, off int64) (int, error) {
			if !s.full.Load() {
				return f.WriteAt(b, off)
			}
			room := min(s.left.Load(), int64(len(b)))
			n, _ := f.WriteAt(b[:room], off)
			s.left.Add(-int64(n))
			if n < len(b) {
				return n, syscall.ENOSPC
			}
			return n, nil
		},
		truncate: func(f *os.File, size int64) error {
			if s.truncate.Load() {
				return syscall.EIO
			}
			return f.Truncate(size)
		},
	}
}

func TestADiskFaultFailsTheAppendAndLosesNothingAcknowledged(t *testing.T) {
	for _, tt := range []struct {
		name string
		ail  func(*sick)
		want error
	}{
		{"full at once", func(s *sick) { s.full.Store(true) }, syscall.ENOSPC},
		{"full in the middle of the record", func(s *sick) { s.full.Store(true); s.left.Store(100) }, syscall.ENOSPC},
		{"full and the rest cannot be cut off", func(s *sick) { s.full.Store(true); s.left.Store(100); s.truncate.Store(true) }, syscall.ENOSPC},
		{"the sync fails", func(s *sick) { s.sync.Store(true) }, syscall.EIO},
		{"the sync fails and nothing can be cut off", func(s *sick) { s.sync.Store(true); s.truncate.Store(true) }, syscall.EIO},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for before := range 9 { // so that the fault meets every state of a segment, a full one included
				dir, batches := t.TempDir(), numbered(20, 900)
				var s sick
				l := open(t, s.options(dir))
				add(t, l, batches[:before]...)
				tt.ail(&s)
				for range 3 {
					if _, err := l.Append([]byte("lost " + strings.Repeat("y", 600) + "\n")); vw.CodeOf(err) != vw.Unavailable || !errors.Is(err, tt.want) {
						t.Fatalf("append on the sick disk: %v", err)
					}
				}
				got := readAll(t, copyOpen(t, dir), Position{})
				if len(got) > before && strings.HasPrefix(got[before], "lost") {
					got = slices.Delete(got, before, before+1) // not acknowledged, but complete: allowed
				}
				if !slices.Equal(got, batches[:before]) {
					t.Fatalf("after a crash on the sick disk: %d batches, want %d", len(got), before)
				}
				s.full.Store(false)
				s.sync.Store(false)
				s.truncate.Store(false)
				add(t, l, batches[before:]...)
				if got := readAll(t, l, Position{}); !slices.Equal(got, batches) {
					t.Fatalf("read %d batches after recovery, want %d", len(got), len(batches))
				}
				if got := readAll(t, copyOpen(t, dir), Position{}); !slices.Equal(got, batches) {
					t.Fatalf("read %d batches after recovery and a crash, want %d", len(got), len(batches))
				}
			}
		})
	}
}

func TestCommitOnASickDiskKeepsTheOldPosition(t *testing.T) {
	var s sick
	l := open(t, s.options(t.TempDir()))
	at := add(t, l, numbered(9, 900)...)
	s.full.Store(true)
	if err := l.Commit(at[8]); vw.CodeOf(err) != vw.Unavailable || l.Committed() != at[0] {
		t.Errorf("commit gave %v, position %v", err, l.Committed())
	}
	s.full.Store(false)
	if err := l.Commit(at[8]); err != nil || l.Committed() != at[8] {
		t.Errorf("commit gave %v, position %v", err, l.Committed())
	}
}

func TestAFullBacklogRefusesUntilCommit(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), MaxBacklog: 1000, Sync: noSync})
	batch := numbered(1, 370)[0]
	add(t, l, batch, batch)
	if _, err := l.Append([]byte(batch)); !errors.Is(err, ErrBacklog) || vw.CodeOf(err) != vw.Unavailable {
		t.Fatalf("append over the limit: %v", err)
	}
	if err := l.Commit(l.End()); err != nil {
		t.Fatal(err)
	}
	add(t, l, batch)
	if _, err := l.Append(make([]byte, 1000)); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("append of what can never fit: %v", err)
	}
}

func TestOneProcessHasTheFolder(t *testing.T) {
	dir := t.TempDir()
	open(t, Options{Dir: dir})
	if _, err := OpenLog(Options{Dir: dir}); vw.CodeOf(err) != vw.Conflict {
		t.Errorf("second open: %v", err)
	}
}

func TestAClosedLogRefuses(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Sync: noSync})
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := l.Append([]byte("x\n"))
	for _, err := range append(oneError(l, Position{}), err, l.Commit(l.End())) {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed log gave %v", err)
		}
	}
}

func TestPositionsKeepTheirTextForm(t *testing.T) {
	want := Position{3, 4096, 17}
	var got Position
	if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "1-2", "1-2-3-4", "1--2-3", "01-2-3", "1-2-3 ", "a-b-c"} {
		if err := got.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("position %q was accepted", bad)
		}
	}
}

func TestOptionsNameEveryFault(t *testing.T) {
	_, err := OpenLog(Options{SegmentBytes: 1, MaxBacklog: -1, RetainBytes: -1})
	for _, field := range []string{"dir", "segment_bytes", "max_backlog", "retain_bytes"} {
		if !strings.Contains(fmt.Sprint(err), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

// segmentFile is the path of a folder's only segment.
func segmentFile(t *testing.T, dir string) string {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*.segment"))
	if len(names) != 1 {
		t.Fatalf("segments: %v", names)
	}
	return names[0]
}

func testLogger(b *strings.Builder) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
