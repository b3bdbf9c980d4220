package detectors

import (
	"math"
	"slices"
	"strings"

	vw "voucherwatch"
)

// habit is how much a merchant's trade looks like cash-out: by trait, how often its redemptions were seen, in
// quarters, and the sum of their ratios. What cash-out does is taken to tilt the habit, alt ∝ habit · ratio, so
// that of the habit only its mean ratio must be known.
type habit struct {
	n, sum [traits]float32
	// all counts redemptions, ratios are the sums of their likelihood ratios by side, each cut at ratioMost
	all    float32
	ratios [sides]float32
}

// mean is the habit's mean ratio. The trade, whose mean is 1, counts for shrink redemptions. What depends on the
// till more than on the trade is taken for the shop's way until it has shown another.
func (h *habit) mean(t trait, shrink float64) float64 {
	prior := shrink
	if t.ofTill() {
		shrink = tillShrink
		prior = tillShrink * math.Exp(traitHigh[t])
	}
	return (float64(h.sum[t]) + 4*prior) / (float64(h.n[t]) + 4*shrink)
}

// excuse is the logarithm of the habit's mean ratio, at least 0.
func (h *habit) excuse(t trait, shrink float64) float64 {
	if mean := h.mean(t, shrink); mean > 1 {
		return math.Log(mean)
	}
	return 0
}

const tillShrink = 2

// largeShop is for how many redemptions the trade counts in a shop's mean likelihood ratio: far more than a fraud
// needs to be told, and few beside what a large shop has. In so many redemptions the smallest fault of a null
// would add up.
const largeShop = 800

// mean is the mean likelihood ratio of the trade and the shop, at least 1. What it is above 1 is charged to every
// redemption.
func (s *till) mean(side int, trade float64) float64 {
	return max(1, trade, (float64(s.habit.ratios[side])+largeShop*trade)/(float64(s.habit.all)+largeShop))
}

// cashNull is what is known of the trade. It stands still between two hours.
type cashNull struct {
	counts cashCount
	// ratio is, by bin, how much likelier it is under cash-out than in the trade, and its logarithm.
	ratio, log [vw.Categories][allBins]float32
	overRatio  [][overBins]float32 // by voucher type
	overLog    [][overBins]float32
	faceRatio  []float32 // by voucher type
	faceLog    []float32
	// mean is the trade's mean likelihood ratio by side. Were all nulls right and the traits independent, it were
	// 1; what it is above is charged to every redemption.
	mean [vw.Categories][sides]float64
	// outings counts redemptions anywhere by customer, up to 255, as of the last hour. Two customers may share a
	// count, and then look less devoted to one shop.
	outings []uint8
	faces   []float64 // by voucher type
	of      []vw.Category
}

// cashCount are the redemptions of one slot since the last hour, or of all before.
type cashCount struct {
	bins  [vw.Categories][allBins]int64
	over  [][overBins]int64
	tiers []int64
	// ratios are the sums of the likelihood ratios by side, in millionths and each cut at e^4, and their number, of
	// redemptions at merchants that nothing speaks against.
	ratios  [vw.Categories][sides + 1]int64
	outings []uint32
}

func newCashCount(vouchers int) *cashCount {
	return &cashCount{over: make([][overBins]int64, vouchers), tiers: make([]int64, vouchers)}
}

const outingBits = 20

func outing(customer uint64) uint32 { return uint32(spread(customer) >> (64 - outingBits)) }

// What honest trade is taken to show before any was seen, as 200 redemptions, and what cash-out shows: stated
// priors from the court cases of detection.md §1.1. Where cash-out mostly looks like honest trade, the
// alternative is the null but for a share of the mass.
var (
	traitPrior = [traits][]int64{
		byGoods: {16, 34, 150}, byBasket: {186, 14}, byCustom: {130, 14, 5, 2, 40, 6, 2, 1}, byDevice: {192, 7, 1}, byOwner: {197, 3}, byClaim: {4, 10, 26, 40, 120},
		byArrival: {180, 12, 7, 1}, byClock: {1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 24, 26, 24, 14, 10, 10, 14, 22, 22, 14, 8, 4, 2, 1, 1}, byPlace: {198, 2},
	}
	overCash   = [overBins]float64{.28, .14, .10, .10, .17, .11, .06, .03, .01}
	goodsCash  = []float64{.25, .35, .40}
	basketCash = []float64{.75, .25}
	visitsCash = [visitBins]float64{.72, .13, .07, .08}
	deviceCash = []float64{.90, .03, .07}
	ownerCash  = []float64{.93, .07}
	placeCash  = []float64{.95, .05}
	// shares of the mass that lie elsewhere, and where
	claimCash   = []float64{.5, .3, .1, .05, .05}
	arrivalCash = []float64{.15, .6, .2, .05}
)

const (
	claimElse   = .08
	arrivalElse = .2
	clockElse   = .08
	// devoted is how much likelier a customer who comes back goes nowhere else under cash-out.
	devoted = 1.6
)

func newCashNull(c *vw.Campaign) *cashNull {
	n := &cashNull{
		counts: *newCashCount(len(c.Vouchers)), outings: make([]uint8, 1<<outingBits),
		overRatio: make([][overBins]float32, len(c.Vouchers)), overLog: make([][overBins]float32, len(c.Vouchers)),
		faceRatio: make([]float32, len(c.Vouchers)), faceLog: make([]float32, len(c.Vouchers)),
	}
	for i := range c.Vouchers {
		v := &c.Vouchers[i]
		for b, p := range overPrior {
			n.counts.over[i][b] = int64(math.Round(200 * p))
		}
		if v.Face > 0 {
			n.counts.tiers[i] = max(1, int64(100_000/v.Face)) // the dearer, the rarer
		}
		n.faces = append(n.faces, float64(v.Face))
		n.of = append(n.of, v.Category)
	}
	for k := range n.counts.bins {
		for t, prior := range traitPrior {
			copy(n.counts.bins[k][firstBin[t]:], prior)
		}
		n.counts.ratios[k] = [sides + 1]int64{300_000_000, 300_000_000, 300}
	}
	n.settle()
	return n
}

// settle computes the ratios from the counts.
func (n *cashNull) settle() {
	for i := range n.overRatio {
		p := shares(n.counts.over[i][:])
		for b := range p {
			n.overRatio[i][b], n.overLog[i][b] = ratioOf(overCash[b], p[b])
		}
	}
	var total, worth [vw.Categories]float64
	for i, k := range n.counts.tiers {
		if n.faces[i] > 0 {
			total[n.of[i]] += float64(k)
			worth[n.of[i]] += float64(k) * n.faces[i]
		}
	}
	for i := range n.faces {
		if n.faces[i] > 0 {
			// Cash-out picks vouchers in proportion to what they bring.
			n.faceRatio[i], n.faceLog[i] = ratioOf(n.faces[i], worth[n.of[i]]/total[n.of[i]])
		}
	}
	for c := range n.ratio {
		for t := range traits {
			if traitPrior[t] == nil {
				continue
			}
			first := firstBin[t]
			p := shares(n.counts.bins[c][first : first+binsOf[t]])
			for b, q := range cashOf(t, p) {
				n.ratio[c][first+b], n.log[c][first+b] = ratioOf(q, p[b])
			}
		}
		r := &n.counts.ratios[c]
		for side := range n.mean[c] {
			n.mean[c][side] = max(1, float64(r[side])/1e6/float64(r[sides]))
		}
	}
}

// shares are the counts as probabilities, none below 0.2 %.
func shares(counts []int64) []float64 {
	sum, p := int64(0), make([]float64, len(counts))
	for _, k := range counts {
		sum += k
	}
	for b, k := range counts {
		p[b] = max(float64(k)/float64(max(sum, 1)), .002)
	}
	return p
}

func ratioOf(fraud, honest float64) (ratio, log float32) {
	return float32(fraud / honest), float32(math.Log(fraud / honest))
}

// cashOf is what cash-out shows of a trait whose honest shares are p.
func cashOf(t trait, p []float64) []float64 {
	q := make([]float64, len(p))
	mixed := func(share float64, with []float64) []float64 {
		for b := range q {
			q[b] = (1 - share) * p[b]
			if with != nil {
				q[b] += share * with[b]
			} else {
				q[b] += share / float64(len(q))
			}
		}
		return q
	}
	switch t {
	case byGoods:
		return goodsCash
	case byBasket:
		return basketCash
	case byDevice:
		return deviceCash
	case byOwner:
		return ownerCash
	case byPlace:
		return placeCash
	case byClaim:
		return mixed(claimElse, claimCash)
	case byArrival:
		return mixed(arrivalElse, arrivalCash)
	case byClock:
		return mixed(clockElse, nil)
	case byCustom:
		for k, share := range visitsCash {
			tilt := devoted
			if k == 0 {
				tilt = 1
			}
			only, others := tilt*p[k], p[visitBins+k]
			q[k], q[visitBins+k] = share*only/(only+others), share*others/(only+others)
		}
	}
	return q
}

// learn teaches the nulls. What shows several marks at once teaches the merchant's habit a quarter and the
// trade's nothing, so that a fraud does not become its own excuse; a shop that has been told of teaches no more.
func (d *cashout) learn(v *Visit, s *till, f *[traits]float64, l *look) {
	c := s.category
	marks := 0
	for t, x := range f {
		if x >= d.Mark && trait(t).marks() {
			marks++
		}
	}
	for t := range traits {
		if l.bin[t] < 0 {
			continue
		}
		quarters := float32(4)
		if s.raised > 0 {
			quarters = 0
		} else if marks >= 2 && t.slow() {
			quarters = 1
		}
		s.habit.n[t] += quarters
		s.habit.sum[t] += quarters * l.ratio[t]
		if marks < 2 {
			d.count.bins[c][firstBin[t]+int(l.bin[t])]++
		}
	}
	if marks < 2 {
		d.count.over[v.Event.VoucherType][l.bin[byAmount]]++
		d.count.tiers[v.Event.VoucherType]++
	}
}

func learnCashout(peers []Detector, t *Tick) {
	for _, p := range peers {
		d := p.(*cashout)
		slices.SortFunc(d.pending, func(a, b *Profile) int { return strings.Compare(a.ID, b.ID) })
		for _, m := range d.pending {
			if p := d.tills.Find(m.Key); p != nil {
				(*p).pending = false
				if f, ok := d.found(m, t.Now, *p); ok {
					t.Find(d.env, f)
				}
			}
		}
		d.pending = d.pending[:0]
	}
	null := peers[0].(*cashout).null
	for _, p := range peers {
		null.counts.take(p.(*cashout).count)
		for _, i := range p.(*cashout).count.outings {
			null.outings[i] = min(null.outings[i], 254) + 1
		}
		p.(*cashout).count.outings = p.(*cashout).count.outings[:0]
		p.(*cashout).null = null
	}
	if t.NewDay {
		for _, p := range peers {
			// Evidence loses a tenth in a day (half in a week): shrinking keeps the bound on false alarms.
			p.(*cashout).tills.Each(func(_ uint64, p **till) {
				s := *p
				for side := range s.evidence {
					for i := range s.evidence[side] {
						s.evidence[side][i] *= weekHalf
					}
				}
				s.weighEvidence()
			})
		}
	}
	null.settle()
}

// take adds the counts of a slot and clears them.
func (n *cashCount) take(c *cashCount) {
	for v := range c.over {
		for b := range c.over[v] {
			n.over[v][b] += c.over[v][b]
		}
		n.tiers[v] += c.tiers[v]
	}
	for k := range c.bins {
		for b := range c.bins[k] {
			n.bins[k][b] += c.bins[k][b]
		}
		for i := range c.ratios[k] {
			n.ratios[k][i] += c.ratios[k][i]
		}
	}
	clear(c.over)
	clear(c.tiers)
	c.bins, c.ratios = [vw.Categories][allBins]int64{}, [vw.Categories][sides + 1]int64{}
}

// weekHalf is 2^(-1/7).
const weekHalf = 0.9057236642639067
