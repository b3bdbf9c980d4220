package ingest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
)

// segmentOf is a segment as the log writes it, one inner slice per group commit, and where each record
// begins.
func segmentOf(groups ...[]string) (file []byte, at []int) {
	h := segmentHeader{number: 1, firstSeq: 1, seed: 12345}
	file = h.encode()
	seq := uint64(1)
	for _, g := range groups {
		start := int64(len(file))
		for _, b := range g {
			at = append(at, len(file))
			rh := encodeRecordHeader(h.seed, seq, start, []byte(b))
			file = append(append(file, rh[:]...), b...)
			seq++
		}
	}
	return file, at
}

// openBytes opens a log whose only segment has these bytes.
func openBytes(t *testing.T, file []byte, logged *strings.Builder) (*Log, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(segmentPath(dir, 1), file, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLog(Options{Dir: dir, Sync: noSync, Logger: testLogger(logged)})
	if err == nil {
		t.Cleanup(func() { _ = l.Close() })
	}
	return l, err
}

func TestATornTailIsCutOffAtEveryByte(t *testing.T) {
	batches := numbered(5, 30)
	file, at := segmentOf(batches[:1], batches[1:3], batches[3:4], batches[4:])
	for cut := at[2]; cut <= len(file); cut++ {
		whole := 5
		for i, off := range append(at[1:], len(file)) {
			if cut < off {
				whole = i
				break
			}
		}
		for _, tail := range [][]byte{nil, make([]byte, 100), bytes.Repeat([]byte{0xff}, 100)} {
			var logged strings.Builder
			l, err := openBytes(t, slices.Concat(file[:cut], tail), &logged)
			if err != nil {
				t.Fatalf("cut at %d with tail %d: %v", cut, len(tail), err)
			}
			if diff := cmp.Diff(batches[:whole], readAll(t, l, Position{})); diff != "" {
				t.Fatalf("cut at %d with tail %d (-want +got):\n%s", cut, len(tail), diff)
			}
			torn := len(tail) > 0 || cut < len(file) && !slices.Contains(at, cut)
			if torn != strings.Contains(logged.String(), "torn tail cut off") {
				t.Fatalf("cut at %d logged %q", cut, logged.String())
			}
			add(t, l, "after\n")
			if got := readAll(t, l, Position{}); len(got) != whole+1 || got[whole] != "after\n" {
				t.Fatalf("cut at %d: read %q after an append", cut, got)
			}
			_ = l.Close()
		}
	}
}

func TestABatchOfATornGroupMayHaveReachedTheDiskFirst(t *testing.T) {
	batches := numbered(4, 30)
	file, at := segmentOf(batches[:2], batches[2:])
	clear(file[at[2]:at[3]]) // the power went before this page was written, and after the next
	var logged strings.Builder
	l, err := openBytes(t, file, &logged)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(batches[:2], readAll(t, l, Position{})); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

func TestAFlippedByteInTheMiddleIsATypedError(t *testing.T) {
	batches := numbered(4, 30)
	file, at := segmentOf(batches[:1], batches[1:2], batches[2:3], batches[3:])
	for i := range at[3] {
		bad := bytes.Clone(file)
		bad[i] ^= 0x10
		_, err := openBytes(t, bad, &strings.Builder{})
		c, ok := errors.AsType[*CorruptError](err)
		if !ok || vw.CodeOf(err) != vw.Internal || !strings.Contains(err.Error(), "restore the file") {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		if i < segmentHeaderBytes {
			continue
		}
		r := 2
		for at[r] > i {
			r--
		}
		want := &CorruptError{File: c.File, Offset: int64(at[r]), Reason: c.Reason, Next: Position{1, int64(at[r+1]), uint64(r + 2)}}
		if diff := cmp.Diff(want, c, cmp.AllowUnexported(Position{})); diff != "" {
			t.Fatalf("byte %d flipped (-want +got):\n%s", i, diff)
		}
	}
}

func TestAPayloadThatImitatesARecordProvesNothing(t *testing.T) {
	// What a client can guess: everything but the seed.
	forged := encodeRecordHeader(0, 3, 70, []byte("x\n"))
	body := "y\n" + string(forged[:]) + "x\n" + strings.Repeat("z", 100)
	file, at := segmentOf([]string{"a\n"}, []string{body})
	file[len(file)-1] = 0
	l, err := openBytes(t, file, &strings.Builder{})
	if err != nil || l.End().offset != int64(at[1]) {
		t.Errorf("torn batch with a forged record: %v", err)
	}
}

func TestNothingKnownToBeDurableIsTakenForATornTail(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, name string, b []byte)
	}{
		{"a byte of the last record flipped", func(t *testing.T, name string, b []byte) { b[len(b)-1] ^= 1; rewrite(t, name, b) }},
		{"the last record cut", func(t *testing.T, name string, b []byte) { rewrite(t, name, b[:len(b)-3]) }},
		{"the last record gone", func(t *testing.T, name string, b []byte) { rewrite(t, name, b[:len(b)-recordHeaderBytes-3]) }},
		{"all but the header gone", func(t *testing.T, name string, b []byte) { rewrite(t, name, b[:segmentHeaderBytes]) }},
		{"the file empty", func(t *testing.T, name string, b []byte) { rewrite(t, name, nil) }},
		{"the file gone", func(t *testing.T, name string, b []byte) { _ = os.Remove(name) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, Options{Dir: dir, Sync: noSync})
			add(t, l, "a\n", "b\n", "xy\n")
			if err := l.Close(); err != nil { // notes the end as durable
				t.Fatal(err)
			}
			name := segmentFile(t, dir)
			b, _ := os.ReadFile(name)
			tt.damage(t, name, b)
			_, err := OpenLog(Options{Dir: dir, Sync: noSync})
			if _, ok := errors.AsType[*CorruptError](err); !ok {
				t.Errorf("opened with %v", err)
			}
		})
	}
}

func rewrite(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamageToOtherSegmentsAndFiles(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		ok     bool
	}{
		{"a middle segment is missing", func(t *testing.T, dir string) { _ = os.Remove(segmentPath(dir, 3)) }, false},
		{"a middle segment is cut between records", func(t *testing.T, dir string) { _ = os.Truncate(segmentPath(dir, 3), segmentHeaderBytes) }, false},
		{"the last segment is a copy of another", func(t *testing.T, dir string) {
			b, _ := os.ReadFile(segmentPath(dir, 3))
			rewrite(t, segmentPath(dir, 5), b)
		}, false},
		{"the committed segment is missing", func(t *testing.T, dir string) { _ = os.Remove(segmentPath(dir, 2)) }, false},
		{"the commit file is rubbish", func(t *testing.T, dir string) { rewrite(t, filepath.Join(dir, commitName), []byte("1-40-1")) }, false},
		{"the commit file is gone", func(t *testing.T, dir string) { _ = os.Remove(filepath.Join(dir, commitName)) }, true},
		{"a next segment was begun without a header", func(t *testing.T, dir string) { rewrite(t, segmentPath(dir, 6), make([]byte, 12)) }, true},
		{"a consumed segment reappears", func(t *testing.T, dir string) { rewrite(t, segmentPath(dir, 1), []byte("rubbish")) }, true},
		{"a middle segment has bytes behind its end", func(t *testing.T, dir string) {
			b, _ := os.ReadFile(segmentPath(dir, 3))
			rewrite(t, segmentPath(dir, 3), append(b, "rubbish"...))
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, batches := t.TempDir(), numbered(19, 900)
			o := Options{Dir: dir, SegmentBytes: 4 << 10, Sync: noSync}
			l := open(t, o)
			at := add(t, l, batches...)
			if err := errors.Join(l.Commit(at[5]), l.Close()); err != nil || at[5].segment != 2 || at[18].segment != 5 {
				t.Fatal(err, at)
			}
			tt.damage(t, dir)
			l, err := OpenLog(o)
			if _, bad := errors.AsType[*CorruptError](err); bad == tt.ok || (err == nil) != tt.ok {
				t.Fatalf("opened with %v", err)
			}
			if err == nil {
				defer l.Close()
				if got := readAll(t, l, l.Committed()); !slices.Equal(got[max(0, len(got)-14):], batches[5:]) {
					t.Errorf("read %d batches", len(got))
				}
			}
		})
	}
}

func TestSalvageWritesEveryIntactRecordThatWasNotCommitted(t *testing.T) {
	dir, batches := t.TempDir(), numbered(19, 900)
	l := open(t, Options{Dir: dir, SegmentBytes: 4 << 10, Sync: noSync})
	at := add(t, l, batches...)
	if err := errors.Join(l.Commit(at[5]), l.Close()); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(segmentPath(dir, at[9].segment))
	b[at[9].offset+100] ^= 1
	rewrite(t, segmentPath(dir, at[9].segment), b)
	_ = os.Remove(segmentPath(dir, 4))
	var out strings.Builder
	damage, err := Salvage(dir, &out)
	if err != nil || len(damage) != 2 || damage[0].Offset != at[9].offset || damage[0].Next != at[10] {
		t.Errorf("damage %v, %v", damage, err)
	}
	var want string
	for i, b := range batches {
		if i >= 5 && i != 9 && at[i].segment != 4 {
			want += b
		}
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("salvaged (-want +got):\n%s", diff)
	}
}

// FuzzOpenLog: arbitrary bytes behind a valid prefix never panic, and the prefix is always read, by
// OpenLog or, when that sees damage, by Salvage.
func FuzzOpenLog(f *testing.F) {
	batches := numbered(3, 20)
	prefix, at := segmentOf(batches[:1], batches[1:])
	more, _ := segmentOf(batches[:1], batches[1:], []string{"d\n"}, []string{"e\n"})
	f.Add([]byte{}, true)
	f.Add([]byte("rubbish"), true)
	f.Add(more[len(prefix):], true)
	f.Add(more[len(prefix)+1:], true)
	f.Add(append([]byte{0}, more[len(prefix):]...), true)
	f.Add(more, false)
	f.Add(more[at[1]:], false)
	f.Fuzz(func(t *testing.T, tail []byte, withPrefix bool) {
		var file []byte
		if withPrefix {
			file = prefix
		}
		dir := t.TempDir()
		rewrite(t, segmentPath(dir, 1), slices.Concat(file, tail))
		var out strings.Builder
		if l, err := OpenLog(Options{Dir: dir, Sync: noSync}); err == nil {
			out.WriteString(strings.Join(readAll(t, l, Position{}), ""))
			_ = l.Close()
		} else if _, ok := errors.AsType[*CorruptError](err); !ok {
			t.Fatal(err)
		} else if _, err := Salvage(dir, &out); err != nil {
			t.Fatal(err)
		}
		if withPrefix && !strings.HasPrefix(out.String(), strings.Join(batches, "")) {
			t.Errorf("the prefix is lost: %q", out.String())
		}
	})
}
