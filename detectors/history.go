package detectors

import (
	"cmp"
	"slices"

	vw "voucherwatch"
)

// history is what was in force when: a value per moment from which it holds, in order of time and not
// of arrival, so that a late redemption is judged by the rules of its own day. Histories are short
// (a merchant's registry rows, a price cap's changes).
type history[V any] []dated[V]

type dated[V any] struct {
	at  vw.Millis
	val V
}

// put adds a value that holds from at on. Of two with the same moment the one that came later wins.
func (h history[V]) put(at vw.Millis, v V) history[V] {
	i, _ := slices.BinarySearchFunc(h, at+1, func(d dated[V], t vw.Millis) int { return cmp.Compare(d.at, t) })
	return slices.Insert(h, i, dated[V]{at, v})
}

// on is the value in force at t; ok is false when t is before the first.
func (h history[V]) on(t vw.Millis) (v V, ok bool) {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].at <= t {
			return h[i].val, true
		}
	}
	return v, false
}
