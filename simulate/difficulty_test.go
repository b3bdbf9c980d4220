package simulate

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"testing"
)

// scored is one entity, what a naive rule says of it and what it is.
type scored struct {
	score float64
	fraud bool
}

// averagePrecision steps over groups of equal scores, so that ties cannot flatter.
func averagePrecision(all []scored) float64 {
	slices.SortFunc(all, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	total := 0
	for _, s := range all {
		if s.fraud {
			total++
		}
	}
	ap, hits := 0.0, 0
	for i := 0; i < len(all); {
		j, found := i, 0
		for ; j < len(all) && all[j].score == all[i].score; j++ {
			if all[j].fraud {
				found++
			}
		}
		hits += found
		ap += float64(found) / float64(total) * float64(hits) / float64(j)
		i = j
	}
	return ap
}

func thresholdOf(code string) int64 {
	for _, v := range gaoping().Vouchers {
		if v.Code == code {
			return int64(v.Threshold)
		}
	}
	return 0
}

// naive are the classic rules. A world in which they find nothing, or everything, tells nothing about
// better ones (the gate of detection.md §3).
func naive(events []event, l truth) map[string]float64 {
	type basket struct{ merchant, customer, day string }
	baskets, pairs := map[basket][]event{}, map[[2]string]int{}
	near, all := map[string]float64{}, map[string]float64{}
	split, pair, cash := map[basket]bool{}, map[[2]string]bool{}, map[string]bool{}
	for _, e := range events {
		if e.Type != "redemption" || e.VoucherType == "love" {
			continue
		}
		b, p := basket{e.Merchant, e.Customer, e.At[:10]}, [2]string{e.Merchant, e.Customer}
		if x := l.Redemptions[e.ID]; x.Typology == "split-accounts" {
			b.customer = x.Session // one basket of several people, out of this rule's sight
		}
		baskets[b] = append(baskets[b], e)
		pairs[p]++
		all[e.Merchant]++
		if t := thresholdOf(e.VoucherType); e.Order >= t && e.Order*100 <= t*101 {
			near[e.Merchant]++
		}
		switch l.Redemptions[e.ID].Family {
		case "split":
			split[b] = true
		case "pair_ring":
			pair[p] = true
		case "cashout":
			cash[e.Merchant] = true
		}
	}
	var s, c, r []scored
	for b, es := range baskets {
		gap := math.Inf(1)
		for i := range es {
			for j := range i {
				if es[i].Customer == es[j].Customer {
					gap = min(gap, math.Abs(es[i].when.Sub(es[j].when).Minutes()))
				}
			}
		}
		score := 0.0
		if gap <= 30 {
			score = 1
		}
		s = append(s, scored{score, split[b]})
	}
	hits, sum := 0.0, 0.0
	for m, n := range all {
		hits, sum = hits+near[m], sum+n
	}
	pooled := hits / sum
	for m, n := range all {
		if n >= 10 {
			c = append(c, scored{(near[m]/n - pooled) / math.Sqrt(pooled*(1-pooled)/n), cash[m]})
		}
	}
	for p, n := range pairs {
		r = append(r, scored{float64(n), pair[p]})
	}
	return map[string]float64{"same pair within 30 min": averagePrecision(s), "within 1 % above the threshold": averagePrecision(c), "pair count": averagePrecision(r)}
}

func TestNaiveRulesAreNeitherUselessNorEnough(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		events, l := world1(t, seed)
		var says []string
		for rule, ap := range naive(events, l) {
			says = append(says, rule)
			t.Logf("seed %d: %s: %.3f", seed, rule, ap)
			if ap < .10 || ap > .65 {
				t.Errorf("seed %d: AP of %q is %.3f, want .10 to .65", seed, rule, ap)
			}
		}
		if len(says) != 3 {
			t.Errorf("rules: %s", strings.Join(says, ", "))
		}
	}
}
