package detectors

import (
	"fmt"
	"math"

	vw "voucherwatch"
)

// ownerTill are the redemptions of the registered owners at their own shop.
type ownerTill struct {
	n   int32
	ids []Kept
}

func (o *ownerTill) sweep(cut vw.Millis) {
	kept := o.ids[:0]
	for _, x := range o.ids {
		if x.At >= cut {
			kept = append(kept, x)
		}
	}
	o.ids = kept
}

var cashOwner = &Kind{Code: "cashout.owner", Typology: "T05", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	return vw.Bilingual{
		Zh: fmt.Sprintf("登记的经营者账号在本店核销 %.0f 笔，占本店 %.0f 笔的 %s（自家偶尔购物应不超过 5%%）", s.Observed, s.Aux[0], percent(s.Observed/s.Aux[0])),
		En: fmt.Sprintf("accounts registered to the owner redeemed %.0f times here, %s of the shop's %.0f (own shopping should stay under 5 %%)", s.Observed, percent(s.Observed/s.Aux[0]), s.Aux[0]),
	}
}}

// ownerVisit watches redemptions by the merchant's registered owners (T05): one is shopping, many are not.
func (d *cashout) ownerVisit(v *Visit, s *till) {
	if len(v.Merchant.Owners) == 0 || !v.Merchant.OwnedBy(v.Event.Customer.Key) {
		return
	}
	o := &s.owner
	o.n++
	if len(o.ids) < 200 {
		o.ids = append(o.ids, Kept{ID: v.Keep(d.env), At: v.T, Discount: v.Event.DiscountFen})
	}
	p := binomialTail(int(o.n), int(s.total), .05)
	llr := clip(-math.Log(max(p, 1e-12)), 0, 12)
	if o.n < 3 {
		llr = min(llr, 2)
	}
	var ids []IDRef
	for _, k := range o.ids[max(0, len(o.ids)-20):] {
		ids = append(ids, k.ID)
	}
	sig := Signal{Kind: cashOwner, LLR: 2 + llr/2, Observed: float64(o.n), Expected: .05 * float64(s.total), P: p, Aux: [6]float64{float64(s.total)}, Evidence: ids}
	v.Say(d.env, sig)
	logOdds := d.Prior + llr*.6 + 1
	if o.n < 3 || logOdds < 0 {
		return
	}
	found := make([]FoundRedemption, 0, len(o.ids))
	for _, k := range o.ids {
		if b := d.env.Arena.Bytes(k.ID); b != nil {
			found = append(found, FoundRedemption{ID: string(b), At: k.At, Discount: k.Discount})
		}
	}
	d.env.Find(Found{
		Typology: "T05", Subject: vw.Subject{Kind: "merchant", ID: v.Merchant.ID}, Period: "campaign", At: v.T, LogOdds: logOdds,
		Redemptions: found, Subsidy: SumOfDiscounts, Merchants: []string{v.Merchant.ID}, Reasons: []vw.Reason{d.env.Reason(sig)},
	})
}
