package detectors

import (
	"math"

	vw "voucherwatch"
)

// What the customer was told and what was charged: surcharges on vouchers (T21) and original prices that
// never were (T20).

// pair takes in a receipt that is dearer than the label of the day (低标高结, 56号令 Art.19).
func (d *priceDetector) pair(v *Visit, m *priceMerchant, it *priceItem, surcharge float64) {
	key := v.Event.Merchant.Key
	m.pairs = min(m.pairs+1, math.MaxUint16-1)
	shown := it.shown(int32(v.Day))
	s := Signal{
		Kind: &priceSurchargeKind, LLR: pricePairLLR, Observed: float64(shown) * math.Exp(surcharge) / 100, Expected: float64(shown) / 100, P: None,
		Note: d.text(it.name), Aux: [6]float64{surcharge, float64(m.pairs)},
	}
	v.Say(d.env, s)
	waiting := append(d.pairs[key], v.Found())
	if int(m.pairs) < d.p.Pairs {
		d.pairs[key] = waiting
		return
	}
	delete(d.pairs, key)
	s.LLR = d.surchargeLLR(m)
	d.env.Find(d.finding("T21", key, m, v.T, waiting, []vw.Reason{priceEvidence(d.env.Reason(s), waiting)}, ""))
}

// What one piece of evidence says of surcharges as a log likelihood ratio, stated and not fitted: a
// paired difference is a record of the shop's own till, a complaint is one person's word.
const (
	pricePairLLR      = 2.5
	priceComplaintLLR = 1.6
	priceReferenceLLR = 7.0 // the legal test of an original price, with the days' prices at hand
	priceFurtherLLR   = 1.5 // each further one
)

func (d *priceDetector) surchargeLLR(m *priceMerchant) float64 {
	return pricePairLLR*float64(m.pairs) + priceComplaintLLR*float64(m.complaints[0]+m.complaints[1]+m.complaints[2])
}

// reference tests a struck-through price: it may not exceed the lowest price of the seven days before
// (56号令 Art.16), or the last price when there was none in them. With no price known it is not tested.
func (d *priceDetector) reference(b *vw.Batch, e *vw.Event, m *priceMerchant, it *priceItem, fen uint32, t vw.Millis, day int) {
	if it.seen == 0 || day < d.env.Campaign.Start-priceWindow || day > d.env.Campaign.End {
		return
	}
	it.roll(int32(day))
	if low := it.lowest(); d.exceeds(fen, low) {
		d.keep(b, e, m, it, e.SKU, day)
		if !it.falseRef {
			it.falseRef = true
			m.falseRefs++
		}
		reason := d.env.Reason(Signal{
			Kind: &priceReferenceKind, LLR: priceReferenceLLR + priceFurtherLLR*float64(m.falseRefs-1),
			Observed: float64(fen) / 100, Expected: float64(low) / 100, P: None, Note: d.text(it.name), Aux: [6]float64{float64(m.falseRefs)},
		})
		d.env.Find(d.finding("T20", e.Merchant.Key, m, t, nil, []vw.Reason{reason}, ""))
	} else if it.falseRef {
		it.falseRef = false // the tag was corrected: what was sold under it stays in the finding
	}
}

func (d *priceDetector) complain(b *vw.Batch, e *vw.Event, t vw.Millis, day int) {
	kind := int(e.Kind) - int(vw.PriceComplaint)
	if kind < 0 || kind > 2 || day < d.env.Campaign.Start || day > d.env.Campaign.End {
		return
	}
	m, _ := d.merchants.Get(e.Merchant.Key)
	m.complaints[kind] = min(m.complaints[kind]+1, 50)
	n := int(m.complaints[0]) + int(m.complaints[1]) + int(m.complaints[2])
	if n < d.p.Complaints {
		return
	}
	d.keepMerchant(b, e, m, day)
	reason := d.env.Reason(Signal{
		Kind: &priceComplaintKind, LLR: d.surchargeLLR(m), Observed: float64(n), Expected: None, P: None,
		Aux: [6]float64{float64(m.complaints[0]), float64(m.complaints[1]), float64(m.complaints[2])},
	})
	d.env.Find(d.finding("T21", e.Merchant.Key, m, t, nil, []vw.Reason{reason}, ""))
}

// priceEvidence names the redemptions in a reason.
func priceEvidence(r vw.Reason, rs []FoundRedemption) vw.Reason {
	for _, x := range rs[:min(20, len(rs))] {
		r.Evidence = append(r.Evidence, x.ID)
	}
	return r
}
