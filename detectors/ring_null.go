package detectors

import (
	"math"
	"slices"

	vw "voucherwatch"
)

// ringPlace is a merchant as the overlap null sees it.
type ringPlace struct {
	id       string
	name     string
	key      uint64
	category vw.Category
	located  bool
	x, y     float64 // metres, in any plane
}

// ringNull says how many households two merchants would share if customers chose as they usually do.
//
// Each household that is a customer of merchant a and of n-1 others is n-1 ends of shared visits at a;
// let D_a be all of them and T all shared visits. Given every customer's and every merchant's number of
// ends, a chance pairing gives a and b D_a·D_b/(2T) shared households: vouchers are limited per person
// and round, and that limit is in the D already. On top, neighbours and lines of business share more:
// a factor per distance bin and pair of categories, learned from the stream with every count cut at
// what the null finds credible, so that rings do not teach it. The counts spread as a negative binomial
// whose size is learned per distance bin by maximum likelihood.
//
// Source: detection.md D3b; the chance pairing is the configuration model (Newman 2010, §13.2).
type ringNull struct {
	places []ringPlace
	shared []uint16 // households shared by a < b, at ringIndex(a, b)
	ends   []float64
	total  float64 // T
	factor [ringBins][ringCategoryPairs]float64
	size   [ringBins]float64
	// inflation divides every -ln p when the tail of the observed is heavier than the null's.
	inflation float64
}

const (
	// Distance doubles from bin to bin: below 62.5 m, …, above 16 km; the last is "place unknown".
	ringBins          = 11
	ringUnknown       = ringBins - 1
	ringCategoryPairs = int(vw.Categories) * int(vw.Categories)
	ringShrink        = 20.0 // expected shared households that the wider group counts for in a factor
	ringCells         = 48   // bins of the mean, four to a factor of e
	ringCounts        = 64   // counts told apart when r is fitted
	ringTail          = 0.005
)

// ringIndex is where the pair a < b is in a triangle.
func ringIndex(a, b int) int { return b*(b-1)/2 + a }

func (n *ringNull) bin(a, b int) int {
	p, q := &n.places[a], &n.places[b]
	if !p.located || !q.located {
		return ringUnknown
	}
	dx, dy := p.x-q.x, p.y-q.y
	d2 := (dx*dx + dy*dy) / (62.5 * 62.5)
	if d2 < 1 {
		return 0
	}
	// The exponent of the square, halved, is the whole part of the distance's binary logarithm.
	return min(ringUnknown-1, 1+int(math.Float64bits(d2)>>52-1023)/2)
}

func (n *ringNull) pair(a, b int) int {
	c, d := n.places[a].category, n.places[b].category
	return int(min(c, d))*int(vw.Categories) + int(max(c, d))
}

// newRingNull fits the null to the counts. sets are the households' merchants, each sorted.
func newRingNull(places []ringPlace, sets [][]uint16) *ringNull {
	m := len(places)
	n := &ringNull{places: places, shared: make([]uint16, m*(m-1)/2), ends: make([]float64, m), inflation: 1}
	for _, s := range sets {
		for j := 1; j < len(s); j++ {
			for i := range j {
				if c := &n.shared[ringIndex(int(s[i]), int(s[j]))]; *c < math.MaxUint16 {
					*c++
				}
			}
		}
		for _, a := range s {
			n.ends[a] += float64(len(s) - 1)
		}
		n.total += float64(len(s)*(len(s)-1)) / 2
	}
	if n.total == 0 {
		return n
	}
	for b := range n.factor {
		n.size[b] = math.Inf(1)
		for c := range n.factor[b] {
			n.factor[b][c] = 1
		}
	}
	n.fit(false)
	n.fit(true)
	n.inflation = n.inflate()
	return n
}

// mean is the expected number of shared households and the size of the negative binomial.
func (n *ringNull) mean(a, b int) (mean, size float64) {
	bin := n.bin(a, b)
	return n.factor[bin][n.pair(a, b)] * n.ends[a] * n.ends[b] / (2 * n.total), n.size[bin]
}

// surprise is -ln of the chance to share as many households as a and b do, or more.
func (n *ringNull) surprise(a, b int) float64 {
	k := int(n.shared[ringIndex(a, b)])
	mean, size := n.mean(a, b)
	if float64(k) <= mean || k == 0 {
		return 0
	}
	p := 0.0
	if math.IsInf(size, 1) {
		p = poissonTail(k, mean)
	} else {
		p = negBinomialTail(k, mean, size)
	}
	return -math.Log(max(p, 1e-300)) / n.inflation
}

// fit learns factors and sizes from all pairs; cut limits each count to what the last fit finds
// credible.
func (n *ringNull) fit(cut bool) {
	var seen, base [ringBins][ringCategoryPairs]float64
	type cell struct{ pairs [ringCounts]int64 }
	cells := new([ringBins][ringCells]cell)
	n.eachPair(func(a, b, bin, pair int, chance float64) {
		k := float64(n.shared[ringIndex(a, b)])
		if mean := n.factor[bin][pair] * chance; cut && k > mean {
			spread := mean
			if !math.IsInf(n.size[bin], 1) {
				spread += mean * mean / n.size[bin]
			}
			k = min(k, math.Ceil(mean+4*math.Sqrt(spread))+1)
		}
		seen[bin][pair] += k
		base[bin][pair] += chance
	})
	for bin := range seen {
		sumSeen, sumBase := ringShrink, ringShrink
		for c := range seen[bin] {
			sumSeen, sumBase = sumSeen+seen[bin][c], sumBase+base[bin][c]
		}
		wide := sumSeen / sumBase
		for c := range seen[bin] {
			n.factor[bin][c] = (seen[bin][c] + ringShrink*wide) / (base[bin][c] + ringShrink)
		}
	}
	n.eachPair(func(a, b, bin, pair int, chance float64) {
		mean := n.factor[bin][pair] * chance
		k := float64(n.shared[ringIndex(a, b)])
		if cut {
			spread := mean
			if !math.IsInf(n.size[bin], 1) {
				spread += mean * mean / n.size[bin]
			}
			k = min(k, math.Ceil(mean+4*math.Sqrt(spread))+1)
		}
		cells[bin][ringCell(mean)].pairs[min(int(k), ringCounts-1)]++
	})
	for bin := range cells {
		n.size[bin] = fitSize(func(f func(mean float64, k int, pairs int64)) {
			for i := range cells[bin] {
				for k, pairs := range cells[bin][i].pairs {
					if pairs > 0 {
						f(ringCellMean(i), k, pairs)
					}
				}
			}
		})
	}
}

// ringCell bins a mean so that e^-8 (0.0003) and below is cell 0.
func ringCell(mean float64) int {
	return int(clip(math.Floor(4*(math.Log(mean)+8)), 0, ringCells-1))
}

func ringCellMean(i int) float64 { return math.Exp((float64(i)+.5)/4 - 8) }

func (n *ringNull) eachPair(f func(a, b, bin, pair int, chance float64)) {
	for b := 1; b < len(n.places); b++ {
		if n.ends[b] == 0 {
			continue
		}
		e := n.ends[b] / (2 * n.total)
		for a := range b {
			if n.ends[a] > 0 {
				f(a, b, n.bin(a, b), n.pair(a, b), n.ends[a]*e)
			}
		}
	}
}

// fitSize is the maximum-likelihood size of a negative binomial with known means, by golden section on
// its logarithm between 0.1 and 1000; 1000 is as good as Poisson. One pseudo-pair of the prior size 3
// per hundred keeps a bin with little to say from claiming to be regular.
func fitSize(each func(func(mean float64, k int, pairs int64))) float64 {
	likelihood := func(logSize float64) float64 {
		r := math.Exp(logSize)
		lr, _ := math.Lgamma(r)
		sum := -math.Pow(logSize-math.Log(3), 2) / 2
		each(func(mean float64, k int, pairs int64) {
			lk, _ := math.Lgamma(r + float64(k))
			sum += float64(pairs) * (lk - lr + r*math.Log(r/(r+mean)) + float64(k)*math.Log(mean/(r+mean)))
		})
		return sum
	}
	const golden = 0.6180339887498949
	low, high := math.Log(.1), math.Log(1000)
	x, y := high-golden*(high-low), low+golden*(high-low)
	fx, fy := likelihood(x), likelihood(y)
	for high-low > .02 {
		if fx > fy {
			high, y, fy = y, x, fx
			x = high - golden*(high-low)
			fx = likelihood(x)
		} else {
			low, x, fx = x, y, fy
			y = low + golden*(high-low)
			fy = likelihood(y)
		}
	}
	return math.Exp((low + high) / 2)
}

// inflate compares the surprise of the pair at the upper 0.5 % with what chance gives there: rings are
// far fewer than that, so what is above one is the null's own fault (the empirical null of Efron 2004,
// used as genomic control is).
func (n *ringNull) inflate() float64 {
	var top []float64
	pairs := 0
	n.eachPair(func(a, b, bin, pair int, chance float64) {
		pairs++
		k := float64(n.shared[ringIndex(a, b)])
		if mean := n.factor[bin][pair] * chance; k >= 2 && k > 2*mean {
			top = append(top, n.surprise(a, b))
		}
	})
	rank := int(ringTail * float64(pairs))
	if rank < 1 || rank >= len(top) {
		return 1
	}
	slices.Sort(top)
	return max(1, top[len(top)-1-rank]/-math.Log(ringTail))
}
