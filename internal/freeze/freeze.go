// Package freeze writes Go values as bytes and reads them back: the state of the detectors as it is, with
// unexported fields, maps and shared pointers, so that a detector need not know that it is saved. It is
// for a process that goes on where one of the same build left off, and says so when the build is another.
//
// The form is a run of frames of at most a mebibyte, each with its length and XXH3 hash, so that what is
// decoded was written: a flipped byte or a torn end is an error before anything is made of it. Values
// without pointers are written as they lie in memory; Layout tells two builds apart.
//
// Functions, channels and pointers to structs that hold functions are code: they are left as they are in the
// value that is read into. Pointers that were made Known on both sides stay pointers to what is there;
// others are followed, each once.
package freeze

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"github.com/zeebo/xxh3"
)

// A Freezer writes and reads itself: containers whose memory is not to be copied as it lies.
type Freezer interface {
	Freeze(*Encoder)
	Thaw(*Decoder)
}

var freezer = reflect.TypeFor[Freezer]()

const frameBytes = 1 << 20

// ErrCorrupt is the error of bytes that are not what was written.
var ErrCorrupt = errors.New("corrupt or cut short")

type identity struct {
	p unsafe.Pointer
	t reflect.Type // a struct and its first field lie at one place
}

// Encoder writes values. Its first error stays and is given by Close.
type Encoder struct {
	w     *bufio.Writer
	frame []byte
	ids   map[identity]uint64
	err   error
}

// NewEncoder makes an Encoder; Close it.
func NewEncoder(w io.Writer) *Encoder {
	return &Encoder{w: bufio.NewWriter(w), ids: map[identity]uint64{}}
}

// Known gives the object behind a pointer a number instead of writing it. Both sides make the same
// objects known in the same order.
func (e *Encoder) Known(p any) {
	v := reflect.ValueOf(p)
	e.ids[identity{v.UnsafePointer(), v.Type()}] = uint64(len(e.ids)) + 1
}

// Encode writes what the pointer points to.
func (e *Encoder) Encode(p any) { e.value(reflect.ValueOf(p).Elem()) }

// Uint writes a number.
func (e *Encoder) Uint(x uint64) { e.Raw(binary.AppendUvarint(nil, x)) }

// Raw writes bytes.
func (e *Encoder) Raw(b []byte) {
	for len(b) > 0 {
		n := min(len(b), frameBytes-len(e.frame))
		e.frame = append(e.frame, b[:n]...)
		b = b[n:]
		if len(e.frame) == frameBytes {
			e.flush()
		}
	}
}

func (e *Encoder) flush() {
	if e.err != nil || len(e.frame) == 0 {
		e.frame = e.frame[:0]
		return
	}
	var head [12]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(e.frame)))
	binary.LittleEndian.PutUint64(head[4:], xxh3.Hash(e.frame))
	_, err1 := e.w.Write(head[:])
	_, err2 := e.w.Write(e.frame)
	e.err = cmp.Or(e.err, err1, err2)
	e.frame = e.frame[:0]
}

// Close writes what is left and an end mark.
func (e *Encoder) Close() error {
	e.flush()
	_, err := e.w.Write(make([]byte, 12))
	return cmp.Or(e.err, err, e.w.Flush())
}

func (e *Encoder) value(v reflect.Value) {
	t := v.Type()
	if reflect.PointerTo(t).Implements(freezer) {
		v.Addr().Interface().(Freezer).Freeze(e)
		return
	}
	if Flat(t) {
		e.Raw(memory(v))
		return
	}
	switch t.Kind() {
	case reflect.String:
		e.Uint(uint64(v.Len()))
		e.Raw([]byte(v.String()))
	case reflect.Slice:
		if v.IsNil() {
			e.Uint(0)
			return
		}
		e.Uint(uint64(v.Len()) + 1)
		e.elements(v)
	case reflect.Array:
		e.elements(v)
	case reflect.Struct:
		for i := range t.NumField() {
			e.value(open(v.Field(i)))
		}
	case reflect.Map:
		e.table(v)
	case reflect.Pointer:
		if !code(t.Elem()) {
			e.pointer(v)
		}
	case reflect.Interface:
		if !v.IsNil() {
			e.err = cmp.Or(e.err, error(fmt.Errorf("freeze: an interface that holds a %v", v.Elem().Type())))
		}
	case reflect.Func, reflect.Chan:
	default:
		e.err = cmp.Or(e.err, error(fmt.Errorf("freeze: %v cannot be written", t)))
	}
}

// elements of a slice or array.
func (e *Encoder) elements(v reflect.Value) {
	if t := v.Type().Elem(); Flat(t) && !reflect.PointerTo(t).Implements(freezer) {
		if v.Len() > 0 {
			e.Raw(unsafe.Slice((*byte)(v.Index(0).Addr().UnsafePointer()), v.Len()*int(t.Size())))
		}
		return
	}
	for i := range v.Len() {
		e.value(v.Index(i))
	}
}

// table writes a map in order of its keys as far as they have one, so that equal state is equal bytes.
func (e *Encoder) table(v reflect.Value) {
	if v.IsNil() {
		e.Uint(0)
		return
	}
	e.Uint(uint64(v.Len()) + 1)
	keys := v.MapKeys()
	slices.SortFunc(keys, compare)
	k, x := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	for _, key := range keys {
		k.Set(key)
		x.Set(v.MapIndex(key))
		e.value(k)
		e.value(x)
	}
}

func compare(a, b reflect.Value) int {
	switch {
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	case a.CanFloat():
		return cmp.Compare(a.Float(), b.Float())
	}
	switch a.Kind() {
	case reflect.String:
		return strings.Compare(a.String(), b.String())
	case reflect.Array:
		for i := range a.Len() {
			if c := compare(a.Index(i), b.Index(i)); c != 0 {
				return c
			}
		}
	case reflect.Struct:
		for i := range a.NumField() {
			if c := compare(a.Field(i), b.Field(i)); c != 0 {
				return c
			}
		}
	}
	return 0
}

func (e *Encoder) pointer(v reflect.Value) {
	if v.IsNil() {
		e.Uint(0)
		return
	}
	key := identity{v.UnsafePointer(), v.Type()}
	if id, ok := e.ids[key]; ok {
		e.Uint(id + 1)
		return
	}
	e.ids[key] = uint64(len(e.ids)) + 1
	e.Uint(1)
	e.value(v.Elem())
}

// Decoder reads what an Encoder wrote. Its first error stays and is given by Err; what is read after it is
// zero.
type Decoder struct {
	r     *bufio.Reader
	frame []byte // what is left of it
	buf   []byte
	known []reflect.Value
	err   error
	ended bool
}

// NewDecoder makes a Decoder.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{r: bufio.NewReader(r)} }

// Known is as in Encoder.
func (d *Decoder) Known(p any) { d.known = append(d.known, reflect.ValueOf(p)) }

// Err is the first error.
func (d *Decoder) Err() error { return d.err }

// Decode reads into what the pointer points to.
func (d *Decoder) Decode(p any) error {
	d.value(reflect.ValueOf(p).Elem())
	return d.err
}

// Close tells whether everything was read and the end is the end.
func (d *Decoder) Close() error {
	if d.err == nil && len(d.frame) == 0 {
		d.next()
	}
	if d.err == nil && !d.ended {
		d.fail("more was written than is read")
	}
	return d.err
}

// Rest reads on behind the end mark, once Close has met it.
func (d *Decoder) Rest() io.Reader { return d.r }

func (d *Decoder) fail(why string) {
	if d.err == nil {
		d.err = fmt.Errorf("freeze: %w: %s", ErrCorrupt, why)
	}
}

// next reads a frame.
func (d *Decoder) next() {
	var head [12]byte
	if _, err := io.ReadFull(d.r, head[:]); err != nil {
		d.fail("a frame is missing: " + err.Error())
		return
	}
	n := binary.LittleEndian.Uint32(head[:])
	if head == [12]byte{} {
		d.ended = true
		return
	}
	if n == 0 || n > frameBytes {
		d.fail("the length of a frame is wrong")
		return
	}
	if d.buf == nil {
		d.buf = make([]byte, frameBytes)
	}
	if _, err := io.ReadFull(d.r, d.buf[:n]); err != nil {
		d.fail("a frame is cut short: " + err.Error())
		return
	}
	if xxh3.Hash(d.buf[:n]) != binary.LittleEndian.Uint64(head[4:]) {
		d.fail("the hash of a frame is wrong")
		return
	}
	d.frame = d.buf[:n]
}

// Raw fills b.
func (d *Decoder) Raw(b []byte) {
	for len(b) > 0 && d.err == nil {
		if len(d.frame) == 0 {
			if d.next(); d.ended {
				d.fail("it ends before the value does")
			}
			continue
		}
		n := copy(b, d.frame)
		b, d.frame = b[n:], d.frame[n:]
	}
	if d.err != nil {
		clear(b)
	}
}

// Uint reads a number.
func (d *Decoder) Uint() uint64 {
	var x uint64
	for shift := 0; shift < 64; shift += 7 {
		var b [1]byte
		d.Raw(b[:])
		x |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return x
		}
	}
	d.fail("a number is too large")
	return 0
}

// length reads a length; what follows is read in pieces, so that a wrong one runs into the end of the
// input and not out of memory.
func (d *Decoder) length() int {
	n := d.Uint()
	if n > 1<<40 {
		d.fail("a length is too large")
	}
	if d.err != nil {
		return 0
	}
	return int(n)
}

func (d *Decoder) value(v reflect.Value) {
	if d.err != nil {
		return
	}
	t := v.Type()
	if reflect.PointerTo(t).Implements(freezer) {
		v.Addr().Interface().(Freezer).Thaw(d)
		return
	}
	if Flat(t) {
		d.Raw(memory(v))
		return
	}
	switch t.Kind() {
	case reflect.String:
		b := make([]byte, d.length())
		d.Raw(b)
		v.SetString(string(b))
	case reflect.Slice:
		n := d.length()
		if n == 0 {
			v.SetZero()
			return
		}
		v.Set(reflect.MakeSlice(t, n-1, n-1))
		d.elements(v)
	case reflect.Array:
		d.elements(v)
	case reflect.Struct:
		for i := range t.NumField() {
			d.value(open(v.Field(i)))
		}
	case reflect.Map:
		n := d.length()
		if n == 0 {
			v.SetZero()
			return
		}
		v.Set(reflect.MakeMapWithSize(t, n-1))
		for range n - 1 {
			k, x := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			d.value(k)
			d.value(x)
			if d.err != nil {
				return
			}
			v.SetMapIndex(k, x)
		}
	case reflect.Pointer:
		if !code(t.Elem()) {
			d.pointer(v)
		}
	}
}

func (d *Decoder) elements(v reflect.Value) {
	if t := v.Type().Elem(); Flat(t) && !reflect.PointerTo(t).Implements(freezer) {
		if v.Len() > 0 {
			d.Raw(unsafe.Slice((*byte)(v.Index(0).Addr().UnsafePointer()), v.Len()*int(t.Size())))
		}
		return
	}
	for i := range v.Len() {
		d.value(v.Index(i))
	}
}

func (d *Decoder) pointer(v reflect.Value) {
	switch id := d.Uint(); {
	case d.err != nil:
	case id == 0:
		v.SetZero()
	case id == 1:
		p := reflect.New(v.Type().Elem())
		d.known = append(d.known, p)
		d.value(p.Elem())
		v.Set(p)
	case id-2 < uint64(len(d.known)) && d.known[id-2].Type() == v.Type():
		v.Set(d.known[id-2])
	default:
		d.fail("a pointer to nothing")
	}
}

// code tells whether a type is a struct that holds a function.
func code(t reflect.Type) bool {
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if t.Field(i).Type.Kind() == reflect.Func {
				return true
			}
		}
	}
	return false
}

// open makes an unexported field one that may be read and set.
func open(f reflect.Value) reflect.Value {
	return reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem()
}

func memory(v reflect.Value) []byte {
	return unsafe.Slice((*byte)(v.Addr().UnsafePointer()), v.Type().Size())
}

// Flat tells whether a type holds no pointer and nothing that writes itself, so that its memory is all
// there is to it.
func Flat(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(freezer) {
		return false
	}
	switch t.Kind() {
	case reflect.Array:
		return Flat(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !Flat(t.Field(i).Type) {
				return false
			}
		}
		return true
	case reflect.Pointer, reflect.Slice, reflect.String, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return false
	}
	return true
}

// Layout is a hash of how a type lies in memory, names and all that it refers to included: where it is the
// same in two builds, what one wrote the other can read.
func Layout(t reflect.Type) uint64 {
	var b strings.Builder
	seen := map[reflect.Type]bool{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		fmt.Fprintf(&b, "%v %v %d;", t, t.Kind(), t.Size())
		if seen[t] {
			return
		}
		seen[t] = true
		switch t.Kind() {
		case reflect.Struct:
			for i := range t.NumField() {
				f := t.Field(i)
				fmt.Fprintf(&b, "%s %d:", f.Name, f.Offset)
				walk(f.Type)
			}
		case reflect.Map:
			walk(t.Key())
			walk(t.Elem())
		case reflect.Array, reflect.Slice, reflect.Pointer:
			walk(t.Elem())
		}
	}
	walk(t)
	return xxh3.HashString(b.String())
}
