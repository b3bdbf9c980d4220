package detectors

import (
	"fmt"

	vw "voucherwatch"
)

// rulesVoucher follows each voucher from claim to use: used twice (T18), used at a wrong time (C02), by
// another than who claimed it or by nobody who did (C05); and 爱心 vouchers by whom they are for (T24,
// rules_love.go).
//
//	Key:   voucher.  State: 72 B per voucher until three days after its day, and the identifiers of its
//	       last use; 爱心 accounts until the end.
//	Late:  judged by its own time.
//	Basis: campaign plan (released 10:00, valid until 23:59 of the day); regulation 6, invariants; T18.
type rulesVoucher struct {
	env    *Env
	params rulesVoucherParams
	uses   Table[voucherUse]
	// returned are the redemptions whose refund gave the voucher back, with the refund's time.
	returned Table[vw.Millis]
	ids      Arena // redemption and merchant ids of the last days
	claims   claimLedger
	love     loveRules
}

type rulesVoucherParams struct {
	// Skew is how far, in seconds, the clocks of a terminal and of the platform may differ. Clocks that
	// are set over the network differ by seconds, by more than a minute those that are not.
	Skew int64 `yaml:"skew_seconds"`
	// Wait is how many whole days after the redemption its claim may still arrive: T+2, as for files.
	Wait int `yaml:"claim_wait_days"`
	// Feed is the least share of a day's redemptions that have a claim for the day's claims feed to be
	// taken as whole. What misses more is a broken feed and not so many vouchers.
	Feed float64 `yaml:"claim_feed"`
}

// voucherUse is what is known of a voucher: its claim and its last redemption.
type voucherUse struct {
	claimed  vw.Millis // of the claim event; 0 unknown
	owner    uint64    // who claimed it; 0 unknown
	last     uint64    // key of the last redemption's id; 0 unused
	merchant uint64
	order    vw.Fen
	at       vw.Millis
	id       IDRef // of the last redemption, in ids
	day      int32 // of the latest event
	kind     uint8 // type claimed
}

const voucherHorizon = 3 // days that a voucher is remembered after its day

var twiceKind = &Kind{Code: "rules_voucher.twice", Typology: "T18", Text: func(s *Signal) vw.Bilingual {
	if s.Aux[1] == 1 {
		return vw.Bilingual{
			Zh: fmt.Sprintf("同一券以另一编号重复清算：同商户、同金额，相隔 %s", gapZh(s.Aux[0])),
			En: fmt.Sprintf("the same voucher was settled again under another number: same merchant, same amount, %s apart", gapEn(s.Aux[0])),
		}
	}
	return vw.Bilingual{
		Zh: fmt.Sprintf("同一券再次核销，与上次相隔 %s，期间无退券", gapZh(s.Aux[0])),
		En: fmt.Sprintf("the voucher was used before, %s apart, and no refund is known that gave it back", gapEn(s.Aux[0])),
	}
}}

// gapZh says a number of seconds.
func gapZh(s float64) string {
	switch {
	case s < 120:
		return fmt.Sprintf("%.0f 秒", s)
	case s < 7200:
		return fmt.Sprintf("%.0f 分钟", s/60)
	}
	return fmt.Sprintf("%.1f 小时", s/3600)
}

func gapEn(s float64) string {
	switch {
	case s < 120:
		return fmt.Sprintf("%.0f s", s)
	case s < 7200:
		return fmt.Sprintf("%.0f min", s/60)
	}
	return fmt.Sprintf("%.1f h", s/3600)
}

func init() {
	register(Spec{
		Name: "rules_voucher", Lane: VoucherLane, Daily: true, Late: true, Typologies: []string{"T18", "T24", "C02", "C05"},
		Title:  vw.Bilingual{Zh: "券的硬规则：重复核销、时间、领用记录、爱心券", En: "hard rules of the voucher: used twice, time, claim, and who may use a voucher of care"},
		Events: []vw.EventType{vw.ClaimEvent, vw.RefundEvent, vw.BeneficiaryEvent},
		New: func(env *Env) (Detector, error) {
			d := &rulesVoucher{env: env, params: rulesVoucherParams{Skew: 90, Wait: 2, Feed: 0.98}, love: newLoveRules(env)}
			return d, env.Params(&d.params)
		},
		Learn: learnClaims,
	})
}

// Apply takes in claims, refunds and rows of the 爱心 list.
func (d *rulesVoucher) Apply(b *vw.Batch, e *vw.Event, t vw.Millis) {
	switch e.Type {
	case vw.ClaimEvent:
		if d.env.Campaign.Vouchers[e.VoucherType].Balance {
			d.love.claim(e)
			return
		}
		u, _ := d.uses.Get(e.Voucher.Key)
		if t >= u.claimed {
			u.claimed, u.owner, u.kind = t, e.Customer.Key, e.VoucherType
		}
		u.day = max(u.day, int32(vw.DayOf(t, d.env.Offset)))
		d.claimCame(e.Voucher.Key, u)
	case vw.RefundEvent:
		if d.love.refund(e) {
			return
		}
		if e.Returned {
			at, _ := d.returned.Get(e.Target.Key)
			*at = t
		}
	case vw.BeneficiaryEvent:
		d.love.row(e)
	}
}

// Visit checks use, time and claim.
func (d *rulesVoucher) Visit(v *Visit) {
	e := v.Event
	if v.Voucher.Balance {
		d.love.visit(v)
		if !v.Future {
			d.days(v)
		}
		return
	}
	u, _ := d.uses.Get(e.Voucher.Key)
	d.twice(v, u)
	u.last, u.merchant, u.order, u.at = e.ID.Key, e.Merchant.Key, e.OrderFen, v.T
	u.id = d.ids.Keep(v.Batch.Bytes(e.ID.Text), v.Day)
	u.day = max(u.day, int32(v.Day))
	claimed := u.claimed
	if e.Has&vw.FieldClaimedAt != 0 {
		claimed = e.ClaimedAt
	}
	if !v.Future { // its time is not known
		d.time(v, claimed)
	}
	d.claim(v, u)
}

// twice: the voucher was used before and has not come back.
func (d *rulesVoucher) twice(v *Visit, u *voucherUse) {
	e := v.Event
	if u.last == 0 || d.restored(u.last) {
		return
	}
	s := Signal{Observed: 2, Expected: 1, P: None, Evidence: []IDRef{v.Keep(d.env)}}
	s.Aux[0] = float64(max(v.T-u.at, u.at-v.T)) / float64(vw.Second)
	if u.merchant == e.Merchant.Key && u.order == e.OrderFen && s.Aux[0] <= float64(d.params.Skew) {
		s.Aux[1] = 1
	}
	if id := d.ids.Bytes(u.id); id != nil {
		s.Evidence = append(s.Evidence, d.env.Arena.Keep(id, v.Day))
	}
	v.Break(d.env, twiceKind, s, vw.Subject{Kind: "voucher", ID: v.Batch.String(e.Voucher.Text)}, campaignPeriod)
}

// restored tells whether a refund of the redemption gave the voucher back. Where the plan does not say
// whether it may, the refund is believed; whether a refund kept the policy is rules_refund's question.
func (d *rulesVoucher) restored(redemption uint64) bool {
	switch d.env.Campaign.RefundPolicy {
	case vw.NoReturnProportional, vw.NoReturnNet:
		return false
	}
	return d.returned.Find(redemption) != nil
}

// Touch has the voucher on its way.
func (d *rulesVoucher) Touch(v *Visit) uint64 { return d.uses.Touch(v.Event.Voucher.Key) }

// Sweep forgets vouchers whose day is over.
func (d *rulesVoucher) Sweep(now vw.Millis) {
	oldest := vw.DayOf(now, d.env.Offset) - voucherHorizon
	d.uses.Sweep(func(_ uint64, u *voucherUse) bool { return int(u.day) >= oldest })
	d.returned.Sweep(func(_ uint64, at *vw.Millis) bool { return vw.DayOf(*at, d.env.Offset) >= oldest })
	d.ids.Drop(oldest - d.params.Wait)
}

// Size counts the vouchers.
func (d *rulesVoucher) Size() (keys, bytes int) {
	keys, bytes = d.love.size()
	return keys + d.uses.Len(), bytes + d.uses.Bytes() + d.returned.Bytes() + d.claims.pending.Bytes() + d.ids.Size()
}
