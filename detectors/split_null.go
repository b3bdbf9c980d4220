package detectors

import (
	"math"
	"math/bits"

	vw "voucherwatch"
)

const (
	overBins    = 9
	gapBins     = 7
	trafficBins = 6
)

var (
	overEdges = [overBins - 1]float64{.0005, .005, .01, .02, .05, .1, .2, .4}
	gapEdges  = [gapBins - 1]vw.Millis{vw.Minute, 3 * vw.Minute, 10 * vw.Minute, 30 * vw.Minute, vw.Hour, 3 * vw.Hour}
	// What splitters do, by bin: stated priors, to be fitted again after 100 confirmed sessions.
	overSplit = [overBins]float64{.35, .25, .10, .08, .10, .06, .03, .02, .01}
	gapSplit  = [gapBins]float64{.15, .25, .25, .20, .10, .04, .01}
	// What the null believes before it has seen anything. A second visit within the hour comes once in a
	// hundred days of a customer at a shop, a third after the second one time in eight: so it is with
	// purchase cards, a wholesaler and a marketplace (docs/detectors/split.md).
	overPrior = [overBins]float64{.03, .02, .03, .04, .07, .08, .13, .20, .40}
	gapPrior  = [gapBins]float64{.002, .003, .004, .004, .003, .004, .006}
	morePrior = [gapBins]float64{.05, .05, .035, .025, .015, .02, .02}
	// overFixed is where a shop is whose one price is the threshold.
	overFixed = [overBins]float64{.80, .15, .01, .01, .01, .01, .01}
)

// gainSplit is the share of splits with which more is saved than by one payment: it is what they are for,
// but somebody may not hold the dearer voucher.
const gainSplit = .95

func overBin(h float64) int {
	for i, e := range overEdges {
		if h < e {
			return i
		}
	}
	return overBins - 1
}

func gapBin(g vw.Millis) int {
	for i, e := range gapEdges {
		if g < e {
			return i
		}
	}
	return gapBins - 1
}

// trafficBin is the bin of how many other customers came within the hour: 0, 1, 2–3, 4–7, 8–15, more.
func trafficBin(others int) int { return min(bits.Len(uint(others)), trafficBins-1) }

// splitNull is what honest first visits and repeats look like: counts of all slots, and what follows
// from them. It stands still between two boundaries.
type splitNull struct {
	splitCount
	overShare [][overBins]float64 // by voucher type: shares of first visits
	near      []float64           // by voucher type: share within 0.5 % of the threshold
	within5   []float64           // within 5 %
	again     [vw.Categories][gapBins]float64
	more      [vw.Categories][gapBins]float64
	repeat    [vw.Categories]float64 // sum of again
	further   [vw.Categories]float64 // sum of more
	newTier   [vw.Categories]float64
	gain      [vw.Categories]float64 // ln of how much likelier a split gains than honest repeats do
	noGain    [vw.Categories]float64
	context   [vw.Categories][trafficBins]float64
	cut       float64 // log-odds that a repeat is part of a split that was cut to the threshold
	usual     float64 // log-odds that a customer's day is a split, less those of the parameter
}

// splitCount are integers, so that slots add up in any order. Probabilities count in sixteenths (whole).
// A shop counts in the habits of its category for what it is, up to shopUnits first visits, so that one very
// large shop is not taken for the trade.
type splitCount struct {
	over     [][overBins]int64 // by voucher type, first visits
	category [vw.Categories]repeatCount
	days     int64 // customers' days
	splits   int64 // of these, splits, in sixteenths, by their probability
	repeats  int64 // further parts of all sessions
	close    int64 // of these, within 5 % of the threshold
	expected int64 // and how many would be by the amounts of first visits, in 1/shopWeight
}

// repeatCount counts first visits in 1/shopUnits, what follows them in 1/(shopUnits·whole).
type repeatCount struct {
	first    int64
	gaps     [gapBins]int64 // second visits of a day
	repeated int64          // days with a second visit
	gains    int64          // of these, with which more was saved than by one payment
	more     [gapBins]int64 // further ones
	sameTier int64
	newTier  int64
	visits   [trafficBins]int64 // first visits, by how many others came within the hour
	shops    [trafficBins]int64 // the same, each shop counting about once
}

const (
	whole     = 16
	shopUnits = 256
)

// splitShop is what is known of a merchant: 96 bytes.
type splitShop struct {
	traffic uint64 // first visits in the last eighths of an hour, a byte each, the newest lowest
	eighth  int32  // that the lowest byte counts
	first   int32  // customers' days
	splits  int32  // of these, splits, in sixteenths
	again   int32  // of these, honest ones with a second visit, in sixteenths
	more    int32  // further visits, in sixteenths
	tiers   uint32
	gaps    [gapBins]int32 // second visits, in sixteenths
	over    [overBins]int32
}

const eighth = vw.Hour / 8

// others is how many customers came for the first time in the hour before t. What is out of order by
// minutes counts as now.
func (s *splitShop) others(t vw.Millis) int {
	now := int32(t / eighth)
	if now > s.eighth {
		s.traffic <<= 8 * (now - s.eighth)
		s.eighth = now
	}
	const even = 0x00ff00ff00ff00ff
	x := s.traffic&even + s.traffic>>8&even
	return int(x * 0x0001000100010001 >> 48)
}

// come counts a first visit in the traffic.
func (s *splitShop) come() {
	if s.traffic&0xff != 0xff {
		s.traffic++
	}
}

// share of the shop in the habits of its category, in 1/shopUnits.
func (s *splitShop) share() int64 {
	if s.first <= shopUnits {
		return shopUnits
	}
	return shopUnits * shopUnits / int64(s.first)
}

func newSplitNull(vouchers int) *splitNull {
	n := &splitNull{
		splitCount: splitCount{over: make([][overBins]int64, vouchers)},
		overShare:  make([][overBins]float64, vouchers), near: make([]float64, vouchers), within5: make([]float64, vouchers),
	}
	// The prior has the weight of 300 amounts, 500 visits, and 50 repeats of which a third are cut.
	for v := range n.over {
		for b, p := range overPrior {
			n.over[v][b] = int64(math.Round(300 * p))
		}
	}
	for c := range n.category {
		k := &n.category[c]
		k.first, k.sameTier, k.newTier = 500*shopUnits, 5*whole*shopUnits, 5*whole*shopUnits
		for b, p := range gapPrior {
			k.gaps[b] = int64(math.Round(500 * shopUnits * whole * p))
		}
	}
	for c := range n.category {
		k := &n.category[c]
		k.repeated, k.gains = 50*shopUnits*whole, 25*shopUnits*whole
		for b, p := range morePrior {
			k.more[b] = int64(math.Round(50 * shopUnits * whole * p))
		}
	}
	n.derive()
	return n
}

// usualDays are the customers' days for which the prior counts in the learned frequency of splits.
const usualDays = 4000

// learnUsual works out how much rarer splits are here than the prior says: where nobody splits, a forgotten item
// that was paid to the fen is what it looks like. Never more often: fraud must not make itself usual.
func (n *splitNull) learnUsual(prior float64) {
	p := logistic(prior)
	q := (usualDays*p + float64(n.splits)/whole) / (usualDays + float64(n.days))
	n.usual = clip(math.Log(q/(1-q))-prior, -2.5, 0)
}

// derive works out the probabilities from the counts.
func (n *splitNull) derive() {
	for v := range n.over {
		for b := range overBins {
			n.overShare[v][b] = share(n.over[v][:], b)
		}
		n.near[v] = n.overShare[v][0] + n.overShare[v][1]
		n.within5[v] = n.near[v] + n.overShare[v][2] + n.overShare[v][3] + n.overShare[v][4]
	}
	for c := range n.category {
		k := &n.category[c]
		n.repeat[c], n.further[c] = 0, 0
		for b := range gapBins {
			n.again[c][b] = float64(max(k.gaps[b], 0)) / whole / float64(k.first)
			n.repeat[c] += n.again[c][b]
			n.more[c][b] = clip(float64(k.more[b])/float64(max(k.repeated, 1)), .001, 1)
			n.further[c] += n.more[c][b]
		}
		n.newTier[c] = clip(float64(k.newTier)/float64(max(k.newTier+k.sameTier, 1)), .1, .9)
		gain := clip(float64(k.gains)/float64(max(k.repeated, 1)), .1, .9)
		n.gain[c], n.noGain[c] = math.Log(gainSplit/gain), math.Log((1-gainSplit)/(1-gain))
		n.context[c] = contextOf(k)
	}
	n.cut = n.cutOdds()
}

// cutOdds is the log-odds that a repeat belongs to a split cut to the threshold, by the excess of repeats
// within 5 % of the threshold over what first visits show. Where repeats are no nearer to it than first
// visits, nobody cuts, and amounts are no evidence.
func (n *splitNull) cutOdds() float64 {
	const repeats, split, usual = 50, .88, .25 // on account, with a third of cuts
	all := float64(n.repeats) + repeats
	expected := (float64(n.expected)/shopWeight + usual*repeats) / all
	closer := (float64(n.close) + (usual+(split-usual)/3)*repeats) / all
	cut := clip((closer-expected)/max(split-expected, .1), .01, .8)
	return math.Log(cut / (1 - cut))
}

// shopWeight of a first visit in repeatCount.shops: the n-th of a shop counts 1/n.
const shopWeight = 1 << 16

// contextOf says, by how many others were at the shop within the hour, how much likelier a split is there
// than a visit: ln of the share of shops over the share of visits. Any shop may make its customers split,
// a small one as well as a large one, but honest repeats happen where the customers are. Twenty shops
// without a difference are on account.
func contextOf(k *repeatCount) (ratio [trafficBins]float64) {
	visits, shops := 0.0, 0.0
	for o := range trafficBins {
		visits += float64(k.visits[o])
		shops += float64(k.shops[o]) / shopWeight
	}
	for o := range trafficBins {
		f0 := (float64(k.visits[o]) + 1) / (visits + trafficBins)
		f1 := (float64(k.shops[o])/shopWeight + 20*f0) / (shops + 20)
		ratio[o] = clip(math.Log(f1/f0), -2.5, 1.5)
	}
	return ratio
}

// share is the share of a bin, with half a count for each.
func share(counts []int64, bin int) float64 {
	sum := 0.0
	for _, n := range counts {
		sum += float64(max(n, 0)) + .5
	}
	return (float64(max(counts[bin], 0)) + .5) / sum
}

// amount is the probability of an honest amount in the bin at the shop. own and near are the shop's
// amounts before it: how many in the bin, and within 0.5 % of the threshold; of n. The null is the shop's
// habit, shrunk to that of category and tier but never rarer than half of it; and as long as little is
// known of the shop, it may be one whose single price is the threshold.
func (n *splitNull) amount(voucher, bin int, own, near, of float64, fixed float64) float64 {
	p, pn := n.overShare[voucher][bin], n.near[voucher]
	habit := max((own+20*p)/(of+20), p/2)
	odds := fixed / (1 - fixed)
	if of > 0 {
		n := min(of, 50) // by then it is clear
		odds *= math.Pow(.95/pn, n*near/of) * math.Pow(.05/(1-pn), n*(1-near/of))
	}
	return (odds*max(overFixed[bin], .01*p) + habit) / (odds + 1)
}

func learnSplit(peers []Detector, t *Tick) {
	first := peers[0].(*split)
	null := first.null
	for _, p := range peers {
		d := p.(*split)
		null.take(&d.count)
		d.null = null
		if t.NewDay && t.Day%14 == 0 {
			d.fade()
		}
	}
	null.derive()
	null.learnUsual(first.Prior)
}

// take adds what a slot counted, and empties its counts.
func (n *splitNull) take(c *splitCount) {
	for v := range c.over {
		for b := range c.over[v] {
			n.over[v][b] += c.over[v][b]
			c.over[v][b] = 0
		}
	}
	for k := range c.category {
		from, to := &c.category[k], &n.category[k]
		to.first += from.first
		to.repeated += from.repeated
		to.gains += from.gains
		to.sameTier += from.sameTier
		to.newTier += from.newTier
		for b := range gapBins {
			to.gaps[b] += from.gaps[b]
			to.more[b] += from.more[b]
		}
		for o := range trafficBins {
			to.visits[o] += from.visits[o]
			to.shops[o] += from.shops[o]
		}
		*from = repeatCount{}
	}
	n.days += c.days
	n.splits += c.splits
	n.repeats += c.repeats
	n.close += c.close
	n.expected += c.expected
	c.days, c.splits, c.repeats, c.close, c.expected = 0, 0, 0, 0, 0
}

// fade halves the shops' counts every two weeks, so that a habit that changed is not held against anyone
// for long, and drops shops without any.
func (d *split) fade() {
	d.shops.Sweep(func(_ uint64, s *splitShop) bool {
		s.first /= 2
		s.splits /= 2
		s.again /= 2
		s.more /= 2
		for b := range s.gaps {
			s.gaps[b] /= 2
		}
		for b := range s.over {
			s.over[b] /= 2
		}
		return s.first > 0
	})
}
