package detectors

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	vw "voucherwatch"
)

var cashRedemption = &Kind{Code: "cashout.redemption", Typology: "T06", Window: "60d", Text: func(s *Signal) vw.Bilingual {
	zh, en := "本笔符合套现特征", "this redemption looks like cash-out"
	for i := range traitNames {
		if s.marks>>i&1 == 1 {
			zh += "、" + traitNames[i].Zh
			en += ", " + traitNames[i].En
		}
	}
	return vw.Bilingual{
		Zh: fmt.Sprintf("%s（似然比 %.1f）；商户累积证据 ln E=%.1f，报警线 %.1f", zh, math.Exp(clip(s.Observed, -9, 9)), s.level, s.Expected),
		En: fmt.Sprintf("%s (likelihood ratio %.1f); the merchant's evidence is ln E=%.1f, alarm at %.1f", en, math.Exp(clip(s.Observed, -9, 9)), s.level, s.Expected),
	}
}}

var traitNames = [traits]vw.Bilingual{
	byGoods:   {Zh: "无商品明细或仅一行", En: "no receipt lines, or one only, where this shop sends more"},
	byAmount:  {Zh: "金额贴近门槛", En: "an amount just above the threshold"},
	byTier:    {Zh: "大面额券", En: "a dear voucher"},
	byBasket:  {Zh: "金额雷同", En: "the same sum again"},
	byCustom:  {Zh: "老面孔反复核销", En: "a customer who keeps coming back"},
	byDevice:  {Zh: "多账号共用设备", En: "several accounts on one device"},
	byOwner:   {Zh: "经营者账号", En: "the owner's own account"},
	byClaim:   {Zh: "领券后即核销", En: "redeemed right after the claim"},
	byArrival: {Zh: "集中或等间隔核销", En: "a burst, or a steady beat"},
	byClock:   {Zh: "时段异常", En: "an unusual hour"},
	byPlace:   {Zh: "异地出示", En: "a code shown far away"},
}

// tell scores the redemption and, when the merchant's evidence is strong, raises the finding.
func (d *cashout) tell(v *Visit, s *till, shown [traits]float64, llr, before float64) {
	level := max(before, s.level)
	merchant := d.Prior + d.MerchantWeight*max(0, level-d.Offset)
	// A lone redemption accuses nobody: it is told only once the merchant's own evidence has begun to grow.
	if llr < 0 || merchant < d.Prior+1 {
		return
	}
	// The odds that this redemption is one of the merchant's frauds: the merchant's odds times the
	// share of fraud there times what the redemption itself shows.
	p := logistic(merchant) * s.share()
	own := math.Log(p/(1-p)) + clip(llr, -3, 4)
	signal := own - d.env.settings.Prior
	if signal < .5 {
		return
	}
	ids := d.recent(s)
	marks := uint16(0)
	for i, x := range shown {
		if x >= d.Mark {
			marks |= 1 << i
		}
	}
	v.Say(d.env, Signal{Kind: cashRedemption, LLR: signal, Observed: llr, Expected: d.Alarm, P: None, marks: marks, level: level, Evidence: ids})
	if level < d.Alarm || merchant < s.raised+.2 && llr < 1 {
		return
	}
	if s.raised > 0 {
		s.raised, s.raisedAt = max(s.raised, merchant), max(s.raisedAt, level)
		if !s.pending {
			s.pending = true
			d.pending = append(d.pending, v.Merchant)
		}
		return // revised with the hour: the list may be long
	}
	s.raised, s.raisedAt = max(merchant, 1e-9), level
	f, ok := d.found(v.Merchant, v.T, s)
	if !ok {
		s.raised = 0 // too few to name: with a further one, perhaps
		return
	}
	d.env.Find(f)
}

func (d *cashout) recent(s *till) []IDRef {
	if len(d.ids) > 1<<14 {
		d.ids = nil
	}
	start := len(d.ids)
	for i := max(0, len(s.suspicious)-20); i < len(s.suspicious); i++ {
		d.ids = append(d.ids, s.suspicious[i].ID)
	}
	return d.ids[start:len(d.ids):len(d.ids)]
}

var cashMerchant = &Kind{Code: "cashout.merchant", Typology: "T06", Window: "60d", Text: func(s *Signal) vw.Bilingual {
	zh := fmt.Sprintf("本店 %.0f 笔核销中 %.0f 笔同时具有多项套现特征：", s.Aux[0], s.Observed)
	en := fmt.Sprintf("%.0f of this shop's %.0f redemptions show several marks of cash-out at once: ", s.Observed, s.Aux[0])
	return vw.Bilingual{
		Zh: zh + s.Note + fmt.Sprintf("；%.0f 名顾客；累积证据 ln E=%.1f（报警线 %.1f：在所学基准成立时，误报不多于每 %.0f 万笔一次）", s.Aux[1], s.level, s.Aux[2], math.Exp(s.Aux[2])/1e4),
		En: en + s.noteEn + fmt.Sprintf("; %.0f customers; evidence ln E=%.1f (alarm at %.1f: as far as the nulls hold, at most one false alarm in %.0f,000 redemptions)", s.Aux[1], s.level, s.Aux[2], math.Exp(s.Aux[2])/1e3),
	}
}}

// found states the case against the merchant: the suspicious redemptions, and which features carry it.
func (d *cashout) found(m *Profile, at vw.Millis, s *till) (f Found, ok bool) {
	logOdds, level := s.raised, s.raisedAt
	var redemptions []FoundRedemption
	customers := map[uint32]bool{}
	sure := 0.0 // mean probability of those listed
	for _, x := range s.suspicious {
		o := odds(logistic(logOdds)*s.share()) * math.Exp(clip(float64(x.llr), -3, 4))
		if b := d.env.Arena.Bytes(x.ID); b != nil && o > 2 {
			sure += o / (1 + o)
			redemptions = append(redemptions, FoundRedemption{ID: string(b), At: x.At, Discount: vw.Fen(x.Discount)})
			customers[x.Customer] = true
		}
	}
	if len(redemptions) < 3 {
		return f, false
	}
	// A redemption takes over the score of a finding that lists it, so the finding's is what the merchant's
	// and the listed redemptions' probabilities come to together.
	logOdds = math.Log(odds(min(logistic(logOdds)*sure/float64(len(redemptions)), .999)))
	order := make([]trait, traits)
	for i := range order {
		order[i] = trait(i)
	}
	slices.SortStableFunc(order, func(a, b trait) int { return cmp.Compare(s.shown[b], s.shown[a]) })
	sig := Signal{
		Kind: cashMerchant, LLR: logOdds - d.Prior, Observed: float64(len(redemptions)), Expected: None, P: math.Exp(-level), level: level,
		Aux: [6]float64{float64(s.total), float64(len(customers)), d.Alarm}, Evidence: d.recent(s), Peers: m.Category.String(),
	}
	for _, i := range order[:3] {
		if s.shown[i] <= 0 {
			continue
		}
		if sig.Note != "" {
			sig.Note += "、"
			sig.noteEn += ", "
		}
		sig.Note += traitNames[i].Zh
		sig.noteEn += traitNames[i].En
	}
	return Found{
		Typology: "T06", Subject: vw.Subject{Kind: "merchant", ID: m.ID}, Period: "campaign", At: at, LogOdds: logOdds,
		Redemptions: redemptions, Replace: true, Subsidy: SumOfDiscounts, Merchants: []string{m.ID}, Reasons: []vw.Reason{d.env.Reason(sig)},
	}, true
}
