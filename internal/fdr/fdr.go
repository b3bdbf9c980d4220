// Package fdr picks findings so that the number of false ones among them is a setting.
//
// It works on e-values: statistics that are 0 or more and, where nothing is wrong, 1 on average at most.
// A likelihood ratio against a right null is one; so is FromP of a p-value. Findings of one day share
// customers, merchants and weather, so both rules hold under any dependence. They hold only as far as
// the e-values do, and only for those of one moment: the maximum of an e-value over time is none.
//
// In: e-values and the number of subjects that were looked at. Out: the indices of those to act on.
package fdr

import (
	"cmp"
	"math"
	"slices"
)

// FromP turns a p-value into an e-value, 1/(2√p). For p < 1e-300 it stands still.
func FromP(p float64) float64 { return .5 / math.Sqrt(max(p, 1e-300)) }

// ByShare picks so many that at most the share alpha of them is false on average (e-BH, Wang and Ramdas
// 2022): the k largest, k being the most for which the k-th is at least tests/(alpha·k). tests counts
// everything that was looked at, those without an e-value included, and is at least len(e).
func ByShare(e []float64, tests int, alpha float64) []int {
	order := descending(e)
	for k := len(order); k > 0; k-- {
		if e[order[k-1]]*alpha*float64(k) >= float64(max(tests, len(e))) {
			return order[:k]
		}
	}
	return nil
}

// ByCount picks those of tests/expected and more, so that on average at most expected of them are false.
// By Markov's inequality each of the tests passes by chance with at most expected/tests.
func ByCount(e []float64, tests int, expected float64) []int {
	order := descending(e)
	n := 0
	for n < len(order) && e[order[n]]*expected >= float64(max(tests, len(e))) {
		n++
	}
	return order[:n]
}

// descending are the indices by value, largest first, equals in order, what is no number last: it is
// never picked.
func descending(e []float64) []int {
	order := make([]int, len(e))
	for i := range e {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(e[b], e[a]) })
	return order
}
