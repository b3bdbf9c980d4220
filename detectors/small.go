package detectors

import (
	"math/bits"
	"unsafe"
)

// Small is a Table for values of a word or two: key and value lie side by side in the slots, so that an
// access is one cache miss and a row of 16 bytes takes 25. It grows by half and not to the double, since
// the slots are all there is. Keys are hashes and never 0. One goroutine owns it.
type Small[V any] struct {
	slots []row[V]
	pages *mapping // of slots, when they are outside the Go heap
	n     int
	peak  int // most keys since the last Sweep
}

// Len is the number of live keys.
func (t *Small[V]) Len() int { return t.n }

// Bytes is the memory held.
func (t *Small[V]) Bytes() int { return len(t.slots) * int(unsafe.Sizeof(row[V]{})) }

// slot is where the search for a key begins.
func (t *Small[V]) slot(key uint64) int {
	hi, _ := bits.Mul64(spread(key), uint64(len(t.slots)))
	return int(hi)
}

// Touch reads the key's first slot so that its cache line is on the way when Get comes. The result
// only keeps the compiler from dropping the read.
func (t *Small[V]) Touch(key uint64) uint64 {
	if len(t.slots) == 0 {
		return 0
	}
	return t.slots[t.slot(key)].key
}

// probe is the slot of a key, or the free one where it would go. There is always a free one.
func (t *Small[V]) probe(key uint64) *row[V] {
	for i := t.slot(key); ; i++ {
		if i == len(t.slots) {
			i = 0
		}
		if s := &t.slots[i]; s.key == key || s.key == 0 {
			return s
		}
	}
}

// Find is the value of a key, or nil. The pointer is good until the next Get that makes a key, Sweep or
// Clear.
func (t *Small[V]) Find(key uint64) *V {
	if len(t.slots) == 0 {
		return nil
	}
	if s := t.probe(key); s.key != 0 {
		return &s.val
	}
	return nil
}

// Get is the value of a key, made zero if the key is new. The pointer is good until the next Get that
// makes a key, Sweep or Clear.
func (t *Small[V]) Get(key uint64) (v *V, isNew bool) {
	if 4*(t.n+1) > 3*len(t.slots) {
		t.resize(max(indexMin, len(t.slots)*3/2))
	}
	s := t.probe(key)
	if s.key != 0 {
		return &s.val, false
	}
	s.key = key
	t.n++
	return &s.val, true
}

// Sweep keeps the entries that keep says yes to, and gives memory back when less than half of it was
// needed since the last one. keep may change the value; the order of calls is not defined.
func (t *Small[V]) Sweep(keep func(key uint64, v *V) bool) {
	peak, live := max(t.peak, t.n), 0
	for i := range t.slots {
		if s := &t.slots[i]; s.key != 0 {
			if keep(s.key, &s.val) {
				live++
			} else {
				*s = row[V]{} // probing is broken until the rebuild below
			}
		}
	}
	t.peak = live
	if live == t.n {
		return
	}
	t.resize(t.fit(peak))
}

// Clear drops every entry.
func (t *Small[V]) Clear() {
	size := t.fit(max(t.peak, t.n))
	clear(t.slots)
	t.n, t.peak = 0, 0
	if size != len(t.slots) {
		t.resize(size)
	}
}

// fit is the size to go on with after a peak of keys: the present one, unless that is far too large.
func (t *Small[V]) fit(peak int) int {
	if size := max(indexMin, 2*peak); 2*size < len(t.slots) {
		return size
	}
	return len(t.slots)
}

// Each calls f for every entry, in no defined order.
func (t *Small[V]) Each(f func(key uint64, v *V)) {
	for i := range t.slots {
		if s := &t.slots[i]; s.key != 0 {
			f(s.key, &s.val)
		}
	}
}

// resize makes slots anew and puts in what is live.
func (t *Small[V]) resize(size int) {
	old, oldPages := t.slots, t.pages
	t.slots, t.pages = allocate[row[V]](size)
	t.n = 0
	for i := range old {
		if old[i].key != 0 {
			*t.probe(old[i].key) = old[i]
			t.n++
		}
	}
	oldPages.free()
}
