package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
)

// record is what became of one line, with its place.
type record struct {
	Source string
	Line   int64
	What   string // an event's id, or a dead letter's code
}

// drain reads a source to its end and says what became of each line, in order of the batches; the
// dead letters of a batch come after its events.
func drain(t *testing.T, d *Decoder, s Source) (all []record) {
	t.Helper()
	var c Chunk
	var b vw.Batch
	for {
		err := s.Next(t.Context(), &c)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(c.Data, []byte("\n")); n > chunkLines {
			t.Fatalf("a chunk of %d lines", n)
		}
		DecodeChunk(d, &c, &b)
		all = append(all, records(&b)...)
	}
}

func records(b *vw.Batch) (all []record) {
	for i := range b.Events {
		e := &b.Events[i]
		all = append(all, record{b.Sources[e.Source], e.Line, b.String(e.ID.Text)})
	}
	for _, d := range b.Dead {
		all = append(all, record{d.Source, d.Position, d.Code})
	}
	return all
}

func claim(id string) string { return full[vw.ClaimEvent].with("id", `"`+id+`"`).String() }

func TestLinesAreCutWhole(t *testing.T) {
	long := full[vw.ComplaintEvent].with("id", `"long"`, "text", `"`+strings.Repeat("长", 100_000)+`"`).String()
	for _, tt := range []struct {
		name, in string
		maxLine  int
		want     []record
	}{
		{"nothing", "", 0, nil},
		{"only line ends", "\n\r\n \t\n", 0, nil},
		{"blank lines are counted", "\n" + claim("a") + "\n\n\n" + claim("b") + "\n", 0, []record{{"in", 2, "a"}, {"in", 5, "b"}}},
		{"CRLF", claim("a") + "\r\n" + claim("b") + "\r\n", 0, []record{{"in", 1, "a"}, {"in", 2, "b"}}},
		{"the last line has no end", claim("a") + "\n" + claim("b"), 0, []record{{"in", 1, "a"}, {"in", 2, "b"}}},
		{"a byte order mark", "\ufeff" + claim("a") + "\n", 0, []record{{"in", 1, "a"}}},
		{"longer than a chunk", long + "\n" + claim("b") + "\n", 0, []record{{"in", 1, "long"}, {"in", 2, "b"}}},
		{"longer than a chunk, at the end", claim("a") + "\n" + long, 0, []record{{"in", 1, "a"}, {"in", 2, "long"}}},
		{"longer than the limit", claim("a") + "\n" + long + "\n" + claim("b") + "\n", 1000, []record{{"in", 1, "a"}, {"in", 2, TooLong}, {"in", 3, "b"}}},
		{"longer than the limit, at the end", claim("a") + "\n" + long, 1000, []record{{"in", 1, "a"}, {"in", 2, TooLong}}},
		{"two in a row", strings.Repeat("x", 1001) + "\n" + strings.Repeat("y", 1100) + "\n" + claim("c"), 1000, []record{{"in", 1, TooLong}, {"in", 2, TooLong}, {"in", 3, "c"}}},
		{"exactly the limit", claim("a") + "\n" + claim("bc") + "\n" + claim("d"), len(claim("a")), []record{{"in", 1, "a"}, {"in", 2, TooLong}, {"in", 3, "d"}}},
		{"the limit, one line at the end", claim("bc"), len(claim("a")), []record{{"in", 1, TooLong}}},
	} {
		for how, slow := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "end with data": iotest.DataErrReader, "halves": iotest.HalfReader,
		} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				l := NewLines("in", slow(strings.NewReader(tt.in)), tt.maxLine)
				got := drain(t, newDecoder(t), l)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if l.Fault() != nil {
					t.Error(l.Fault())
				}
			})
		}
	}
}

func TestManyLinesKeepTheirNumbers(t *testing.T) {
	for _, blank := range []string{"", "\n\n\n", strings.Repeat("\n", 2500)} {
		var in strings.Builder
		var want []record
		line := int64(1)
		for i := range 3000 {
			id := fmt.Sprint("c", i)
			in.WriteString(claim(id) + "\n")
			want = append(want, record{"in", line, id})
			if line++; i%1000 == 7 {
				in.WriteString(blank)
				line += int64(len(blank))
			}
		}
		got := drain(t, newDecoder(t), NewLines("in", strings.NewReader(in.String()), 0))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// flood is n bytes without a line end, then rest.
type flood struct {
	n    int
	rest string
}

func (f *flood) Read(p []byte) (int, error) {
	if f.n == 0 {
		n := copy(p, f.rest)
		f.rest = f.rest[n:]
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	n := min(f.n, len(p))
	for i := range p[:n] {
		p[i] = 'x'
	}
	f.n -= n
	return n, nil
}

func TestAHundredMegabyteLineIsNotHeld(t *testing.T) {
	l := NewLines("in", &flood{n: 100 << 20, rest: "yz\n" + claim("b") + "\n"}, 0)
	var c Chunk
	if err := l.Next(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Data) != 0 || len(c.Dead) != 1 || cap(c.Data) > 3*defaultMaxLine || cap(l.carry) > defaultMaxLine {
		t.Fatalf("%d bytes of room %d, carried %d, %d dead letters", len(c.Data), cap(c.Data), cap(l.carry), len(c.Dead))
	}
	if d := c.Dead[0]; d.RawBytes != 100<<20+2 || len(d.Raw) != 64<<10 || d.Position != 1 || d.Code != TooLong {
		t.Errorf("%s at %d: %d of %d bytes", d.Code, d.Position, len(d.Raw), d.RawBytes)
	}
	if diff := cmp.Diff([]record{{"in", 2, "b"}}, drain(t, newDecoder(t), l)); diff != "" {
		t.Errorf("after it (-want +got):\n%s", diff)
	}
}

func TestInputThatBreaksOff(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, tt := range []struct {
		name, in string
		want     []record
		raw      string
	}{
		{"within a line", claim("a") + "\n" + claim("b")[:30], []record{{"in", 1, "a"}, {"in", 2, TruncatedInput}}, claim("b")[:30]},
		{"between lines", claim("a") + "\n", []record{{"in", 1, "a"}, {"in", 2, TruncatedInput}}, ""},
		{"at once", "", []record{{"in", 1, TruncatedInput}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := NewLines("in", io.MultiReader(strings.NewReader(tt.in), iotest.ErrReader(broken)), 0)
			if diff := cmp.Diff(tt.want, drain(t, newDecoder(t), l)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !errors.Is(l.Fault(), broken) || !strings.Contains(l.Fault().Error(), "read in: line ") {
				t.Errorf("fault %v", l.Fault())
			}
		})
	}
	stuck := NewLines("in", iotest.ErrReader(nil), 0)
	if drain(t, newDecoder(t), stuck); !errors.Is(stuck.Fault(), io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", stuck.Fault())
	}
}

func TestAnEndedContextEndsTheLines(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewLines("in", strings.NewReader("x"), 0).Next(ctx, new(Chunk)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestARecordIsItsLineWithoutTheEnd(t *testing.T) {
	c, b := Chunk{Data: []byte(claim("a") + "\r\n" + claim("b") + "\n" + "broken\r\n")}, vw.Batch{}
	DecodeChunk(newDecoder(t), &c, &b)
	got := []string{b.String(b.Events[0].Raw), b.String(b.Events[1].Raw), string(b.Dead[0].Raw)}
	if diff := cmp.Diff([]string{claim("a"), claim("b"), "broken"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBuffersAreSwappedNotCopied(t *testing.T) {
	data, old := []byte(claim("a")+"\n"), make([]byte, 3, 999)
	c, b := Chunk{Source: "in", First: 1, Data: data}, vw.Batch{Data: old}
	DecodeChunk(newDecoder(t), &c, &b)
	if &b.Data[0] != &data[0] || cap(c.Data) != 999 || len(c.Data) != 0 {
		t.Error("the chunk's bytes were copied, or the batch's memory was lost")
	}
}

// FuzzLines: however the input is cut into reads and chunks, the lines and their numbers are those of
// splitting at line ends.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\n\nbb\r\n"+claim("x")+"\n"), uint16(20), uint8(3))
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nb\ncc"), uint16(3), uint8(7))
	d := newDecoder(f)
	f.Fuzz(func(t *testing.T, in []byte, maxLine uint16, step uint8) {
		limit := int(maxLine) + 1
		var want []record
		for i, line := range bytes.Split(bytes.TrimPrefix(in, []byte("\ufeff")), []byte("\n")) {
			last := i == bytes.Count(in, []byte("\n"))
			n := len(line)
			if i == 0 {
				n += len(in) - len(bytes.TrimPrefix(in, []byte("\ufeff")))
			}
			switch {
			case n > limit:
				want = append(want, record{"in", int64(i + 1), TooLong})
				continue
			case last && n == 0:
				continue
			}
			line = bytes.TrimSuffix(line, []byte("\r"))
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			b := decode(d, string(line), readers["as by Decode"]...)
			what := "event"
			if len(b.Dead) > 0 {
				what = b.Dead[0].Code
			}
			want = append(want, record{"in", int64(i + 1), what})
		}
		l := NewLines("in", &stepper{bytes.NewReader(in), int(step) + 1}, limit)
		var got []record
		var c Chunk
		for l.Next(t.Context(), &c) == nil {
			var b vw.Batch
			DecodeChunk(d, &c, &b)
			for i := range b.Events {
				got = append(got, record{"in", b.Events[i].Line, "event"})
			}
			for _, x := range b.Dead {
				got = append(got, record{"in", x.Position, x.Code})
			}
		}
		byLine := func(rs []record) map[int64]string {
			m := map[int64]string{}
			for _, r := range rs {
				m[r.Line] += r.What
			}
			return m
		}
		if diff := cmp.Diff(byLine(want), byLine(got)); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	})
}

// stepper reads at most n bytes at a time.
type stepper struct {
	io.Reader
	n int
}

func (s *stepper) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), s.n)]) }
