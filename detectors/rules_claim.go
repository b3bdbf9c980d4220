package detectors

import (
	"bytes"
	"fmt"
	"slices"

	vw "voucherwatch"
)

// The part of rulesVoucher that compares a redemption with the claim of its voucher: time (C02) and
// record (C05).

// claimLedger knows the redemptions whose claim has not come, and how many there were on each day.
type claimLedger struct {
	pending Table[unclaimed]
	seen    [ledgerDays]int64 // redemptions by day, modulo
	// whole is set while the days that were closed last had their claims.
	whole bool
}

const ledgerDays = 64

// unclaimed is a redemption whose voucher's claim has not come so far.
type unclaimed struct {
	id, merchant IDRef // in rulesVoucher.ids
	customer     uint64
	at           vw.Millis
	discount     vw.Fen
	day          int32
	kind         uint8
	dated        bool // it said when it was claimed
	came         bool
}

const (
	onTime = iota
	beforeClaim
	beforeRelease
	expired
	offHours
	offCampaign
	offAid
)

var (
	timeKind = &Kind{Code: "rules_voucher.time", Typology: "C02", Text: func(s *Signal) vw.Bilingual {
		t := wrongTimes[int(s.Aux[0])]
		return vw.Bilingual{Zh: fmt.Sprintf(t.Zh, s.Note), En: fmt.Sprintf(t.En, s.Note)}
	}}
	claimKind = &Kind{Code: "rules_voucher.claim", Typology: "C05", Text: func(s *Signal) vw.Bilingual {
		switch s.Aux[0] {
		case 1:
			return vw.Bilingual{Zh: "核销用户不是该券的领取人", En: "the voucher was claimed by another customer"}
		case 2:
			return vw.Bilingual{Zh: fmt.Sprintf("券种与领用记录不符：领的是 %s", s.Note), En: fmt.Sprintf("the voucher was claimed as another type, %s", s.Note)}
		}
		return vw.Bilingual{
			Zh: fmt.Sprintf("无领用记录：T+%d 后仍无该券的领取，而当日 %.1f%% 的核销都有", int(s.Aux[1]), 100*s.Aux[2]),
			En: fmt.Sprintf("nobody claimed the voucher by T+%d, while %.1f%% of that day's redemptions have a claim", int(s.Aux[1]), 100*s.Aux[2]),
		}
	}}
	wrongTimes = [...]vw.Bilingual{
		beforeClaim:   {Zh: "早于领取时间（%s）核销", En: "used before it was claimed (%s)"},
		beforeRelease: {Zh: "早于发放时间核销（%s）", En: "used before its release (%s)"},
		expired:       {Zh: "过期核销（%s）", En: "used after it had expired (%s)"},
		offHours:      {Zh: "不在任何券的有效时段内核销（%s）", En: "used when no voucher is valid (%s)"},
		offCampaign:   {Zh: "在活动期外核销（%s）", En: "used outside the campaign (%s)"},
		offAid:        {Zh: "在爱心券使用期外核销（%s）", En: "used outside the days of the vouchers of care (%s)"},
	}
)

// wrongTime tells what is wrong with a use at a moment, of a voucher claimed at another (0: not known),
// and by how much. Skew is granted on every border.
func (d *rulesVoucher) wrongTime(at, claimed vw.Millis) (what int, by vw.Millis) {
	c, off, skew := d.env.Campaign, d.env.Offset, vw.Millis(d.params.Skew)*vw.Second
	midnight := func(day int) vw.Millis { return vw.Millis(day)*vw.Day - vw.Millis(off)*vw.Minute }
	release, expire := vw.Millis(c.ReleaseMinute)*vw.Minute, vw.Millis(c.ExpireMinute)*vw.Minute
	switch first, end := midnight(c.Start), midnight(c.End+1); {
	case at < first-skew:
		return offCampaign, first - at
	case at >= end+skew:
		return offCampaign, at - end
	}
	if claimed == 0 {
		day := midnight(vw.DayOf(at, off))
		if at >= day+release-skew && at < day+expire+skew || at < day-vw.Day+expire+skew {
			return onTime, 0
		}
		if at >= day+expire {
			return offHours, at - day - expire
		}
		return offHours, day + release - at
	}
	day := midnight(vw.DayOf(claimed, off))
	switch {
	case at < claimed-skew:
		return beforeClaim, claimed - at
	case at < day+release-skew:
		return beforeRelease, day + release - at
	case at >= day+expire+skew:
		return expired, at - day - expire
	}
	return onTime, 0
}

// time checks the moment of a use.
func (d *rulesVoucher) time(v *Visit, claimed vw.Millis) {
	if what, by := d.wrongTime(v.T, claimed); what != onTime {
		s := d.timeSignal(what, by, v.T, claimed)
		s.Evidence = []IDRef{v.Keep(d.env)}
		v.Break(d.env, timeKind, s, vw.Subject{Kind: "merchant", ID: v.MerchantID()}, campaignPeriod)
	}
}

func (d *rulesVoucher) timeSignal(what int, by, at, claimed vw.Millis) Signal {
	const layout = "2006-01-02 15:04:05"
	zone := d.env.Campaign.Zone
	note := at.Time(zone).Format(layout)
	if claimed != 0 {
		note = claimed.Time(zone).Format(layout) + " → " + note
	}
	return Signal{Observed: float64(by / vw.Second), Expected: None, P: None, Note: note, Aux: [6]float64{float64(what)}}
}

// days checks the first and last day of a balance voucher.
func (d *rulesVoucher) days(v *Visit) {
	skew := vw.Millis(d.params.Skew) * vw.Second
	early, late := vw.DayOf(v.T+skew, d.env.Offset), vw.DayOf(v.T-skew, d.env.Offset)
	if w := v.Voucher; early >= w.From && late <= w.Until {
		return
	}
	s := d.timeSignal(offAid, 0, v.T, 0)
	s.Evidence = []IDRef{v.Keep(d.env)}
	v.Break(d.env, timeKind, s, vw.Subject{Kind: "merchant", ID: v.MerchantID()}, campaignPeriod)
}

// claim compares a use with the claim, or waits for it.
func (d *rulesVoucher) claim(v *Visit, u *voucherUse) {
	e, l := v.Event, &d.claims
	dated := e.Has&vw.FieldClaimedAt != 0
	l.seen[uint(v.Day)%ledgerDays]++
	if u.owner == 0 {
		if !dated || !l.whole {
			v.Blind(d.env, vw.FieldClaimedAt)
		}
		if p, isNew := l.pending.Get(e.Voucher.Key); isNew || p.came {
			*p = unclaimed{
				id: u.id, merchant: d.ids.Keep(v.Batch.Bytes(e.Merchant.Text), v.Day), customer: e.Customer.Key, at: v.T,
				discount: e.DiscountFen, day: int32(v.Day), kind: e.VoucherType, dated: dated || v.Future,
			}
		}
		return
	}
	if s, ok := d.otherClaim(u, e.Customer.Key, e.VoucherType); ok {
		s.Evidence = []IDRef{v.Keep(d.env)}
		v.Break(d.env, claimKind, s, vw.Subject{Kind: "merchant", ID: v.MerchantID()}, campaignPeriod)
	}
}

// otherClaim tells whether the claim is of another customer or type.
func (d *rulesVoucher) otherClaim(u *voucherUse, customer uint64, kind uint8) (s Signal, other bool) {
	s = Signal{Observed: 1, Expected: None, P: None}
	switch {
	case u.owner != customer:
		s.Aux[0] = 1
	case u.kind != kind:
		s.Aux[0], s.Note = 2, d.env.Campaign.Vouchers[u.kind].Name
	default:
		return s, false
	}
	return s, true
}

// claimCame compares a claim with the use that came before it.
func (d *rulesVoucher) claimCame(voucher uint64, u *voucherUse) {
	if d.claims.pending.Len() == 0 {
		return
	}
	p := d.claims.pending.Find(voucher)
	if p == nil || p.came {
		return
	}
	p.came = true
	if s, ok := d.otherClaim(u, p.customer, p.kind); ok {
		d.raiseClaim(d.env, claimKind, s, p)
	}
	if p.dated {
		return
	}
	// What was wrong without the claim has been told; the claim may only tell more.
	if before, _ := d.wrongTime(p.at, 0); before == onTime {
		if what, by := d.wrongTime(p.at, u.claimed); what != onTime {
			d.raiseClaim(d.env, timeKind, d.timeSignal(what, by, p.at, u.claimed), p)
		}
	}
}

// raiseClaim raises a finding after the fact, through the environment env.
func (d *rulesVoucher) raiseClaim(env *Env, kind *Kind, s Signal, p *unclaimed) {
	id, merchant := d.ids.Bytes(p.id), string(d.ids.Bytes(p.merchant))
	if id == nil || merchant == "" {
		return
	}
	s.Evidence = []IDRef{env.Arena.Keep(id, int(p.day))}
	s = env.breach(kind, s)
	env.Find(env.breachFound(&s, p.at, vw.Subject{Kind: "merchant", ID: merchant}, campaignPeriod, []string{merchant},
		FoundRedemption{ID: string(id), At: p.at, Discount: p.discount}))
}

// learnClaims closes the days whose claims have had time to come: where a day has its claims, what has
// none is told.
func learnClaims(peers []Detector, t *Tick) {
	if !t.NewDay && !t.Last {
		return
	}
	lead := peers[0].(*rulesVoucher)
	type missing struct {
		*unclaimed
		d *rulesVoucher
	}
	var due []missing
	lacking := map[int32]int64{}
	close := int32(t.Day - lead.params.Wait - 1) // the last day to be closed
	if t.Last {
		close = int32(t.Day) // no claim will come any more
	}
	for _, peer := range peers {
		peer.(*rulesVoucher).claims.pending.Sweep(func(_ uint64, p *unclaimed) bool {
			if p.came {
				return false
			}
			lacking[p.day]++
			return true
		})
	}
	share := func(day int32) float64 {
		var seen int64
		for _, peer := range peers {
			seen += peer.(*rulesVoucher).claims.seen[uint(day)%ledgerDays]
		}
		if seen == 0 {
			return 0
		}
		return 1 - float64(lacking[day])/float64(seen)
	}
	shares := map[int32]float64{} // of the days that are closed and had their claims
	for day := range lacking {
		if s := share(day); day <= close && s >= lead.params.Feed {
			shares[day] = s
		}
	}
	for _, peer := range peers {
		if d := peer.(*rulesVoucher); len(shares) > 0 {
			d.claims.pending.Each(func(_ uint64, p *unclaimed) {
				if _, ok := shares[p.day]; ok {
					due = append(due, missing{p, d})
				}
			})
		}
	}
	slices.SortFunc(due, func(a, b missing) int {
		if a.at != b.at {
			return int(max(-1, min(1, a.at-b.at)))
		}
		return bytes.Compare(a.d.ids.Bytes(a.id), b.d.ids.Bytes(b.id))
	})
	for _, m := range due {
		// Through one slot's environment, so that they are found in this order.
		m.d.raiseClaim(lead.env, claimKind, Signal{Observed: 0, Expected: 1, P: None, Aux: [6]float64{0, float64(lead.params.Wait), shares[m.day]}}, m.unclaimed)
	}
	whole := share(close) >= lead.params.Feed
	for _, peer := range peers {
		l := &peer.(*rulesVoucher).claims
		l.whole = whole
		l.pending.Sweep(func(_ uint64, p *unclaimed) bool { return p.day > close })
		if t.NewDay { // the slot that the coming days will count in
			for k := 1; k <= ledgerDays/4; k++ {
				l.seen[uint(t.Day+k)%ledgerDays] = 0
			}
		}
	}
}
