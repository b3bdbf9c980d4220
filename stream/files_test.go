package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	vw "voucherwatch"
)

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

func zst(s string) string {
	var b bytes.Buffer
	w, _ := zstd.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

// write puts files into a new folder and gives their paths: name, content, name, content …
func write(t *testing.T, files ...string) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestFilesAreReadInTheGivenOrder(t *testing.T) {
	line := func(id string) string { return claim(id) + "\n" }
	paths := write(t, "z.ndjson", line("a"), "empty.jsonl", "", "b.gz", gz(line("b")+line("c")), "named-anyhow", zst(line("d")),
		"plain.gz", line("e"), "two.gz", gz(line("f"))+gz(line("g")), "two.zst", zst(line("h"))+zst(line("i")))
	paths = append(paths[:3:3], append([]string{"-"}, paths[3:]...)...)
	f, err := NewFiles(FilesOptions{Paths: paths, Stdin: strings.NewReader(gz(line("s")))})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range drain(t, newDecoder(t), f) {
		got = append(got, fmt.Sprint(filepath.Base(r.Source), " ", r.Line, " ", r.What))
	}
	want := []string{"z.ndjson 1 a", "b.gz 1 b", "b.gz 2 c", "stdin 1 s", "named-anyhow 1 d", "plain.gz 1 e", "two.gz 1 f", "two.gz 2 g", "two.zst 1 h", "two.zst 2 i"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(f.Faults()) > 0 {
		t.Error(f.Faults())
	}
}

func TestPathsAreCheckedBeforeAnythingIsRead(t *testing.T) {
	good := write(t, "good.ndjson", claim("a"))[0]
	dir := filepath.Dir(good)
	for _, tt := range []struct {
		name  string
		paths []string
		code  vw.Code
		says  []string
	}{
		{"a missing file, after a good one", []string{good, filepath.Join(dir, "nowhere.ndjson")}, vw.NotFound, []string{"nowhere.ndjson: no such file", "check the path"}},
		{"a directory", []string{dir}, vw.Invalid, []string{"is a directory", "name the files in them"}},
		{"nothing", nil, vw.Invalid, []string{"no event files", "- for standard input"}},
		{"standard input twice", []string{"-", "-"}, vw.Invalid, []string{"can be read once"}},
		{"two faults at once", []string{dir, filepath.Join(dir, "nowhere.ndjson")}, vw.NotFound, []string{"nowhere.ndjson", "is a directory"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewFiles(FilesOptions{Paths: tt.paths, Stdin: strings.NewReader("")})
			if vw.CodeOf(err) != tt.code {
				t.Errorf("code %q of %v", vw.CodeOf(err), err)
			}
			for _, s := range tt.says {
				if !strings.Contains(fmt.Sprint(err), s) {
					t.Errorf("%v does not say %q", err, s)
				}
			}
		})
	}
}

func TestADamagedFileDoesNotStopTheNext(t *testing.T) {
	var in strings.Builder
	r := rand.New(rand.NewPCG(1, 2)) // random ids, so that compressed bytes are spread over the lines
	for range 3000 {
		in.WriteString(claim(fmt.Sprintf("c%016x", r.Uint64())) + "\n")
	}
	cut := func(s string) string { return s[:len(s)*2/3] }
	flip := func(s string) string {
		b := []byte(s)
		for i := len(b) / 2; i < len(b)/2+64; i++ {
			b[i] ^= 0x55
		}
		return string(b)
	}
	for name, damaged := range map[string]string{"truncated gzip": cut(gz(in.String())), "corrupt gzip": flip(gz(in.String())),
		"gzip without its checksum": gz(in.String())[:len(gz(in.String()))-4], "only a gzip magic number": "\x1f\x8b\x08",
		"truncated zstd": cut(zst(in.String())), "corrupt zstd": flip(zst(in.String()))} {
		t.Run(name, func(t *testing.T) {
			paths := write(t, "damaged", damaged, "next.ndjson", claim("next"))
			f, err := NewFiles(FilesOptions{Paths: paths})
			if err != nil {
				t.Fatal(err)
			}
			got := drain(t, newDecoder(t), f)
			n := len(got)
			if n < 2 || got[n-1] != (record{paths[1], 1, "next"}) || got[n-2].What != TruncatedInput || got[n-2].Source != paths[0] {
				t.Fatalf("the last of %d: %v", n, got[max(0, n-2):])
			}
			if strings.HasPrefix(name, "truncated") && n < 500 {
				t.Errorf("only %d lines of what could be read", n)
			}
			if faults := f.Faults(); len(faults) != 1 || !strings.Contains(faults[0].Error(), paths[0]) {
				t.Errorf("faults %v", faults)
			}
		})
	}
}

func TestAFileThatIsGoneBreaksOff(t *testing.T) {
	paths := write(t, "a", claim("a"), "b", claim("b"))
	f, err := NewFiles(FilesOptions{Paths: paths})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(paths[0]); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]record{{paths[0], 1, TruncatedInput}, {paths[1], 1, "b"}}, drain(t, newDecoder(t), f)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(f.Faults()) != 1 || !errors.Is(f.Faults()[0], os.ErrNotExist) {
		t.Error(f.Faults())
	}
}

func TestBatchesComeInTheOrderOfTheInput(t *testing.T) {
	var in strings.Builder
	for i, line := range synthetic(6000, true) {
		if i%97 == 0 {
			in.WriteString("broken\n\n")
		}
		in.WriteString(line + "\n")
	}
	d := newDecoder(t)
	want := drain(t, d, NewLines("in", strings.NewReader(in.String()), 0))
	for _, workers := range []int{1, 2, 8} {
		for _, release := range []bool{true, false} {
			p := NewPipeline(NewLines("in", strings.NewReader(in.String()), 0), d, workers, 3)
			var got []record
			for b, err := range p.Batches(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, records(b)...)
				if release {
					p.Release(b)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d workers, release %v (-want +got):\n%s", workers, release, diff)
			}
		}
	}
}

// endless is a source that counts its chunks and fails after some, if fail is set.
type endless struct {
	n, failAfter int
	done         bool
}

var errSource = errors.New("the broker is gone")

func (s *endless) Next(ctx context.Context, c *Chunk) error {
	if s.done {
		panic("Next after the loop was left")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.n++; s.failAfter > 0 && s.n > s.failAfter {
		return errSource
	}
	c.Source, c.First, c.Dead = "in", int64(s.n), c.Dead[:0]
	c.Data = append(append(c.Data[:0], claim(fmt.Sprint("c", s.n))...), '\n')
	return nil
}

func TestAPipelineEndsCleanly(t *testing.T) {
	d := newDecoder(t)
	t.Run("the loop is left", func(t *testing.T) {
		s := &endless{}
		n := 0
		for _, err := range NewPipeline(s, d, 2, 2).Batches(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 10 {
				break
			}
		}
		s.done = true // a reader still running would panic, or race
		if s.n > 10+2*2+3 {
			t.Errorf("%d chunks were read for 10", s.n)
		}
	})
	t.Run("the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := &endless{}
		var last error
		for _, last = range NewPipeline(s, d, 2, 2).Batches(ctx) {
			cancel()
		}
		if s.done = true; !errors.Is(last, context.Canceled) {
			t.Errorf("the last pair says %v", last)
		}
	})
	t.Run("the source fails, after all that it gave", func(t *testing.T) {
		n, failed := 0, 0
		for b, err := range NewPipeline(&endless{failAfter: 7}, d, 2, 2).Batches(t.Context()) {
			if err != nil {
				if failed++; !errors.Is(err, errSource) {
					t.Error(err)
				}
				continue
			}
			n += len(b.Events)
		}
		if n != 7 || failed != 1 {
			t.Errorf("%d events and %d errors", n, failed)
		}
	})
	t.Run("no input", func(t *testing.T) {
		for b, err := range NewPipeline(NewLines("in", strings.NewReader(""), 0), d, 2, 2).Batches(t.Context()) {
			if err != nil || len(b.Events) > 0 {
				t.Error(b, err)
			}
		}
	})
}
