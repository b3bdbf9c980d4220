package detectors

import (
	"cmp"
	"math"
	"slices"

	vw "voucherwatch"
)

// ringPlace is a merchant as the overlap null sees it.
type ringPlace struct {
	id       string
	key      uint64
	category vw.Category
	located  bool
	x, y     float64 // metres, in any plane
}

// ringNull says how many customers two merchants would share if people chose as they usually do.
//
// Each customer of merchant a and of n-1 others is n-1 ends of shared visits at a; let D_a be all of them
// and T their sum. Given every customer's and every merchant's number of ends, a chance pairing gives a
// and b D_a·D_b/T shared customers: vouchers are limited per person and round, and that limit is in
// the D already. On top, neighbours and lines of business share more: a factor per distance bin and
// pair of categories, learned from the customers who are not odd, with every count cut at what the
// null finds credible, so that rings do not teach it. Distance is not all: the two inns of a remote
// valley share its people, at ten kilometres. So merchants are put into zones of about ten neighbours,
// and a pair is measured by how much the other merchants of its two zones share. The counts spread as a
// negative binomial whose size is learned per distance bin by maximum likelihood.
//
// Odd customers are few, and if they chose as others do a and b share (S_a·D_b + S_b·D_a)/2T of them, times
// the same factors, where S are the ends of odd customers: a thinned count of the same spread.
//
// The fit looks at a share of the pairs and is made anew when the campaign has doubled.
// Source: detection.md D3b; the chance pairing is the configuration model (Newman 2010, §13.2).
type ringNull struct {
	places []ringPlace // of the last run
	ends   []float64   // D, of the last run
	crowd  float64     // T
	factor [ringBins][ringCategoryPairs]float64
	size   [ringBins]float64
	cuts   []zoneCut
	zone   []int // of each place
	count  int   // of zones; the last is that of places unknown
	// zones holds, for each pair of zones, by how much more or less their merchants share than the factors say.
	zones []float64
	// inflation divides every -ln p when the tail of the observed is heavier than the null's.
	inflation float64
	fitted    float64 // T at the last fit
	stride    int     // the fit looks at pairs whose indexes are equal modulo stride
	keys      []uint32
	spare     []uint32
	seen      []fitPair
}

// zoneCut halves a piece of the map: at or beyond at lies over, else under. Negative ones are -1-zone.
type zoneCut struct {
	east        bool
	at          float64
	under, over int
}

const (
	// Distance doubles from bin to bin: below 62.5 m, …, above 16 km; the last is "place unknown".
	ringBins          = 11
	ringUnknown       = ringBins - 1
	ringCategoryPairs = int(vw.Categories) * int(vw.Categories)
	ringShrink        = 20.0    // expected shared customers that the wider group counts for in a factor
	zoneSize          = 10      // merchants in a zone, about
	zoneShrink        = 5.0     // expected shared customers that distance counts for against the zones
	fitPairs          = 120_000 // pairs enough to fit by
	ringCells         = 80      // bins of the mean, four to a factor of two
	ringCounts        = 64      // counts told apart when r is fitted
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

// affinity is how much more than chance the pair shares.
func (n *ringNull) affinity(a, b int) float64 {
	return n.factor[n.bin(a, b)][n.pair(a, b)] * n.zones[n.zonePair(a, b)]
}

// mean is the expected number of shared customers among those that are not odd.
func (n *ringNull) mean(a, b int) float64 {
	if n.crowd == 0 {
		return 0
	}
	return n.affinity(a, b) * n.ends[a] * n.ends[b] / n.crowd
}

// meanOdd is the expected number among the odd of a crowd. Each merchant has one end more than was seen: a
// new one is not known to have none.
func (n *ringNull) meanOdd(a, b int, c *ringCrowd) float64 {
	odd := c.ends
	if n.crowd == 0 {
		return 0
	}
	return n.affinity(a, b) * (odd[a]*(n.ends[b]+odd[b]+1) + odd[b]*(n.ends[a]+odd[a]+1)) / (2 * (n.crowd + c.total))
}

// credible is a count, cut where the null with that mean hardly ever goes.
func (n *ringNull) credible(k, mean float64, bin int) float64 {
	if k <= mean {
		return k
	}
	spread := mean
	if !math.IsInf(n.size[bin], 1) {
		spread += mean * mean / n.size[bin]
	}
	return min(k, math.Ceil(mean+4*math.Sqrt(spread))+1)
}

func (n *ringNull) zonePair(a, b int) int {
	y, z := n.zone[a], n.zone[b]
	return max(y, z)*(max(y, z)+1)/2 + min(y, z)
}

// partition cuts the map at the median of its longer side until a zone has about zoneSize merchants.
func (n *ringNull) partition() {
	n.cuts, n.count = n.cuts[:0], 0
	var located []int
	for i := range n.places {
		if n.places[i].located {
			located = append(located, i)
		}
	}
	var cut func(in []int) int
	cut = func(in []int) int {
		if 2*len(in) < 3*zoneSize {
			n.count++
			return -n.count
		}
		at := func(i int, east bool) float64 {
			if east {
				return n.places[i].x
			}
			return n.places[i].y
		}
		span := func(east bool) float64 {
			low, high := math.Inf(1), math.Inf(-1)
			for _, i := range in {
				low, high = min(low, at(i, east)), max(high, at(i, east))
			}
			return high - low
		}
		east := span(true) >= span(false)
		slices.SortFunc(in, func(i, j int) int { return cmp.Or(cmp.Compare(at(i, east), at(j, east)), i-j) })
		here := len(n.cuts)
		n.cuts = append(n.cuts, zoneCut{east: east, at: at(in[len(in)/2], east)})
		under := cut(in[:len(in)/2])
		over := cut(in[len(in)/2:])
		n.cuts[here].under, n.cuts[here].over = under, over
		return here
	}
	cut(located)
	n.count++
}

// locate finds the zone of every place.
func (n *ringNull) locate() {
	n.zone = grow(n.zone, len(n.places))
	for i := range n.places {
		p := &n.places[i]
		at := 0
		switch {
		case !p.located:
			at = -n.count
		case len(n.cuts) == 0:
			at = -1
		}
		for at >= 0 {
			c := &n.cuts[at]
			if x := p.y; c.east && p.x >= c.at || !c.east && x >= c.at {
				at = c.over
			} else {
				at = c.under
			}
		}
		n.zone[i] = -1 - at
	}
}

// fit learns factors, zones and sizes. n.keys are the ringIndexes of the shared visits of customers who
// are not odd, as far as the fit looks at them.
func (n *ringNull) fit() {
	sortKeys(&n.keys, &n.spare)
	for b := range n.factor {
		n.size[b] = math.Inf(1)
		for c := range n.factor[b] {
			n.factor[b][c] = 1
		}
	}
	n.zones, n.fitted = nil, n.crowd
	n.partition()
	n.locate()
	n.look()
	n.factors(false)
	n.factors(true)
	zones := make([]zoneShare, n.count*(n.count+1)/2)
	for i := range n.seen {
		p := &n.seen[i]
		mean := n.factor[p.bin][p.line] * p.chance
		z := &zones[p.zones]
		z.seen += n.credible(float64(p.shared), mean, int(p.bin))
		z.mean += mean
	}
	ratio := make([]float64, len(zones))
	for i, z := range zones {
		ratio[i] = (z.seen + zoneShrink) / (z.mean + zoneShrink)
	}
	n.zones = ratio
	cells := new([ringBins][ringCells][ringCounts]int64)
	for i := range n.seen {
		p := &n.seen[i]
		mean := n.factor[p.bin][p.line] * n.zones[p.zones] * p.chance
		cells[p.bin][ringCell(mean)][min(int(n.credible(float64(p.shared), mean, int(p.bin))), ringCounts-1)]++
	}
	for bin := range cells {
		n.size[bin] = fitSize(func(f func(mean float64, k int, pairs int64)) {
			for i := range cells[bin] {
				for k, pairs := range cells[bin][i] {
					if pairs > 0 {
						f(ringCellMean(i), k, pairs)
					}
				}
			}
		})
	}
	n.inflation = 1
	n.inflation = n.inflate()
}

// fitPair is a pair that the fit looks at: what it shares, and what chance pairs it by.
type fitPair struct {
	chance float64
	zones  int32
	shared uint16
	bin    uint8
	line   uint8 // pair of categories
}

// look lists the pairs to fit by.
func (n *ringNull) look() {
	n.seen = n.seen[:0]
	next := 0
	for b := 1; b < len(n.places); b++ {
		e := n.ends[b] / n.crowd
		for a := b % n.stride; a < b; a += n.stride {
			k := 0
			for i := uint32(ringIndex(a, b)); next < len(n.keys) && n.keys[next] <= i; next++ {
				k++
			}
			if chance := n.ends[a] * e; chance > 0 {
				n.seen = append(n.seen, fitPair{chance, int32(n.zonePair(a, b)), uint16(min(k, math.MaxUint16)), uint8(n.bin(a, b)), uint8(n.pair(a, b))})
			}
		}
	}
}

type zoneShare struct{ seen, mean float64 }

// factors learns them; cut limits each count to what the factors so far find credible.
func (n *ringNull) factors(cut bool) {
	var seen, base [ringBins][ringCategoryPairs]float64
	for i := range n.seen {
		p := &n.seen[i]
		count := float64(p.shared)
		if cut {
			count = n.credible(count, n.factor[p.bin][p.line]*p.chance, int(p.bin))
		}
		seen[p.bin][p.line] += count
		base[p.bin][p.line] += p.chance
	}
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
}

// ringCell bins a mean by exponent and two bits of its fraction: below 2^-14 is cell 0.
func ringCell(mean float64) int {
	return min(max(int(math.Float64bits(mean)>>50)-(1023-14)<<2, 0), ringCells-1)
}

func ringCellMean(i int) float64 { return math.Ldexp(1+(float64(i&3)+.5)/4, i>>2-14) }

// strides is how far apart the merchants are whose pairs the fit looks at.
func strides(places int) int { return max(1, places*(places-1)/2/fitPairs) }

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

// inflate compares the evidence of the pair at the upper 0.5 % with what chance gives there: rings are
// far fewer than that, so what is above one is the null's own fault (the empirical null of Efron 2004,
// used as genomic control is).
func (n *ringNull) inflate() float64 {
	above := func(f func(p *fitPair, mean float64)) {
		for i := range n.seen {
			p := &n.seen[i]
			if mean := n.factor[p.bin][p.line] * n.zones[p.zones] * p.chance; p.shared >= 2 && float64(p.shared) > 2*mean {
				f(p, mean)
			}
		}
	}
	count, rank := 0, int(ringTail*float64(len(n.seen)))
	above(func(*fitPair, float64) { count++ })
	if rank < 1 || rank >= count {
		return 1
	}
	tails := make([]float64, 0, count)
	above(func(p *fitPair, mean float64) { tails = append(tails, n.tail(int(p.shared), mean, n.size[p.bin])) })
	slices.Sort(tails)
	return max(1, tails[len(tails)-1-rank]/-math.Log(ringTail))
}

// tail is -ln P(k or more).
func (n *ringNull) tail(k int, mean, size float64) float64 {
	p := 0.0
	if math.IsInf(size, 1) {
		p = poissonTail(k, mean)
	} else {
		p = negBinomialTail(k, mean, size)
	}
	return -math.Log(max(p, 1e-300)) / n.inflation
}

// sortKeys sorts by the digits, eleven bits at a time.
func sortKeys(keys, spare *[]uint32) {
	*spare = grow(*spare, len(*keys))
	from, to := *keys, *spare
	for shift := 0; shift < 33; shift += 11 {
		var at [1<<11 + 1]int32
		for _, k := range from {
			at[(k>>shift&(1<<11-1))+1]++
		}
		for i := range at[1:] {
			at[i+1] += at[i]
		}
		for _, k := range from {
			d := k >> shift & (1<<11 - 1)
			to[at[d]] = k
			at[d]++
		}
		from, to = to, from
	}
	*keys, *spare = from, to
}
