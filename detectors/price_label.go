package detectors

import (
	"math"

	vw "voucherwatch"
)

// What the customer was told and what was charged: surcharges on vouchers (T21) and original prices that
// never were (T20).

// pair takes in a receipt that is dearer than the label of the day (低标高结, 56号令 Art.19).
func (d *priceDetector) pair(v *Visit, m *priceMerchant, sku vw.Ref, label uint32, surcharge float64) {
	key := v.Event.Merchant.Key
	d.keepMerchant(v.Batch, v.Event, m, v.Day)
	m.pairs = min(m.pairs+1, math.MaxUint16-1)
	if day := uint16(v.Day); day > m.pairDay {
		m.pairDay, m.pairDays = day, m.pairDays+1
	}
	// One difference may be a slip or a label that the shop was about to change; what follows on other days is not.
	llr := pricePairLLR
	if int(m.pairs) >= d.p.Pairs {
		llr = max(llr, d.surchargeLLR(m))
	}
	s := Signal{
		Kind: &priceSurchargeKind, LLR: llr, Observed: float64(label) * math.Exp(surcharge) / 100, Expected: float64(label) / 100, P: None,
		Note: v.Batch.String(sku.Text), Aux: [6]float64{surcharge, float64(m.pairs)},
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

// What one piece of evidence says as a log likelihood ratio, stated and not fitted. A paired difference is a record
// of the shop's own till; further ones of the same day may come from one label that was late. A
// complaint is one person's word. A struck-through price that was asked in the weeks before, but not in the last seven days, breaks the
// legal test and may be a sale that ended; one that was never asked is made up.
const (
	pricePairLLR       = 2.5
	priceSameDayLLR    = 0.5
	priceComplaintLLR  = 1.6
	priceComplaintsLLR = 5.5
	priceWasLLR        = 3.0
	priceWasMoreLLR    = 0.5
	priceNeverLLR      = 5.5
	priceNeverMoreLLR  = 1.5
)

func (d *priceDetector) surchargeLLR(m *priceMerchant) float64 {
	return pricePairLLR*float64(m.pairDays) + priceSameDayLLR*float64(m.pairs-m.pairDays) + d.complaintLLR(m)
}

// complaintLLR is of a Poisson number of complaints that is e^priceComplaintLLR times what so many redemptions bring: who
// has many customers has some that complain. However many, they stay a lead for a visit.
func (d *priceDetector) complaintLLR(m *priceMerchant) float64 {
	k := float64(m.complaints[0]) + float64(m.complaints[1]) + float64(m.complaints[2])
	usual := d.complaining * float64(m.visits)
	return clip(priceComplaintLLR*k-math.Expm1(priceComplaintLLR)*usual, 0, priceComplaintsLLR)
}

// learnComplaints learns how many complaints a redemption brings.
func learnComplaints(ds []*priceDetector) {
	complaints, visits := 0, 0
	for _, d := range ds {
		complaints += d.complaints
		visits += d.visits
	}
	for _, d := range ds {
		d.complaining = (float64(complaints) + 1) / (float64(visits) + 3000)
	}
}

func (d *priceDetector) referenceLLR(m *priceMerchant) float64 {
	was, never := float64(m.falseRefs-m.neverRefs), float64(m.neverRefs)
	switch {
	case never > 0:
		return priceNeverLLR + priceNeverMoreLLR*(never-1) + priceWasMoreLLR*was
	case was > 0:
		return priceWasLLR + priceWasMoreLLR*(was-1)
	}
	return 0
}

// reference tests a struck-through price: it may not exceed the lowest price of the seven days before
// (56号令 Art.16), or the last price when there was none in them. With no price known it is not tested.
func (d *priceDetector) reference(b *vw.Batch, e *vw.Event, m *priceMerchant, it *priceItem, fen uint32, t vw.Millis, day int) {
	if it.flags&priceLabelled == 0 || day < d.env.Campaign.Start-priceWindow || day > d.env.Campaign.End || uint16(day) < it.day {
		return
	}
	it.roll(uint16(day))
	low := it.lowest()
	if !d.exceeds(fen, low) {
		it.flags &^= priceFalseRef // the tag was corrected: what was sold under it stays in the finding
		return
	}
	d.keepMerchant(b, e, m, day)
	if it.flags&priceFalseRef == 0 {
		it.flags |= priceFalseRef
		m.falseRefs = min(m.falseRefs+1, math.MaxUint16-1)
		if d.exceeds(fen, it.highest()) {
			m.neverRefs = min(m.neverRefs+1, math.MaxUint16-1)
		}
	}
	reason := d.env.Reason(Signal{
		Kind: &priceReferenceKind, LLR: d.referenceLLR(m),
		Observed: float64(fen) / 100, Expected: float64(low) / 100, P: None, Note: b.String(e.SKU.Text), Aux: [6]float64{float64(m.falseRefs)},
	})
	d.env.Find(d.finding("T20", e.Merchant.Key, m, t, nil, []vw.Reason{reason}, ""))
}

func (d *priceDetector) complain(b *vw.Batch, e *vw.Event, t vw.Millis, day int) {
	kind := int(e.Kind) - int(vw.PriceComplaint)
	if kind < 0 || kind > 2 || day < d.env.Campaign.Start || day > d.env.Campaign.End {
		return
	}
	m := d.merchant(e.Merchant.Key)
	m.complaints[kind] = min(m.complaints[kind]+1, 50)
	d.complaints++
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
