package detectors

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	vw "voucherwatch"
)

// rulesRefund reconciles refunds with the redemptions they undo (T17): no more than the order, of a
// redemption that the merchant made for that customer, and the voucher back only where the campaign's
// policy gives it back. Where the plan records no policy only the impossible is a finding.
//
//	Key:   merchant/redemption.  State: 40 B per redemption and 14 B of index for the horizon, refunds in wait.
//	Late:  counted.
//	Basis: catalogue T17 (any difference above 1 fen unexplained after T+2).
type rulesRefund struct {
	env    *Env
	params rulesRefundParams
	orders Table[refundable]
	// waiting are refunds of redemptions not seen so far: a redemption may come after its refund.
	waiting []refundWaiting
	started vw.Millis // when the stream began, by Learn; 0 before that
}

type rulesRefundParams struct {
	// Tolerance, in fen, is what rounding explains (regulation 5.3: plus or minus 1).
	Tolerance vw.Fen `yaml:"tolerance_fen"`
	// Wait, in hours, is how long a refund waits for its redemption: T+2.
	Wait int64 `yaml:"wait_hours"`
	// Horizon, in days, is how long a redemption can be refunded and is remembered.
	Horizon int `yaml:"horizon_days"`
}

// refundable is a redemption that may be refunded: 32 bytes. Money is in fen, up to 42 million yuan.
type refundable struct {
	at                        vw.Millis
	customer                  uint32 // low half of the key
	order, refunded, discount uint32
	count                     uint16
	balance                   bool // of an aid voucher, which outlives its day
}

// fen32 is an amount of money that is not negative, as far as it fits.
func fen32(f vw.Fen) uint32 { return uint32(max(0, min(f, math.MaxUint32))) }

type refundWaiting struct {
	key                  uint64
	at                   vw.Millis
	amount               vw.Fen
	customer             uint64
	returned             bool
	id, target, merchant string // refunds of unknown redemptions are few
}

var (
	refundSumKind = &Kind{Code: "rules_refund.sum", Typology: "T17", Text: func(s *Signal) vw.Bilingual {
		return vw.Bilingual{
			Zh: fmt.Sprintf("%d 笔退款合计 %s，超过订单金额 %s", int(s.Aux[0]), vw.Fen(s.Observed).Yuan(), vw.Fen(s.Expected).Yuan()),
			En: fmt.Sprintf("%d refund(s) of %s in all exceed the order of %s", int(s.Aux[0]), vw.Fen(s.Observed).Yuan(), vw.Fen(s.Expected).Yuan()),
		}
	}}
	refundCustomerKind = &Kind{Code: "rules_refund.customer", Typology: "T17", Text: func(s *Signal) vw.Bilingual {
		return vw.Bilingual{
			Zh: fmt.Sprintf("退款 %s 退给了原核销用户以外的人", vw.Fen(s.Observed).Yuan()),
			En: fmt.Sprintf("a refund of %s went to another than the customer who redeemed", vw.Fen(s.Observed).Yuan()),
		}
	}}
	refundVoucherKind = &Kind{Code: "rules_refund.voucher", Typology: "T17", Text: func(s *Signal) vw.Bilingual {
		switch vw.RefundPolicy(s.Note) {
		case vw.RefundPolicyUnrecorded:
			return vw.Bilingual{
				Zh: fmt.Sprintf("退款 %s 在券失效之后退回了消费券", vw.Fen(s.Observed).Yuan()),
				En: fmt.Sprintf("a refund of %s gave the voucher back after it had expired", vw.Fen(s.Observed).Yuan()),
			}
		case vw.FullReturnInValidity:
			return vw.Bilingual{
				Zh: fmt.Sprintf("退款 %s（订单 %s）退回了消费券：仅当日全额退款才可退券", vw.Fen(s.Observed).Yuan(), vw.Fen(s.Expected).Yuan()),
				En: fmt.Sprintf("a refund of %s of an order of %s gave the voucher back; only a full refund within its validity may", vw.Fen(s.Observed).Yuan(), vw.Fen(s.Expected).Yuan()),
			}
		}
		return vw.Bilingual{
			Zh: fmt.Sprintf("退款 %s 退回了消费券：按活动规则已核销的券不退回", vw.Fen(s.Observed).Yuan()),
			En: fmt.Sprintf("a refund of %s gave the voucher back; under the campaign's rules a used voucher stays used", vw.Fen(s.Observed).Yuan()),
		}
	}}
	refundUnknownKind = &Kind{Code: "rules_refund.unknown", Typology: "T17", Text: func(s *Signal) vw.Bilingual {
		return vw.Bilingual{
			Zh: fmt.Sprintf("退款 %s 找不到原核销：T+2 后该商户仍无编号 %s 的核销记录", vw.Fen(s.Observed).Yuan(), s.Note),
			En: fmt.Sprintf("a refund of %s of a redemption %s that the merchant had not made by T+2", vw.Fen(s.Observed).Yuan(), s.Note),
		}
	}}
)

func init() {
	register(Spec{
		Name: "rules_refund", Lane: MerchantLane, Late: true, Typologies: []string{"T17"},
		Title:  vw.Bilingual{Zh: "退款差异：退款与原核销对不上", En: "refunds that do not agree with the redemption they undo"},
		Events: []vw.EventType{vw.RefundEvent},
		New: func(env *Env) (Detector, error) {
			d := &rulesRefund{env: env, params: rulesRefundParams{Tolerance: 1, Wait: 48, Horizon: 30}}
			return d, env.Params(&d.params)
		},
		Learn: learnRulesRefund,
	})
}

func (d *rulesRefund) Touch(v *Visit) uint64 {
	return d.orders.Touch(pairKey(v.Event.Merchant.Key, v.Event.ID.Key))
}

// Visit remembers the redemption.
func (d *rulesRefund) Visit(v *Visit) {
	e := v.Event
	r, _ := d.orders.Get(pairKey(e.Merchant.Key, e.ID.Key))
	r.customer, r.order, r.discount, r.at, r.balance = uint32(e.Customer.Key), fen32(e.OrderFen), fen32(e.DiscountFen), v.T, v.Voucher.Balance
	if len(d.waiting) > 0 {
		d.rejoin(pairKey(e.Merchant.Key, e.ID.Key), r)
	}
}

// Apply compares a refund with its redemption.
func (d *rulesRefund) Apply(b *vw.Batch, e *vw.Event, t vw.Millis) {
	w := refundWaiting{
		key: pairKey(e.Merchant.Key, e.Target.Key), at: t, amount: e.Amount, customer: e.Customer.Key, returned: e.Returned,
	}
	r := d.orders.Find(w.key)
	if r != nil && d.agrees(r, &w) {
		return
	}
	w.id, w.target, w.merchant = b.String(e.ID.Text), b.String(e.Target.Text), b.String(e.Merchant.Text)
	if r == nil {
		d.waiting = append(d.waiting, w)
		return
	}
	d.report(r, &w)
}

// agrees books a refund and tells whether nothing is wrong with it.
func (d *rulesRefund) agrees(r *refundable, w *refundWaiting) bool {
	r.refunded = fen32(vw.Fen(r.refunded) + w.amount)
	r.count++
	return !d.tooMuch(r) && r.customer == uint32(w.customer) && d.mayReturn(r, w)
}

// tooMuch tells whether the refunds exceed the order.
func (d *rulesRefund) tooMuch(r *refundable) bool {
	return vw.Fen(r.refunded) > vw.Fen(r.order)+d.params.Tolerance
}

// mayReturn tells whether the policy lets this refund give the voucher back, if it did.
func (d *rulesRefund) mayReturn(r *refundable, w *refundWaiting) bool {
	if !w.returned {
		return true
	}
	switch d.env.Campaign.RefundPolicy {
	case vw.NoReturnProportional, vw.NoReturnNet:
		return false
	case vw.FullReturnInValidity:
		return vw.Fen(r.refunded) >= vw.Fen(r.order)-d.params.Tolerance && vw.DayOf(r.at, d.env.Offset) == vw.DayOf(w.at, d.env.Offset)
	}
	// The plan does not say; but a voucher of another day is void, and no policy gives a void one back.
	return vw.DayOf(r.at, d.env.Offset) == vw.DayOf(w.at, d.env.Offset) || r.balance
}

// report raises the finding of a refund that does not agree.
func (d *rulesRefund) report(r *refundable, w *refundWaiting) {
	s := Signal{Observed: float64(w.amount), Expected: None, P: None}
	kind := refundVoucherKind
	switch {
	case d.tooMuch(r):
		kind = refundSumKind
		s.Observed, s.Expected, s.Aux[0] = float64(r.refunded), float64(r.order), float64(r.count)
	case r.customer != uint32(w.customer):
		kind = refundCustomerKind
	default:
		s.Expected, s.Note = float64(r.order), string(d.env.Campaign.RefundPolicy)
	}
	d.raise(kind, s, w, FoundRedemption{ID: w.target, At: r.at, Discount: vw.Fen(r.discount)})
}

func (d *rulesRefund) raise(kind *Kind, s Signal, w *refundWaiting, list ...FoundRedemption) {
	s.Evidence = []IDRef{d.env.Arena.Keep([]byte(w.target), vw.DayOf(w.at, d.env.Offset))}
	s = d.env.breach(kind, s)
	d.env.Find(d.env.breachFound(&s, w.at, vw.Subject{Kind: "merchant", ID: w.merchant}, campaignPeriod, []string{w.merchant}, list...))
}

// rejoin compares the refunds that came before their redemption.
func (d *rulesRefund) rejoin(key uint64, r *refundable) {
	d.waiting = slices.DeleteFunc(d.waiting, func(w refundWaiting) bool {
		if w.key != key {
			return false
		}
		if !d.agrees(r, &w) {
			d.report(r, &w)
		}
		return true
	})
}

// Sweep forgets what can no longer be refunded.
func (d *rulesRefund) Sweep(now vw.Millis) {
	oldest := now - vw.Millis(d.params.Horizon)*vw.Day
	d.orders.Sweep(func(_ uint64, r *refundable) bool { return r.at >= oldest })
}

// Size counts the redemptions remembered.
func (d *rulesRefund) Size() (keys, bytes int) {
	return d.orders.Len() + len(d.waiting), d.orders.Bytes() + 128*len(d.waiting)
}

// learnRulesRefund raises the refunds that waited in vain. It may say so only where the stream has seen
// every redemption that could have been meant: it began before the campaign, which is not yet older
// than the horizon.
func learnRulesRefund(peers []Detector, t *Tick) {
	type overdue struct {
		refundWaiting
		d *rulesRefund
	}
	var all []overdue
	for _, p := range peers {
		d := p.(*rulesRefund)
		if d.started == 0 {
			d.started = t.Now
		}
		d.waiting = slices.DeleteFunc(d.waiting, func(w refundWaiting) bool {
			if w.at+vw.Millis(d.params.Wait)*vw.Hour > t.Now {
				return false
			}
			start := d.env.Campaign.Start
			seen := vw.DayOf(d.started, d.env.Offset) <= start && vw.DayOf(w.at, d.env.Offset) <= start+d.params.Horizon
			if seen {
				all = append(all, overdue{w, d})
			}
			return true
		})
	}
	slices.SortFunc(all, func(a, b overdue) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.id, b.id))
	})
	// Through one slot's environment, so that they are found in this order.
	for i := range all {
		w := &all[i].refundWaiting
		peers[0].(*rulesRefund).raise(refundUnknownKind, Signal{Observed: float64(w.amount), Expected: None, P: None, Note: w.target}, w)
	}
}
