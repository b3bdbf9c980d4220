package detectors

import (
	"cmp"
	"math"
	"slices"

	vw "voucherwatch"
)

// priceTail counts, over merchants and days, how large the third largest rise was (priceDetector.rank).
// Integers, so that the order of adding does not matter.
type priceTail struct {
	days    int64 // on which the merchant was judged
	over    int64 // of these, with at least that many items raised
	beyond  int64 // sum of what the rise exceeded the least one by, in priceUnits of a logarithm
	further int64 // sum of the items beyond that number
}

const priceUnits = 10000

func (t *priceTail) add(o priceTail, sign int64) {
	t.days += sign * o.days
	t.over += sign * o.over
	t.beyond += sign * o.beyond
	t.further += sign * o.further
}

// priceTrim is what a rise may exceed the least one by, as a logarithm, to be counted in the null: the
// null is learned from the same days in which prices may be raised, and where many are, it must not
// learn that this is normal. At 5 % of scale, honest trade has a twentieth of its rises beyond.
const priceTrim = 0.15

// scale is the mean of the exponential tail, in logarithms. It starts at 5 % of the price with the
// weight of five observations.
func (t *priceTail) scale() float64 {
	const mean, weight = 0.05, 5
	return (float64(t.beyond)/priceUnits + mean*weight) / float64(t.over+weight)
}

// p is the probability that on a day an honest merchant shows a rise of at least x beyond the least
// one, or so many further items: the share of days with a rise at all (Jeffreys), times the smaller of the tails
// of size (peaks over threshold, exponential) and number (geometric), twice for there being two.
func (t *priceTail) p(x float64, further int) float64 {
	size, number := math.Exp(-max(0, x)/t.scale()), math.Pow(t.another(), float64(further))
	return (float64(t.over) + 0.5) / float64(t.days+1) * min(1, 2*min(size, number))
}

// another is the probability that one more item is raised when that many are: geometric, between a
// fifth and nine tenths.
func (t *priceTail) another() float64 {
	return clip(float64(t.further+1)/float64(t.further+t.over+2), 0.2, 0.9)
}

// priceRise is a rise that has stood long enough to be judged.
type priceRise struct {
	d    *priceDetector
	item *priceItem
	net  float64
}

// pricePeer is what a merchant did with a sku: its change against its regular price and its price.
type pricePeer struct {
	sku, merchant uint64
	change        int32 // priceUnits of a logarithm
	fen           uint32
	cost          int32 // growth of the purchase price
	costKnown     bool
}

// learnPrices judges each day that has ended: which items stand above what they cost before, which of
// these the market or costs explain, and whose remaining rises no honest merchant shows.
func learnPrices(peers []Detector, t *Tick) {
	if !t.NewDay && !t.Last {
		return
	}
	to := t.Day - 1
	if t.Last {
		to = t.Day
	}
	ds := make([]*priceDetector, len(peers))
	for i := range peers {
		ds[i] = peers[i].(*priceDetector)
	}
	for day := max(ds[0].judged+1, to-priceWindow); day <= to; day++ {
		judgePrices(ds, int32(day), t)
		ds[0].judged = day
	}
}

func judgePrices(ds []*priceDetector, day int32, t *Tick) {
	var rises []priceRise
	var changes []int32
	wanted := map[uint64]bool{}
	for _, d := range ds {
		d.merchants.Each(func(_ uint64, m *priceMerchant) { m.judged = 0 })
		d.items.Each(func(_ uint64, it *priceItem) {
			change, ok := d.follow(it, day)
			if !ok {
				return
			}
			changes = append(changes, change)
			if it.run >= uint8(d.p.Hold) {
				rises = append(rises, priceRise{d: d, item: it})
				wanted[it.sku] = true
			}
		})
	}
	slices.Sort(changes)
	market := 0.0
	if n := len(changes); n > 0 {
		market = float64(changes[(n-1)/2]) / priceUnits
	}
	known := pricePeersOf(ds, wanted)
	for i := range rises {
		r := &rises[i]
		first, _ := slices.BinarySearchFunc(known, r.item.sku, func(p pricePeer, sku uint64) int { return cmp.Compare(p.sku, sku) })
		last := first
		for last < len(known) && known[last].sku == r.item.sku {
			last++
		}
		r.judge(known[first:last], market)
	}
	slices.SortFunc(rises, func(a, b priceRise) int {
		return cmp.Or(cmp.Compare(a.item.merchant, b.item.merchant), cmp.Compare(b.net, a.net), cmp.Compare(a.item.sku, b.item.sku))
	})
	accusePrices(ds, rises, day, t)
}

// follow rolls a series to the day and says how its price changed against its regular one; ok is
// false when it cannot be judged.
func (d *priceDetector) follow(it *priceItem, day int32) (change int32, ok bool) {
	it.roll(day)
	fen := it.days[0]
	high, middle, known := it.usual()
	if !known || fen == 0 || it.day != day || d.capped[it.sku] {
		it.limit, it.base, it.run, it.raised = 0, 0, 0, false
		return 0, false
	}
	low := it.lowest()
	it.limit = max(low, high)
	switch {
	case it.base > 0 && d.rises(fen, it.base):
		it.run = min(it.run+1, 200)
	case d.rises(fen, it.limit):
		it.base, it.legal, it.since, it.run, it.raised = it.limit, low, day, 1, false
	default:
		it.base, it.run, it.raised = 0, 0, false
	}
	if m := d.merchants.Find(it.merchant); m != nil {
		m.judged++
	}
	return int32(math.Round(priceUnits * math.Log(float64(fen)/float64(middle)))), true
}

// pricePeersOf lists what the merchants did with the wanted skus, by sku and merchant.
func pricePeersOf(ds []*priceDetector, wanted map[uint64]bool) []pricePeer {
	var list []pricePeer
	if len(wanted) == 0 {
		return nil
	}
	for _, d := range ds {
		d.items.Each(func(_ uint64, it *priceItem) {
			_, middle, known := it.usual()
			if !wanted[it.sku] || !known || it.days[0] == 0 || it.limit == 0 {
				return
			}
			p := pricePeer{sku: it.sku, merchant: it.merchant, fen: it.days[0], change: int32(math.Round(priceUnits * math.Log(float64(it.days[0])/float64(middle))))}
			if growth, ok := it.costGrowth(); ok {
				p.cost, p.costKnown = int32(math.Round(priceUnits*growth)), true
			}
			list = append(list, p)
		})
	}
	slices.SortFunc(list, func(a, b pricePeer) int {
		return cmp.Or(cmp.Compare(a.sku, b.sku), cmp.Compare(a.merchant, b.merchant))
	})
	return list
}

// judge takes from a rise what cost and market explain. peers are all merchants that sell the sku, the
// merchant itself included; market is the middle change of all items, which stands in for peers that
// are few.
func (r *priceRise) judge(peers []pricePeer, market float64) {
	it := r.item
	var changes, prices, costs []int64
	for _, p := range peers {
		if p.merchant == it.merchant {
			continue
		}
		changes = append(changes, int64(p.change))
		prices = append(prices, int64(p.fen))
		if p.costKnown {
			costs = append(costs, int64(p.cost))
		}
	}
	fen := it.days[0]
	if it.days[1] != 0 {
		fen = min(fen, it.days[1])
	}
	n := float64(len(changes))
	middle := middleOf(changes)
	expected := max(0, (n*middle/priceUnits+market)/(n+1))
	net := math.Log(float64(fen)/float64(it.base)) - expected
	// Costs: the rise is clearly above the growth of cost only if that is less than half of it
	// (国市监竞争发〔2022〕60号). A merchant that sends no invoices has the others' costs.
	growth, ok := it.costGrowth()
	if !ok && len(costs) > 0 {
		growth, ok = middleOf(costs)/priceUnits, true
	}
	if ok && growth > 0 && growth >= math.Log(float64(fen)/float64(it.legal))/2 {
		net = 0
	}
	if n > 0 && float64(fen) <= middleOf(prices) {
		net = 0 // it only came to what the others ask
	}
	if n >= 4 {
		for i := range changes {
			changes[i] = int64(math.Abs(float64(changes[i]) - middle))
		}
		if net < 3*max(1.4826*middleOf(changes)/priceUnits, 0.02)*math.Sqrt(1+1.57/n) {
			net = 0
		}
	}
	r.net = net
	it.net, it.peers = float32(net), float32(expected)
	it.raised = net >= math.Log(1+r.d.p.Rise)
}

// middleOf is the median, which sorts x; 0 of nothing.
func middleOf(x []int64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.Sort(x)
	return float64(x[(len(x)-1)/2]+x[len(x)/2]) / 2
}

// rank is the number of items that a rise of the merchant needs.
func (d *priceDetector) rank(m *priceMerchant) int {
	return max(d.p.Items, int(math.Ceil(d.p.Share*float64(m.judged))))
}

// accusePrices counts the day in the null and says who does not belong to it. rises are sorted by
// merchant and falling net.
func accusePrices(ds []*priceDetector, rises []priceRise, day int32, t *Tick) {
	type shown struct {
		d     *priceDetector
		key   uint64
		m     *priceMerchant
		all   []priceRise // raised now
		fresh []priceRise // raised within the window
		id    string
	}
	var list []shown
	for i := 0; i < len(rises); {
		j := i
		s := shown{d: rises[i].d, key: rises[i].item.merchant}
		for ; j < len(rises) && rises[j].item.merchant == s.key; j++ {
			if r := rises[j]; r.item.raised {
				s.all = append(s.all, r)
				if int(r.item.run)-s.d.p.Hold < s.d.p.Window {
					s.fresh = append(s.fresh, r)
				}
			}
		}
		i = j
		if s.m = s.d.merchants.Find(s.key); s.m != nil && len(s.all) > 0 {
			list = append(list, s)
		}
	}
	least := math.Log(1 + ds[0].p.Rise)
	cut := least + priceTrim
	for _, s := range list {
		if k := s.d.rank(s.m); len(s.fresh) >= k && !s.m.alarm && s.fresh[k-1].net < cut {
			s.m.tail.add(priceTail{over: 1, beyond: int64(math.Round(priceUnits * (s.fresh[k-1].net - least))), further: int64(len(s.fresh) - k)}, 1)
		}
	}
	var null priceTail
	for _, d := range ds {
		d.merchants.Each(func(_ uint64, m *priceMerchant) {
			if m.alarm {
				return
			}
			if m.judged >= int32(d.p.Items) {
				m.tail.days++
			}
			null.add(m.tail, 1)
		})
	}
	c := t.Campaign
	// A rise is seen on as many days as the window has, so these are one look.
	looks := float64(c.End-c.Start+1+priceWindow) / float64(ds[0].p.Window)
	for i := range list {
		s := &list[i]
		k := s.d.rank(s.m)
		if len(s.fresh) < k || int(day) < c.Start-priceWindow || int(day) > c.End {
			continue
		}
		others := null
		if !s.m.alarm {
			others.add(s.m.tail, -1)
		}
		p := min(1, others.p(s.fresh[k-1].net-least, len(s.fresh)-k)*looks)
		if p > s.d.p.FalseAlarms {
			continue
		}
		llr := pToLLR(p) + float64(len(s.fresh)-k)*-math.Log(others.another()) + min(3, float64(s.m.complaints[0]))*math.Log(3)
		if s.m.alarm && llr <= float64(s.m.llr) {
			continue
		}
		before := 0
		for _, r := range s.fresh {
			if int(r.item.since) < c.Start {
				before++
			}
		}
		s.m.alarm, s.m.llr, s.m.p = true, float32(llr), float32(p)
		s.m.early = s.m.early || 2*before > len(s.fresh)
		s.m.said = false
	}
	for i := range list {
		s := &list[i]
		s.id = s.d.text(s.m.id)
		if p := s.d.env.Merchants.of(s.key); p != nil {
			s.id = p.ID
		}
	}
	slices.SortFunc(list, func(a, b shown) int { return cmp.Compare(a.id, b.id) })
	for _, s := range list {
		if s.m.alarm && t.Day >= c.Start {
			s.d.accuse(ds[0].env, s.key, s.m, s.all, t)
		}
	}
}

// pToLLR is the log likelihood ratio that a p-value is worth without an alternative in mind: the mean
// of the calibrators k·p^(k-1) over k (Vovk and Wang 2021), which makes an e-value of it.
func pToLLR(p float64) float64 {
	if p <= 0 {
		p = 1e-300
	}
	if p >= 1 {
		return 0
	}
	l := math.Log(p)
	return max(0, math.Log((1-p+p*l)/(p*l*l)))
}

// accuse says that a merchant's prices are raised, and lists the redemptions whose receipts show it.
func (d *priceDetector) accuse(via *Env, merchant uint64, m *priceMerchant, rises []priceRise, t *Tick) {
	raised := map[uint64]bool{}
	for _, r := range rises {
		raised[r.item.sku] = true
	}
	var rs []FoundRedemption
	list := d.pending[merchant]
	rest := list[:0]
	for _, w := range list {
		if raised[w.sku] {
			rs = append(rs, w.r)
		} else {
			rest = append(rest, w)
		}
	}
	if len(rest) == 0 {
		delete(d.pending, merchant)
	} else {
		d.pending[merchant] = rest
	}
	if m.said && len(rs) == 0 {
		return
	}
	m.found, m.said = true, true
	s := Signal{Kind: &priceRisesKind, LLR: float64(m.llr), Observed: float64(len(rises)), Expected: float64(d.rank(m) - 1), P: float64(m.p), Note: d.table(rises), Aux: [6]float64{float64(m.judged)}}
	t.Find(via, d.finding("T19", merchant, m, t.Now, rs, []vw.Reason{priceEvidence(d.env.Reason(s), rs)}, t.Version))
	if m.early {
		s.Kind = &priceEarlyKind
		t.Find(via, d.finding("T20", merchant, m, t.Now, rs, []vw.Reason{priceEvidence(d.env.Reason(s), rs)}, t.Version))
	}
}
