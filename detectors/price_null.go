package detectors

import "math"

// priceSizes are the least rises, as shares, of which a merchant's are counted: how many items rose by so much and more.
var priceSizes = [...]float64{0.05, 0.075, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40}

// priceSpans are the days within which the items of a merchant rise together: at once, over a few days, or, read once a
// week each, over a week. Each has its own null, and each is paid for.
var priceSpans = [...]int{1, 3, 7}

type priceCounts [len(priceSizes)]int64

var priceLogs = func() (logs [len(priceSizes)]float64) {
	for i, x := range priceSizes {
		logs[i] = math.Log1p(x)
	}
	return logs
}()

// priceNull is how often an item of an honest merchant rises, that neither cost nor market explain, and by how
// much: counted over the items and windows of all merchants. Integers, so that the order of adding does not matter.
type priceNull struct {
	items int64       // item-windows judged
	rose  priceCounts // of these, by at least priceSizes
	// Sums over merchants of squared distance from the mean less the mean, and of the squared mean, in priceUnits.
	excess, square int64
}

// Before anything was counted a window has one item in a hundred, with an exponential tail of 10 %, at
// the weight of priceStart item-windows.
const (
	priceStartRate  = 0.01
	priceStartScale = 0.10
	priceStart      = 200
)

// rate is the long-run share of items that rise by the size within a window.
func (n *priceNull) rate(size int) float64 {
	start := priceStartRate * math.Exp((priceLogs[0]-priceLogs[size])/priceStartScale)
	return (float64(n.rose[size]) + start*priceStart) / (float64(n.items) + priceStart)
}

// local is the share in one window of the other merchants, who reprice on the same days and for the same reasons. Days
// differ much, so the long run counts as half a rise only.
func (n *priceNull) local(size int, others *priceNull) float64 {
	const weight = 0.5
	return (float64(others.rose[size]) + weight) / (float64(others.items) + weight/n.rate(size))
}

// tail is the probability that of so many items of an honest merchant at least so many rise by some size. A
// shop reprices several items at once, so their number is overdispersed: negative binomial. Sizes
// are looked at together, which is paid twice: they are nested.
func (n *priceNull) tail(items int, rose *priceCounts, least int, others *priceNull) float64 {
	p := 1.0
	for i, k := range rose {
		if k >= int64(least) {
			p = min(p, 2*negBinomialTail(int(k), float64(items)*n.local(i, others), n.shape()))
		}
	}
	return max(p, priceTrust)
}

// priceTrust is the least probability that is believed: what lies beyond was never seen, only computed.
const priceTrust = 1e-6

// shape is that of the gamma distribution of how ready a merchant is to reprice within given days, by moments: excess
// variance against squared mean. 1 before anything was counted, between a half and four.
func (n *priceNull) shape() float64 {
	const weight = 20
	return 1 / clip((float64(n.excess)/priceUnits+weight)/(float64(n.square)/priceUnits+weight), 0.25, 2)
}

// spread counts how far the number of rises of a merchant is from its mean.
func (n *priceNull) spread(items int, rose int64, others *priceNull) {
	mean := float64(items) * n.local(0, others)
	away := float64(rose) - mean
	n.excess += int64(math.Round((away*away - mean) * priceUnits))
	n.square += int64(math.Round(mean * mean * priceUnits))
}

const priceUnits = 1e6

// pToLLR is what a p-value is worth as a log likelihood ratio: the calibrator k·p^(k-1), whose mean under the
// null is 1 (Vovk and Wang 2021).
func pToLLR(p float64) float64 {
	const k = 0.1
	return math.Log(k) - (1-k)*math.Log(max(p, 1e-300))
}
