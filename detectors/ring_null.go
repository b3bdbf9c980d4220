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
// what the null finds credible, so that rings do not teach it. Distance is not all: the two inns of a
// remote valley share its people, at ten kilometres. So merchants are put into zones of about ten
// neighbours, and a pair is measured by how much the other merchants of its two zones share. The counts
// spread as a negative binomial whose size is learned per distance bin by maximum likelihood.
//
// Source: detection.md D3b; the chance pairing is the configuration model (Newman 2010, §13.2).
type ringNull struct {
	byPlace [][]int32 // units by merchant, made when first asked for
	places  []ringPlace
	shared  []uint16 // households shared by a < b, at ringIndex(a, b)
	ends    []float64
	stride  int     // the fit looks at every stride-th pair
	total   float64 // T
	factor  [ringBins][ringCategoryPairs]float64
	size    [ringBins]float64
	zone    []int // of each merchant
	// zones holds, for each pair of zones, what their merchants share and what the factors expect.
	zones []zoneShare
	// partners counts the customers that a pair of merchants shares and that come to one of the two
	// unusually often; regular is, by merchant, the sum of their other merchants.
	partners Table[int32]
	regular  []float64
	// others are the ends that customers who are regulars nowhere have at each merchant, and one more;
	// crowd is their sum.
	others []float64
	crowd  float64
	// inflation divides every -ln p when the tail of the observed is heavier than the null's.
	inflation float64
}

type zoneShare struct{ seen, mean float64 }

const (
	// Distance doubles from bin to bin: below 62.5 m, …, above 16 km; the last is "place unknown".
	ringBins          = 11
	ringUnknown       = ringBins - 1
	ringCategoryPairs = int(vw.Categories) * int(vw.Categories)
	ringShrink        = 20.0    // expected shared households that the wider group counts for in a factor
	zoneSize          = 10      // merchants in a zone, about
	zoneShrink        = 5.0     // expected shared households that distance counts for against the zones
	fitPairs          = 400_000 // pairs enough to fit by
	ringCells         = 48      // bins of the mean, four to a factor of e
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

// newRingNull fits the null to the counts. sets are the households' merchants, each sorted.
func newRingNull(places []ringPlace, sets [][]uint16) *ringNull {
	m := len(places)
	n := &ringNull{places: places, shared: make([]uint16, m*(m-1)/2), ends: make([]float64, m), inflation: 1, stride: max(1, m*(m-1)/2/fitPairs)}
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
	n.partition()
	n.fit(false)
	n.fit(true)
	n.inflation = n.inflate()
	return n
}

// mean is the expected number of shared households and the size of the negative binomial.
func (n *ringNull) mean(a, b int) (mean, size float64) {
	bin := n.bin(a, b)
	return n.expect(a, b, bin, n.pair(a, b), n.ends[a]*n.ends[b]/(2*n.total)), n.size[bin]
}

// expect is the mean of a pair whose bin, categories and chance are known. What the pair itself added to
// its zones is taken out.
func (n *ringNull) expect(a, b, bin, pair int, chance float64) float64 {
	mean := n.factor[bin][pair] * chance
	if n.zones == nil {
		return mean
	}
	z := &n.zones[n.zonePair(a, b)]
	seen, usual := z.seen, z.mean
	if n.fitted(a, b) {
		seen -= n.credible(float64(n.shared[ringIndex(a, b)]), mean, bin)
		usual -= mean
	}
	return mean * (max(0, seen) + zoneShrink) / (max(0, usual) + zoneShrink)
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
// Those without a place are a zone of their own, the last.
func (n *ringNull) partition() {
	n.zone = make([]int, len(n.places))
	var located []int
	for i := range n.places {
		if n.places[i].located {
			located = append(located, i)
		}
	}
	zones := 0
	var cut func(in []int)
	cut = func(in []int) {
		if 2*len(in) < 3*zoneSize {
			for _, i := range in {
				n.zone[i] = zones
			}
			zones++
			return
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
		cut(in[:len(in)/2])
		cut(in[len(in)/2:])
	}
	cut(located)
	for i := range n.places {
		if !n.places[i].located {
			n.zone[i] = zones
		}
	}
}

// addPartners counts the customers who are regulars of one merchant and come to the other, too.
func (n *ringNull) addPartners(units []ringUnit, often int) {
	n.regular, n.others = make([]float64, len(n.places)), make([]float64, len(n.places))
	for i := range n.others {
		n.others[i]++
		n.crowd++
	}
	for i := range units {
		uses := units[i].uses
		if !slices.ContainsFunc(uses, func(u placeUse) bool { return int(u.n) >= often }) {
			for _, u := range uses {
				n.others[u.place] += float64(len(uses) - 1)
				n.crowd += float64(len(uses) - 1)
			}
			continue
		}
		for j, b := range uses {
			if int(b.n) >= often {
				n.regular[b.place] += float64(len(uses) - 1)
			}
			for _, a := range uses[:j] {
				if int(a.n) >= often || int(b.n) >= often {
					k, _ := n.partners.Get(uint64(ringIndex(int(a.place), int(b.place))) + 1)
					*k++
				}
			}
		}
	}
}

// partnerMean is how many regulars of one a pair would share if they chose their other merchants as
// people do who are regulars nowhere.
func (n *ringNull) partnerMean(a, b int) float64 {
	chance := n.ends[a] * n.ends[b] / (2 * n.total)
	if chance == 0 {
		return 0
	}
	mean, _ := n.mean(a, b)
	return mean / chance * (n.regular[a]*n.others[b] + n.regular[b]*n.others[a]) / n.crowd
}

func (n *ringNull) partnerCount(a, b int) int {
	if k := n.partners.Find(uint64(ringIndex(a, b)) + 1); k != nil {
		return int(*k)
	}
	return 0
}

// tail is -ln P(count or more) of a negative binomial with the size of the pair's distance.
func (n *ringNull) tail(a, b, k int, mean float64) float64 {
	p, size := 0.0, n.size[n.bin(a, b)]
	if math.IsInf(size, 1) {
		p = poissonTail(k, mean)
	} else {
		p = negBinomialTail(k, mean, size)
	}
	return -math.Log(max(p, 1e-300)) / n.inflation
}

// partnerLinks are the pairs of merchants with at least two such customers in common.
func (n *ringNull) partnerLinks() []ringLink {
	return n.links(func(a, b int) (k int, mean float64) {
		if n.regular[a]+n.regular[b] == 0 || n.shared[ringIndex(a, b)] == 0 {
			return 0, 0
		}
		if k = n.partnerCount(a, b); k < 2 {
			return 0, 0
		}
		return k, n.partnerMean(a, b)
	})
}

// overlapLinks are the pairs of merchants that share at least minShared households.
func (n *ringNull) overlapLinks(minShared int) []ringLink {
	return n.links(func(a, b int) (k int, mean float64) {
		if k = int(n.shared[ringIndex(a, b)]); k < minShared {
			return 0, 0
		}
		mean, _ = n.mean(a, b)
		return k, mean
	})
}

// links are the pairs that share more than twice what is expected.
func (n *ringNull) links(of func(a, b int) (k int, mean float64)) []ringLink {
	var links []ringLink
	for b := 1; b < len(n.places); b++ {
		for a := range b {
			if k, mean := of(a, b); k > 0 && float64(k) > 2*mean {
				links = append(links, ringLink{a, b, n.tail(a, b, k, mean)})
			}
		}
	}
	return links
}

// fit learns factors, zones and sizes from all pairs; cut limits each count to what the last fit finds
// credible.
func (n *ringNull) fit(cut bool) {
	count := func(a, b int, mean float64, bin int) float64 {
		k := float64(n.shared[ringIndex(a, b)])
		if cut {
			k = n.credible(k, mean, bin)
		}
		return k
	}
	var seen, base [ringBins][ringCategoryPairs]float64
	n.eachPair(func(a, b, bin, pair int, chance float64) {
		seen[bin][pair] += count(a, b, n.expect(a, b, bin, pair, chance), bin)
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
	last := slices.Max(n.zone)
	zones := make([]zoneShare, (last+1)*(last+2)/2)
	n.eachPair(func(a, b, bin, pair int, chance float64) {
		mean := n.factor[bin][pair] * chance
		z := &zones[n.zonePair(a, b)]
		z.seen += n.credible(float64(n.shared[ringIndex(a, b)]), mean, bin)
		z.mean += mean
	})
	n.zones = zones
	cells := new([ringBins][ringCells][ringCounts]int64)
	n.eachPair(func(a, b, bin, pair int, chance float64) {
		mean := n.expect(a, b, bin, pair, chance)
		cells[bin][ringCell(mean)][min(int(count(a, b, mean, bin)), ringCounts-1)]++
	})
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
}

// ringCell bins a mean so that e^-8 (0.0003) and below is cell 0.
func ringCell(mean float64) int {
	return int(clip(math.Floor(4*(math.Log(mean)+8)), 0, ringCells-1))
}

func ringCellMean(i int) float64 { return math.Exp((float64(i)+.5)/4 - 8) }

// eachPair gives the pairs that the fit looks at: all of them, or of many every stride-th.
func (n *ringNull) eachPair(f func(a, b, bin, pair int, chance float64)) {
	for b := 1; b < len(n.places); b++ {
		if n.ends[b] == 0 {
			continue
		}
		e := n.ends[b] / (2 * n.total)
		for a := b % n.stride; a < b; a += n.stride {
			if n.ends[a] > 0 {
				f(a, b, n.bin(a, b), n.pair(a, b), n.ends[a]*e)
			}
		}
	}
}

// fitted tells whether eachPair gives the pair a < b.
func (n *ringNull) fitted(a, b int) bool { return a%n.stride == b%n.stride }

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
	active := 0
	for _, e := range n.ends {
		if e > 0 {
			active++
		}
	}
	links := n.overlapLinks(2)
	rank := int(ringTail * float64(active*(active-1)/2))
	if rank < 1 || rank >= len(links) {
		return 1
	}
	slices.SortFunc(links, func(x, y ringLink) int { return cmp.Compare(y.surprise, x.surprise) })
	return max(1, links[rank].surprise/-math.Log(ringTail))
}
