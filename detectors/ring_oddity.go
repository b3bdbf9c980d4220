package detectors

import (
	"math"

	vw "voucherwatch"
)

// ringOddity is how odd a customer is, as a log likelihood ratio in tenths: half of what their amounts
// say (Visit.Amount: made for the threshold, against the merchant's own habit; they depend on each other),
// and how unlikely their returns to each merchant are by the habit of its other customers and of the line of business. It
// only ranks: odd are the oddest, so that its scale does not matter. Nobody grows odd by redeeming often:
// what honest amounts and returns say is negative on average.
type ringOddity struct {
	// returns is -ln of the beta-binomial tail of k further days of n at one merchant, by category, in tenths.
	returns [vw.Categories][pairMax + 1][pairMax + 1]int16
	// habit is, by slot and number in the ledger, how much less returns say at a merchant that people return to:
	// once, not for every return, for whoever comes back at all comes back often.
	habit  [][]int16
	line   [][]uint8         // category, likewise
	counts [256]int32        // customers by oddity
	odd    [ringLevels]uint8 // least oddity of a level
}

const (
	// ringSize is how many of a merchant's most faithful customers may be a ring's: they do not make its habit.
	ringSize = 12
	oddZero  = 64           // patron.oddity of somebody with nothing for or against
	oddLeast = oddZero + 15 // nobody below is odd, however few there are
)

// learn counts, by merchant and category, the further days of customers and those spent there.
func (o *ringOddity) learn(slots []*ring, r *ringRun) {
	type days struct {
		further float64
		here    [pairMax + 1]int32 // customers, by further days spent here
	}
	byPlace := make([]days, len(r.places))
	rates := newPairRates()
	for slot, d := range slots {
		index := r.index[slot]
		d.env.Ledger.customers.Each(func(_ uint64, p *patron) {
			n := int(p.days) - 1
			if n < 1 {
				return
			}
			for i := range p.uses[:p.n] {
				if g := index[p.uses[i].place]; g > 0 {
					k := int(p.uses[i].days) - 1
					byPlace[g-1].further += float64(n)
					byPlace[g-1].here[min(max(0, k), pairMax)]++
					if k >= 1 && k <= n {
						rates.histogram[r.places[g-1].category][min(n, pairMax)][min(k, pairMax)]++
					}
				}
			}
		})
	}
	// Until a line of business has shown how its customers return, they return as rarely as all days say, as
	// burstily as in detection.md §0.1.
	var further, here [vw.Categories]float64
	for i := range byPlace {
		c := r.places[i].category
		further[c] += byPlace[i].further
		for k, n := range byPlace[i].here {
			here[c] += float64(k) * float64(n)
		}
	}
	for c := range further {
		mean := clip((here[c]+1)/(further[c]+10), .01, .5)
		rates.category[c].a, rates.category[c].b = .6*mean, .6*(1-mean)
	}
	rates.fit()
	const shrink = 20.0
	var base [vw.Categories]float64
	for c := range base {
		f := rates.category[c]
		base[c] = f.a / (f.a + f.b)
		for n := 1; n <= pairMax; n++ {
			for k := 2; k <= n; k++ {
				o.returns[c][n][k] = int16(10 * clip(-math.Log(max(betaBinomialTail(k, n, f.a, f.b), 1e-10)), 0, 12))
			}
		}
	}
	o.habit, o.line = grow(o.habit, len(slots)), grow(o.line, len(slots))
	for slot := range slots {
		index := r.index[slot]
		o.habit[slot], o.line[slot] = grow(o.habit[slot], len(index)), grow(o.line[slot], len(index))
		for i, g := range index {
			o.habit[slot][i], o.line[slot][i] = 0, 0
			if g > 0 {
				c := r.places[g-1].category
				x := &byPlace[g-1]
				here, leave := 0.0, int32(ringSize)
				for k := pairMax; k > 0; k-- {
					out := min(leave, x.here[k])
					leave -= out
					here += float64(k) * float64(x.here[k]-out)
				}
				own := (here + shrink*base[c]) / (x.further + shrink)
				o.habit[slot][i] = int16(10 * max(0, math.Log(own/base[c])))
				o.line[slot][i] = uint8(c)
			}
		}
	}
	clear(o.counts[:])
}

// rate says how odd a customer is.
func (o *ringOddity) rate(slot int, p *patron) {
	sum := 0
	n := min(int(p.days)-1, pairMax)
	for i := range p.uses[:p.n] {
		u := &p.uses[i]
		sum += int(u.amount) / 2
		if k := min(int(u.days)-1, n); k >= 1 {
			sum += max(0, int(o.returns[o.line[slot][u.place]][n][k])-int(o.habit[slot][u.place]))
		}
	}
	p.oddity = uint8(min(max(oddZero+sum, 1), 255))
	o.counts[p.oddity]++
}

// cut finds the levels: the oddest share of all.
func (o *ringOddity) cut(shares [ringLevels]float64) {
	all := 0
	for _, n := range o.counts {
		all += int(n)
	}
	above, at := 0, 256
	for level, share := range shares {
		for at > oddLeast && float64(above+int(o.counts[at-1])) <= share*float64(all) {
			at--
			above += int(o.counts[at])
		}
		o.odd[level] = uint8(min(at, 255))
	}
}

// level is how odd a customer is: 0 the oddest, ringLevels not at all.
func (o *ringOddity) level(p *patron) int {
	level := 0
	for level < ringLevels && p.oddity < o.odd[level] {
		level++
	}
	return level
}
