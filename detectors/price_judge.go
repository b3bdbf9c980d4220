package detectors

import (
	"cmp"
	"math"
	"slices"

	vw "voucherwatch"
)

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
		judgePrices(ds, uint16(day), t)
		ds[0].judged = day
	}
	learnComplaints(ds)
	accuseTills(ds, t)
}

// priceShown is what a merchant shows on a day.
type priceShown struct {
	d     *priceDetector
	shop  *priceShop
	m     *priceMerchant
	id    string
	all   []*priceRise                  // raised now, the largest first
	fresh [len(priceSpans)][]*priceRise // raised within the last days
	rose  [len(priceSpans)]priceCounts  // of these
}

func judgePrices(ds []*priceDetector, day uint16, t *Tick) {
	var rises []*priceRise
	var costs []priceCost
	wanted := map[uint64]bool{}
	for _, d := range ds {
		d.rises.Sweep(func(key uint64, r *priceRise) bool { return d.follow(key, r, day) })
		d.rises.Each(func(key uint64, r *priceRise) {
			if day < r.since {
				return
			}
			c := priceCost{}
			if known := d.costs.Find(key); known != nil {
				c = *known
			}
			rises, costs = append(rises, r), append(costs, c)
			if r.fresh {
				wanted[r.sku] = true
			}
		})
	}
	known := pricePeersOf(ds, wanted, day)
	for i, r := range rises {
		if !r.fresh {
			continue
		}
		first, _ := slices.BinarySearchFunc(known, r.sku, func(p pricePeer, sku uint64) int { return cmp.Compare(p.sku, sku) })
		last := first
		for last < len(known) && known[last].sku == r.sku {
			last++
		}
		r.judge(costs[i], known[first:last])
	}
	slices.SortFunc(rises, func(a, b *priceRise) int {
		return cmp.Or(cmp.Compare(a.merchant, b.merchant), cmp.Compare(b.net, a.net), cmp.Compare(a.sku, b.sku))
	})
	accusePrices(ds, rises, day, t)
}

// accusePrices counts the day in the null and says who does not belong to it. rises are sorted by
// merchant and falling net.
func accusePrices(ds []*priceDetector, rises []*priceRise, day uint16, t *Tick) {
	shown := map[uint64]*priceShown{}
	var list []*priceShown // the merchants with a rise; of the others only the number of items counts
	for _, r := range rises {
		s := shown[r.merchant]
		if s == nil {
			if s = priceShownOf(ds, r.merchant); s == nil {
				continue
			}
			shown[r.merchant] = s
			list = append(list, s)
		}
		if s.d.raised(r) && int(r.since) <= t.Campaign.End {
			s.take(r, int(day))
		}
	}
	for span := range priceSpans {
		judgeSpan(ds, list, span, int(day), t.Campaign)
	}
	for _, s := range list {
		s.id = s.d.text(s.m.id)
		if p := s.d.env.Merchants.of(s.shop.key); p != nil {
			s.id = p.ID
		}
	}
	slices.SortFunc(list, func(a, b *priceShown) int { return cmp.Compare(a.id, b.id) })
	for _, s := range list {
		if s.m.alarm && t.Day >= t.Campaign.Start && len(s.all) > 0 {
			s.d.accuse(ds[0].env, s.shop.key, s.m, s.all, t)
		}
	}
}

// priceShownOf is a merchant of which items were judged, else nil.
func priceShownOf(ds []*priceDetector, merchant uint64) *priceShown {
	for _, d := range ds {
		if m := d.merchants.Find(merchant); m != nil && d.shops[m.row].judged > 0 {
			return &priceShown{d: d, shop: &d.shops[m.row], m: m}
		}
	}
	return nil
}

// take adds a rise to what a merchant shows.
func (s *priceShown) take(r *priceRise, day int) {
	s.all = append(s.all, r)
	for span, days := range priceSpans {
		if run := day - int(r.since) + 1; run < s.d.p.Hold || run >= s.d.p.Hold+days {
			continue
		}
		s.fresh[span] = append(s.fresh[span], r)
		for i, x := range priceLogs {
			if float64(r.net) >= x {
				s.rose[span][i]++
			}
		}
	}
}

// judgeSpan looks at the rises of the last days, as many as the span has.
func judgeSpan(ds []*priceDetector, list []*priceShown, span, day int, c *vw.Campaign) {
	null := &ds[0].null[span]
	window := priceWindowOf(ds, list, span)
	for _, s := range list {
		fresh := s.fresh[span]
		if len(fresh) < s.d.p.Items {
			continue
		}
		looks := priceLooks(day-s.d.p.Hold+1, c, priceSpans[span])
		if looks == 0 {
			continue
		}
		others := window.without(s)
		p := min(1, float64(len(priceSpans))*looks*null.tail(int(s.shop.judged), &s.rose[span], s.d.p.Items, &others))
		if p > s.d.p.FalseAlarms {
			continue
		}
		llr := pToLLR(p) + min(3, float64(s.m.complaints[0]))*math.Log(3)
		if s.m.alarm && llr <= float64(s.m.llr) {
			continue
		}
		before := 0
		for _, r := range fresh {
			if int(r.since) < c.Start {
				before++
			}
		}
		s.m.alarm, s.shop.alarm, s.m.llr, s.m.p = true, true, float32(llr), float32(p)
		s.m.early = s.m.early || 2*before > len(fresh)
		s.m.said = false
	}
	for _, s := range list {
		s.shop.shown = true
		if !s.m.alarm {
			others := window.without(s)
			null.spread(int(s.shop.judged), s.rose[span][0], &others)
		}
	}
	for _, d := range ds {
		for i := range d.shops {
			shop := &d.shops[i]
			if shop.judged > 0 && !shop.shown && !shop.alarm {
				others := window.priceNull
				others.items -= int64(shop.judged)
				null.spread(int(shop.judged), 0, &others)
			}
			shop.shown = false
		}
	}
	null.items += window.items
	for i := range null.rose {
		null.rose[i] += window.rose[i]
	}
}

// priceLooks is what one look at the windows of a campaign costs: half of the chance of a false alarm is spent on
// the days about its beginning, where raising pays most, half on all others. 0 outside.
func priceLooks(end int, c *vw.Campaign, window int) float64 {
	const before, after = priceWindow, 2
	first := end - window + 1
	switch {
	case end < c.Start-before || first > c.End:
		return 0
	case first <= c.Start+after:
		return 2 * float64(before+after+1) / float64(window)
	}
	return 2 * float64(max(window, c.End-c.Start-after)) / float64(window)
}

// priceWindowNull is the window of all merchants that are not accused, each counted with so many rises at most as four
// in five have in proportion, or one less than accuse: where a few gouge, the others' null must not learn it.
type priceWindowNull struct {
	priceNull
	span int
	most [len(priceSizes)]float64
}

func priceWindowOf(ds []*priceDetector, list []*priceShown, span int) *priceWindowNull {
	w := &priceWindowNull{span: span}
	shops := 0
	for _, d := range ds {
		for i := range d.shops {
			if shop := &d.shops[i]; shop.judged > 0 && !shop.alarm {
				shops++
				w.items += int64(shop.judged)
			}
		}
	}
	shares := make([]float64, 0, len(list))
	for i := range priceSizes {
		shares = shares[:0]
		for _, s := range list {
			if !s.m.alarm {
				shares = append(shares, float64(s.rose[span][i])/float64(s.shop.judged))
			}
		}
		slices.Sort(shares)
		// All other shops have none.
		if at := shops*4/5 - (shops - len(shares)); at >= 0 && at < len(shares) {
			w.most[i] = shares[at]
		}
	}
	for _, s := range list {
		own := w.of(s)
		for i := range own.rose {
			w.rose[i] += own.rose[i]
		}
	}
	return w
}

// of is what a merchant adds to the window.
func (w *priceWindowNull) of(s *priceShown) priceNull {
	if s.m.alarm {
		return priceNull{}
	}
	n := priceNull{items: int64(s.shop.judged)}
	for i, k := range s.rose[w.span] {
		n.rose[i] = min(k, max(int64(s.d.p.Items-1), int64(math.Ceil(w.most[i]*float64(s.shop.judged)))))
	}
	return n
}

func (w *priceWindowNull) without(s *priceShown) priceNull {
	others, own := w.priceNull, w.of(s)
	others.items -= own.items
	for i := range own.rose {
		others.rose[i] -= own.rose[i]
	}
	return others
}

// accuse says that a merchant's prices are raised, and lists the redemptions whose receipts show it.
func (d *priceDetector) accuse(via *Env, merchant uint64, m *priceMerchant, rises []*priceRise, t *Tick) {
	raised := map[uint64]bool{}
	for _, r := range rises {
		raised[r.sku] = true
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
	s := Signal{
		Kind: &priceRisesKind, LLR: float64(m.llr), Observed: float64(len(rises)), Expected: None, P: float64(m.p), Note: d.table(rises),
		Aux: [6]float64{float64(d.shops[m.row].judged)},
	}
	t.Find(via, d.finding("T19", merchant, m, t.Now, rs, []vw.Reason{priceEvidence(d.env.Reason(s), rs)}, t.Version))
	if m.early {
		s.Kind = &priceEarlyKind
		t.Find(via, d.finding("T20", merchant, m, t.Now, rs, []vw.Reason{priceEvidence(d.env.Reason(s), rs)}, t.Version))
	}
}
