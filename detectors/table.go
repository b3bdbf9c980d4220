package detectors

import (
	"math/bits"
	"reflect"
	"unsafe"
)

// Table is keyed state: open addressing with linear probing over slots that hold key and value side
// by side, so that one access is one cache miss and the garbage collector finds nothing to scan as
// long as V holds no pointer. Keys are hashes and never 0. One goroutine owns a table.
//
// Size is bounded by its owner, who calls Sweep at event-time boundaries with what is still inside
// the horizon.
type Table[V any] struct {
	slots []entry[V]
	pages *mapping // of slots, when they are outside the Go heap
	n     int
	shift uint8
}

type entry[V any] struct {
	key uint64
	val V
}

const tableMin = 64

// spread is Fibonacci hashing: keys are well mixed already, but tables of one slot hold only keys
// that agree in the bits that chose the slot.
func spread(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 }

// Len is the number of live keys.
func (t *Table[V]) Len() int { return t.n }

// Bytes is the memory held, in bytes per slot times slots.
func (t *Table[V]) Bytes(slot int) int { return len(t.slots) * slot }

// Touch reads the key's first slot so that its cache line is on the way when Get comes. The result
// only keeps the compiler from dropping the read.
func (t *Table[V]) Touch(key uint64) uint64 {
	if len(t.slots) == 0 {
		return 0
	}
	s := &t.slots[spread(key)>>t.shift]
	if unsafe.Sizeof(*s) > 64 {
		return s.key + uint64(*(*byte)(unsafe.Add(unsafe.Pointer(s), 64)))
	}
	return s.key
}

// Find is the value of a key, or nil. The pointer is good until the next Get or Sweep.
func (t *Table[V]) Find(key uint64) *V {
	if len(t.slots) == 0 {
		return nil
	}
	mask := uint64(len(t.slots) - 1)
	for i := spread(key) >> t.shift; ; i = (i + 1) & mask {
		s := &t.slots[i&mask]
		if s.key == key {
			return &s.val
		}
		if s.key == 0 {
			return nil
		}
	}
}

// Get is the value of a key, made zero if the key is new. The pointer is good until the next Get or
// Sweep.
func (t *Table[V]) Get(key uint64) (v *V, isNew bool) {
	if 4*(t.n+1) > 3*len(t.slots) {
		t.resize(max(tableMin, 2*len(t.slots)))
	}
	mask := uint64(len(t.slots) - 1)
	for i := spread(key) >> t.shift; ; i = (i + 1) & mask {
		s := &t.slots[i&mask]
		if s.key == key {
			return &s.val, false
		}
		if s.key == 0 {
			s.key = key
			t.n++
			return &s.val, true
		}
	}
}

// Sweep keeps the entries that keep says yes to, and gives memory back when few are left. keep may
// change the value; the order of calls is not defined.
func (t *Table[V]) Sweep(keep func(key uint64, v *V) bool) {
	live := 0
	for i := range t.slots {
		if s := &t.slots[i]; s.key != 0 {
			if keep(s.key, &s.val) {
				live++
			} else {
				s.key = 0 // probing is broken until the rebuild below
			}
		}
	}
	if live == t.n {
		return
	}
	size := len(t.slots)
	for size > tableMin && 4*live < size {
		size /= 2
	}
	t.resize(size)
}

// Each calls f for every entry, in no defined order.
func (t *Table[V]) Each(f func(key uint64, v *V)) {
	for i := range t.slots {
		if s := &t.slots[i]; s.key != 0 {
			f(s.key, &s.val)
		}
	}
}

// Clear drops every entry and keeps the memory.
func (t *Table[V]) Clear() {
	clear(t.slots)
	t.n = 0
}

func (t *Table[V]) resize(size int) {
	old, oldPages := t.slots, t.pages
	t.slots, t.pages = newSlots[V](size)
	t.shift = uint8(64 - bits.TrailingZeros(uint(size)))
	t.n = 0
	mask := uint64(size - 1)
	for i := range old {
		if old[i].key == 0 {
			continue
		}
		for j := spread(old[i].key) >> t.shift; ; j = (j + 1) & mask {
			if s := &t.slots[j]; s.key == 0 {
				*s = old[i]
				t.n++
				break
			}
		}
	}
	oldPages.free()
}

// newSlots makes zeroed slots, in large pages when they are many.
func newSlots[V any](size int) ([]entry[V], *mapping) {
	bytes := uintptr(size) * unsafe.Sizeof(entry[V]{})
	if bytes >= hugeBytes && pointerFree(reflect.TypeFor[V]()) {
		if m := newPages(bytes); m != nil {
			return unsafe.Slice((*entry[V])(m.base()), size), m
		}
	}
	return make([]entry[V], size), nil
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
