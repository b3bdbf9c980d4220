package freeze

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type inner struct {
	a int8
	b float64
	c [3]uint16
}

type shared struct {
	name string
	next *shared
}

type self struct{ n uint64 }

func (s *self) Freeze(e *Encoder) { e.Uint(s.n + 1) }
func (s *self) Thaw(d *Decoder)   { s.n = d.Uint() - 1 }

type everything struct {
	flat    inner
	text    string
	numbers []int32
	words   []string
	nothing []byte
	empty   []byte
	tree    map[string]map[int]inner
	keyed   map[struct{ a, b string }]*shared
	one     *shared
	two     *shared
	known   *shared
	none    *shared
	selves  [2]self
	rows    []self
	do      func() int
	kind    *struct{ text func() string }
	any     any
}

func full() (*everything, *shared) {
	there := &shared{name: "there"}
	loop := &shared{name: "loop"}
	loop.next = loop
	return &everything{
		flat: inner{-3, math.Inf(1), [3]uint16{1, 2, 3}}, text: "满50减10", numbers: []int32{5, -5}, words: []string{"", "x"}, empty: []byte{},
		tree:  map[string]map[int]inner{"b": {2: {a: 1}, -1: {b: 2}}, "a": nil, "": {}},
		keyed: map[struct{ a, b string }]*shared{{"a", "b"}: loop, {"a", "a"}: {name: "alone"}, {"0", "z"}: loop},
		one:   loop, two: &shared{name: "two", next: there}, known: there, selves: [2]self{{7}, {math.MaxUint64 - 5}}, rows: []self{{1}, {2}},
		do: func() int { return 1 }, kind: &struct{ text func() string }{func() string { return "" }},
	}, there
}

func write(t testing.TB, from *everything, there *shared) []byte {
	t.Helper()
	var buf bytes.Buffer
	e := NewEncoder(&buf)
	e.Known(there)
	e.Encode(from)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func read(b []byte, into *everything, there *shared) error {
	d := NewDecoder(bytes.NewReader(b))
	d.Known(there)
	d.Decode(into)
	return d.Close()
}

func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	from, there := full()
	b := write(t, from, there)
	there2 := &shared{name: "another there"}
	into := everything{text: "before", words: []string{"before"}, none: there2, do: func() int { return 2 }}
	if err := read(b, &into, there2); err != nil {
		t.Fatal(err)
	}
	if into.do() != 2 || into.kind != nil {
		t.Error("code was not left alone")
	}
	if into.one != into.one.next || into.keyed[struct{ a, b string }{"a", "b"}] != into.one || into.keyed[struct{ a, b string }{"0", "z"}] != into.one {
		t.Error("what was one object is several")
	}
	if into.known != there2 || into.two.next != there2 {
		t.Error("a known object is not the one that is known here")
	}
	if into.none != nil || into.nothing != nil || into.empty == nil {
		t.Error("nil and empty are not told apart")
	}
	from.do, from.kind, into.do = nil, nil, nil
	from.known, from.two.next, into.known, into.two.next = nil, nil, nil, nil
	from.one.next, into.one.next = nil, nil
	if diff := cmp.Diff(from, &into, cmp.AllowUnexported(everything{}, inner{}, shared{}, self{}, struct{ a, b string }{})); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
}

func TestEqualStateIsEqualBytes(t *testing.T) {
	from, there := full()
	first := write(t, from, there)
	for range 20 { // maps give their keys in another order each time
		from, there := full()
		if !bytes.Equal(write(t, from, there), first) {
			t.Fatal("other bytes")
		}
	}
}

// Whatever bit flips and wherever it is cut, it is an error, and no panic.
func TestNothingCorruptIsRead(t *testing.T) {
	from, there := full()
	b := write(t, from, there)
	for i := range b {
		for _, bad := range [][]byte{append(bytes.Clone(b[:i]), append([]byte{b[i] ^ 1<<(i%8)}, b[i+1:]...)...), b[:i]} {
			var into everything
			if err := read(bad, &into, there); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d of %d: %v", i, len(b), err)
			}
		}
	}
	long := append(write(t, from, there), 0)
	if err := read(long, new(everything), there); err != nil {
		t.Errorf("what follows the end is another's: %v", err)
	}
}

func TestWhatIsLeftOverIsAnError(t *testing.T) {
	var buf bytes.Buffer
	e := NewEncoder(&buf)
	x, y := uint64(1), uint64(2)
	e.Encode(&x)
	e.Encode(&y)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	d := NewDecoder(bytes.NewReader(buf.Bytes()))
	d.Decode(&x)
	if err := d.Close(); err == nil {
		t.Error("half of it was read and nobody said so")
	}
}

func TestFramesHoldAsMuchAsComes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	big := make([]uint64, 3*frameBytes/8+5)
	for i := range big {
		big[i] = r.Uint64()
	}
	var buf bytes.Buffer
	e := NewEncoder(&buf)
	e.Encode(&big)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	var got []uint64
	d := NewDecoder(iotest{&buf})
	d.Decode(&got)
	if err := d.Close(); err != nil || !reflect.DeepEqual(got, big) {
		t.Errorf("%v, %d numbers of %d", err, len(got), len(big))
	}
}

// iotest gives one byte at a time now and then.
type iotest struct{ r io.Reader }

func (r iotest) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), 4097)]) }

func TestWhatCannotBeWrittenSaysSo(t *testing.T) {
	e := NewEncoder(io.Discard)
	e.Encode(&everything{any: 5})
	if err := e.Close(); err == nil || !strings.Contains(err.Error(), "interface that holds a int") {
		t.Errorf("%v", err)
	}
	full := NewEncoder(failing{})
	full.Encode(&everything{})
	if err := full.Close(); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestLayoutTellsTypesApart(t *testing.T) {
	type a struct{ X, Y int32 }
	type swapped struct{ Y, X int32 }
	type deep struct{ P *struct{ M map[string][]a } }
	type deeper struct {
		P *struct{ M map[string][]swapped }
	}
	seen := map[uint64]reflect.Type{}
	for _, typ := range []reflect.Type{reflect.TypeFor[a](), reflect.TypeFor[swapped](), reflect.TypeFor[deep](), reflect.TypeFor[deeper](), reflect.TypeFor[shared](), reflect.TypeFor[struct{ X, Y int64 }](), reflect.TypeFor[struct{ X, Z int64 }]()} {
		l := Layout(typ)
		if other := seen[l]; other != nil || l != Layout(typ) {
			t.Errorf("%v and %v have one layout", typ, other)
		}
		seen[l] = typ
	}
}
