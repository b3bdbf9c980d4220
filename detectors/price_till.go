package detectors

import (
	"cmp"
	"math"
	"slices"

	vw "voucherwatch"
)

// What receipts say of an item whose shelf nobody reads. A receipt has the price of its customer: by the
// piece or by the dozen, member or not. Such prices are draws from the shop's own levels, so that a high one says
// nothing; only that the lower ones no longer occur does. If the order of the receipts means nothing, the last r of
// n + r are all above all others with probability 1 / C(n+r, r), whatever the levels are.
//
// Fields of priceItem here: level[tillTop] the dearest receipt before the run, level[tillLow] and
// level[tillHigh] the cheapest and dearest of the run, level[tillLast] the latest customer; run the receipts of the run, receipts those before it; day
// the first of the run, seen the latest receipt's.
const (
	tillTop = iota
	tillLow
	tillHigh
	tillLast
)

// pay takes in the price of a receipt. Receipts that follow each other of one customer are one draw.
func (p *priceItem) pay(fen uint32, day uint16, customer uint64, rise float64) {
	p.seen = day
	who := uint32(customer>>32) | 1
	top := p.level[tillTop]
	switch {
	case top == 0:
		p.level[tillTop], p.receipts = fen, 1
	case float64(fen) >= float64(top)*(1+rise):
		if p.run == 0 {
			p.level[tillLow], p.level[tillHigh], p.day = fen, fen, day
		}
		p.level[tillLow], p.level[tillHigh] = min(p.level[tillLow], fen), max(p.level[tillHigh], fen)
		if p.run == 0 || who != p.level[tillLast] {
			p.run = min(p.run+1, math.MaxUint8-1)
		}
	default: // an earlier price is still asked, so that what was above was another level
		if p.run > 0 {
			top = max(top, p.level[tillHigh])
		}
		if p.run > 0 || who != p.level[tillLast] {
			p.receipts = uint8(min(int(p.receipts)+int(p.run)+1, math.MaxUint8))
		}
		p.level[tillTop], p.run = max(top, fen), 0
	}
	p.level[tillLast] = who
}

// tillTail is the probability, under exchangeable receipts, that a run so long stands above all n before
// it, paid once for each place where it might have begun.
func tillTail(n, run int) float64 {
	return min(1, float64(n+1)*math.Exp(-lchoose(n+run, run)))
}

// tillLeast is how many receipts an item needs to be judged.
const tillLeast = 6

func (p *priceItem) judgedByTill() bool { return int(p.receipts)+int(p.run) >= tillLeast }

// till takes in the price of a line whose item has no label.
func (d *priceDetector) till(v *Visit, key uint64, it *priceItem, sku vw.Ref, fen uint32) {
	before := it.judgedByTill()
	it.pay(fen, uint16(v.Day), v.Event.Customer.Key, d.p.Rise)
	if it.judgedByTill() != before {
		d.shops[it.merchant].till++
	}
	if it.run == tillRun && it.judgedByTill() {
		r, isNew := d.rises.Get(key)
		if isNew || r.base == 0 {
			*r = priceRise{
				merchant: v.Event.Merchant.Key, sku: sku.Key, name: r.name, base: it.level[tillTop], legal: it.level[tillTop], now: it.level[tillLow], since: it.day, peers: float32(None),
			}
			d.name(v.Batch, r, sku, v.Day)
		}
		d.keepMerchant(v.Batch, v.Event, d.merchants.Find(v.Event.Merchant.Key), v.Day)
	}
}

// tillRun is the least run that is kept.
const tillRun = 3

// tillCommon is how many merchants may have raised an item for it to be the doing of one of them.
const tillCommon = 3

// accuseTills says which merchants no longer ask their earlier prices. The items of a receipt have one customer, so
// that their evidence is averaged: a mean of e-values is one whatever they share.
func accuseTills(ds []*priceDetector, t *Tick) {
	c := t.Campaign
	if t.Day < c.Start || t.Day > c.End+1 {
		return
	}
	type shown struct {
		d     *priceDetector
		id    string
		m     *priceMerchant
		e     float64
		rises []*priceRise
	}
	all := map[uint64]*shown{}
	var list []*shown
	// What several merchants ask more for has become dearer: that is the market and no merchant's doing.
	risen := map[uint64]int{}
	for _, d := range ds {
		d.rises.Each(func(_ uint64, r *priceRise) { risen[r.sku]++ })
	}
	for _, d := range ds {
		d.rises.Each(func(key uint64, r *priceRise) {
			it := d.items.Find(key)
			if it == nil || it.flags&priceLabelled != 0 || it.run < tillRun || risen[r.sku] > tillCommon {
				return
			}
			s := all[r.merchant]
			if s == nil {
				m := d.merchants.Find(r.merchant)
				s = &shown{d: d, m: m, id: d.text(m.id)}
				all[r.merchant] = s
				list = append(list, s)
			}
			r.now = it.level[tillLow]
			s.rises = append(s.rises, r)
		})
	}
	slices.SortFunc(list, func(a, b *shown) int { return cmp.Compare(a.id, b.id) })
	for _, s := range list {
		if len(s.rises) < s.d.p.Items {
			continue
		}
		slices.SortFunc(s.rises, func(a, b *priceRise) int {
			return cmp.Or(cmp.Compare(uint64(b.now)*uint64(a.base), uint64(a.now)*uint64(b.base)), cmp.Compare(a.sku, b.sku))
		})
		for _, r := range s.rises { // in one order, for the sum
			it := s.d.items.Find(pairKey(r.merchant, r.sku))
			s.e += math.Exp(pToLLR(tillTail(int(it.receipts), int(it.run))))
		}
		judged := max(int(s.d.shops[s.m.row].till), len(s.rises))
		llr := math.Log(s.e / float64(judged))
		if llr < -math.Log(s.d.p.FalseAlarms) || llr <= float64(s.m.till) {
			continue
		}
		s.m.till = float32(llr)
		reason := s.d.env.Reason(Signal{
			Kind: &priceTillKind, LLR: min(llr, priceReceiptsLLR), Observed: float64(len(s.rises)), Expected: None, P: math.Exp(-llr), Note: s.d.table(s.rises),
			Aux: [6]float64{float64(judged)},
		})
		t.Find(ds[0].env, s.d.finding("T19", s.d.shops[s.m.row].key, s.m, t.Now, nil, []vw.Reason{reason}, t.Version))
	}
}
