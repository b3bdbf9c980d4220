package detectors

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// ringGroup is a set of merchants that share more households than chance explains.
type ringGroup struct {
	merchants []int // sorted
	seed      [2]int
	tree      []ringLink // the spanning tree it was grown along, strongest link first
	evidence  float64    // sum of -ln p over the tree
	// chance is the natural logarithm of how many groups as strong are expected by chance.
	chance float64
}

type ringLink struct {
	a, b     int
	surprise float64
}

// lnChance is the logarithm of the expected number of groups of m among n merchants whose spanning tree
// reaches the evidence by chance: the number of trees on all choices of m merchants, C(n,m)·m^(m-2)
// (Cayley), times the upper tail of a sum of m-1 exponentials. It prices the search in, so that a group
// of four needs more evidence than a pair, but less per link.
func lnChance(n, m int, evidence float64) float64 {
	tail := mathext.GammaIncRegComp(float64(m-1), evidence)
	lnTail := math.Log(tail)
	if tail < 1e-280 { // leading term: x^(m-2) e^-x / (m-2)!
		l, _ := math.Lgamma(float64(m - 1))
		lnTail = float64(m-2)*math.Log(evidence) - evidence - l
	}
	return lchoose(n, m) + float64(m-2)*math.Log(float64(m)) + lnTail
}

// growRings joins merchants along their links, strongest first, as long as the whole is less likely to
// be chance than its parts are, alone and together.
func growRings(n *ringNull, links []ringLink) []ringGroup {
	active := 0
	for _, e := range n.ends {
		if e > 0 {
			active++
		}
	}
	slices.SortFunc(links, func(x, y ringLink) int {
		return cmp.Or(cmp.Compare(y.surprise, x.surprise), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
	group := make([]*ringGroup, len(n.places))
	of := func(a int) *ringGroup {
		if group[a] == nil {
			// Alone: no evidence, and as many of it as there are merchants.
			group[a] = &ringGroup{merchants: []int{a}, chance: math.Log(float64(active))}
		}
		return group[a]
	}
	for _, l := range links {
		x, y := of(l.a), of(l.b)
		if x == y {
			continue
		}
		m := len(x.merchants) + len(y.merchants)
		evidence := x.evidence + y.evidence + l.surprise
		chance := lnChance(active, m, evidence)
		if chance >= min(x.chance, y.chance, x.chance+y.chance) {
			continue
		}
		joined := &ringGroup{evidence: evidence, chance: chance}
		joined.tree = slices.Concat(x.tree, y.tree, []ringLink{l})
		slices.SortFunc(joined.tree, func(p, q ringLink) int {
			return cmp.Or(cmp.Compare(q.surprise, p.surprise), cmp.Compare(p.a, q.a), cmp.Compare(p.b, q.b))
		})
		joined.seed = [2]int{joined.tree[0].a, joined.tree[0].b}
		joined.merchants = slices.Concat(x.merchants, y.merchants)
		slices.Sort(joined.merchants)
		for _, a := range joined.merchants {
			group[a] = joined
		}
	}
	var rings []ringGroup
	for a, g := range group {
		if g != nil && len(g.merchants) > 1 && g.merchants[0] == a {
			rings = append(rings, *g)
		}
	}
	slices.SortStableFunc(rings, func(x, y ringGroup) int { return cmp.Compare(x.chance, y.chance) })
	return rings
}
