package detectors

import (
	"math/bits"
	"reflect"
	"unsafe"
)

// Table is keyed state: an index of 8 bytes a slot, open addressing with linear probing, over rows that
// lie one after another. So growth copies the index and (but for the first mebibyte) no row, rows are
// not padded by a load factor, and the garbage collector finds nothing to scan as long as V holds no
// pointer. An access is two cache misses, of the index and of the row; Touch takes both early. Keys are
// hashes and never 0. One goroutine owns a table.
//
// Size is bounded by its owner, who calls Sweep at event-time boundaries with what is still inside
// the horizon.
type Table[V any] struct {
	index  []uint64 // tag << 32 | row + 1; 0 is free. The tag is the high half of the spread key.
	pages  *mapping // of the index, when it is outside the Go heap
	shift  uint8    // 32 - log2(len(index)): what takes a tag to its first slot
	n      int      // rows in use: 0 to n-1
	peak   int      // most rows since the last Sweep
	held   int      // rows whose memory was touched
	chunks []chunk[V]
}

type row[V any] struct {
	key uint64
	val V
}

type chunk[V any] struct {
	rows  []row[V]
	pages *mapping
}

const (
	indexMin   = 64
	chunkBytes = 16 << 20 // of virtual memory; what is not used is not resident
	heapBytes  = 1 << 20  // what is larger lives outside the Go heap
)

// spread is Fibonacci hashing: keys are well mixed already, but tables of one slot hold only keys
// that agree in the bits that chose the slot.
func spread(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 }

// Len is the number of live keys.
func (t *Table[V]) Len() int { return t.n }

// Bytes is the memory held, by the index and by the rows in use now or before.
func (t *Table[V]) Bytes() int { return 8*len(t.index) + t.held*int(unsafe.Sizeof(row[V]{})) }

// chunkBits is log2 of the rows in a chunk.
func (t *Table[V]) chunkBits() uint {
	return uint(bits.Len(chunkBytes/uint(unsafe.Sizeof(row[V]{}))) - 1)
}

func (t *Table[V]) row(i uint32) *row[V] {
	b := t.chunkBits()
	return &t.chunks[i>>b].rows[i&(1<<b-1)]
}

// Touch reads the key's row so that its cache lines are on the way when Get comes. The result only
// keeps the compiler from dropping the read.
func (t *Table[V]) Touch(key uint64) uint64 {
	if len(t.index) == 0 {
		return 0
	}
	mask := uint32(len(t.index) - 1)
	tag := uint32(spread(key) >> 32)
	for i := tag >> t.shift; ; i++ {
		switch s := t.index[i&mask]; {
		case s == 0:
			return 0
		case uint32(s>>32) == tag:
			r := t.row(uint32(s) - 1)
			if unsafe.Sizeof(*r) > 64 {
				return r.key + uint64(*(*byte)(unsafe.Add(unsafe.Pointer(r), 64)))
			}
			return r.key
		}
	}
}

// Find is the value of a key, or nil. The pointer is good until the next Sweep or Clear.
func (t *Table[V]) Find(key uint64) *V {
	if len(t.index) == 0 {
		return nil
	}
	mask := uint32(len(t.index) - 1)
	tag := uint32(spread(key) >> 32)
	for i := tag >> t.shift; ; i++ {
		s := t.index[i&mask]
		if s == 0 {
			return nil
		}
		if uint32(s>>32) == tag {
			if r := t.row(uint32(s) - 1); r.key == key {
				return &r.val
			}
		}
	}
}

// Get is the value of a key, made zero if the key is new. The pointer is good until the next Get that
// makes a key, Sweep or Clear.
func (t *Table[V]) Get(key uint64) (v *V, isNew bool) {
	if 4*(t.n+1) > 3*len(t.index) {
		t.grow()
	}
	mask := uint32(len(t.index) - 1)
	tag := uint32(spread(key) >> 32)
	i := tag >> t.shift
	for ; ; i++ {
		s := t.index[i&mask]
		if s == 0 {
			break
		}
		if uint32(s>>32) == tag {
			if r := t.row(uint32(s) - 1); r.key == key {
				return &r.val, false
			}
		}
	}
	t.index[i&mask] = uint64(tag)<<32 | uint64(t.n+1)
	r := t.add()
	*r = row[V]{key: key}
	return &r.val, true
}

// add is a row more.
func (t *Table[V]) add() *row[V] {
	b := t.chunkBits()
	c, i := t.n>>b, t.n&(1<<b-1)
	if c == len(t.chunks) {
		t.chunks = append(t.chunks, chunk[V]{})
	}
	if i == len(t.chunks[c].rows) {
		t.enlarge(c)
	}
	t.n++
	t.held = max(t.held, t.n)
	return &t.chunks[c].rows[i]
}

// enlarge makes room in a chunk: the first one doubles while it is small, the others come whole.
func (t *Table[V]) enlarge(c int) {
	whole, old := 1<<t.chunkBits(), t.chunks[c].rows
	want := max(8, 2*len(old))
	if c > 0 || want >= whole || want*int(unsafe.Sizeof(row[V]{})) > heapBytes {
		want = whole
	}
	t.chunks[c].rows, t.chunks[c].pages = allocate[row[V]](want)
	copy(t.chunks[c].rows, old)
}

// grow doubles the index. The tags say where their slots are, so that no row is read.
func (t *Table[V]) grow() {
	old, pages := t.index, t.pages
	t.index, t.pages = nil, nil
	t.reindex(max(indexMin, 2*len(old)))
	for _, s := range old {
		if s != 0 {
			t.put(s)
		}
	}
	pages.free()
}

// reindex makes an empty index.
func (t *Table[V]) reindex(size int) {
	if size == len(t.index) {
		clear(t.index)
		return
	}
	t.pages.free()
	t.index, t.pages = allocate[uint64](size)
	t.shift = uint8(32 - bits.TrailingZeros(uint(size)))
}

func (t *Table[V]) put(s uint64) {
	mask := uint32(len(t.index) - 1)
	i := uint32(s>>32) >> t.shift
	for t.index[i&mask] != 0 {
		i++
	}
	t.index[i&mask] = s
}

// Sweep keeps the entries that keep says yes to, and gives memory back when less than half of it was
// needed since the last one: a table that is emptied every night does not grow anew every day. keep may
// change the value; the order of calls is not defined.
func (t *Table[V]) Sweep(keep func(key uint64, v *V) bool) {
	peak, live := max(t.peak, t.n), 0
	for i := range uint32(t.n) {
		r := t.row(i)
		if !keep(r.key, &r.val) {
			continue
		}
		if int(i) != live {
			*t.row(uint32(live)) = *r
		}
		live++
	}
	died := live != t.n
	t.n, t.peak = live, live
	t.shrink(peak, died)
}

// Clear drops every entry.
func (t *Table[V]) Clear() {
	peak, died := max(t.peak, t.n), t.n > 0
	t.n, t.peak = 0, 0
	t.shrink(peak, died)
}

// shrink gives back what a peak of rows does not need, and makes the index anew if rows have gone.
func (t *Table[V]) shrink(peak int, died bool) {
	size := len(t.index)
	for size > indexMin && 4*peak < size {
		size /= 2
	}
	if !died && size == len(t.index) {
		return
	}
	for len(t.chunks) > 1 && (len(t.chunks)-1)<<t.chunkBits() >= peak {
		last := len(t.chunks) - 1
		t.chunks[last].pages.free()
		t.chunks[last] = chunk[V]{}
		t.chunks = t.chunks[:last]
		t.held = min(t.held, last<<t.chunkBits())
	}
	if size == 0 {
		return
	}
	t.reindex(size)
	for i := range uint32(t.n) {
		t.put(spread(t.row(i).key)>>32<<32 | uint64(i+1))
	}
}

// Each calls f for every entry, in no defined order.
func (t *Table[V]) Each(f func(key uint64, v *V)) {
	for i := range uint32(t.n) {
		r := t.row(i)
		f(r.key, &r.val)
	}
}

// allocate makes zeroed memory: outside the Go heap where it is much and T has no
// pointers. Then it is the mapping's, and good until that is freed.
func allocate[T any](n int) ([]T, *mapping) {
	if size := n * int(unsafe.Sizeof(*new(T))); size > heapBytes && pointerFree(reflect.TypeFor[T]()) {
		if m := newPages(size); m != nil {
			return unsafe.Slice((*T)(m.base()), n), m
		}
	}
	return make([]T, n), nil
}

// pointerFree tells whether a type may live outside the Go heap.
func pointerFree(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return pointerFree(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !pointerFree(t.Field(i).Type) {
				return false
			}
		}
		return true
	case reflect.Pointer, reflect.Slice, reflect.String, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return false
	}
	return true
}

// pairKey is the key of an ordered pair of keys, never 0.
func pairKey(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xc2b2ae3d27d4eb4f)
	return max(hi^lo, 1)
}
