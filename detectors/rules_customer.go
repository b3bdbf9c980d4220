package detectors

import (
	"fmt"
	"strconv"

	vw "voucherwatch"
)

// rulesCustomer counts the vouchers of a customer in an activity cycle (T03): those beyond the limit are
// told of when they are redeemed, which is when money moves.
//
// A voucher counts from its claim: the claim event's time, else redemption.claimed_at, else the moment
// it was redeemed, which is the same day. So the redemption of the third claim is within the limit even
// when it comes after that of the fourth. A voucher counts once: one that a refund restored and that is
// used again is no second claim.
//
//	Key:   customer/cycle.  State: 72 B, until three days after the cycle.
//	Late:  counted in its own cycle.
//	Basis: campaign plan, 单活动周期，单用户限3次领取机会; catalogue T03. Exact, yet no proof of bad faith: where
//	       the platform does not enforce the limit loyal customers pass it, so its weight is the policy's.
type rulesCustomer struct {
	env    *Env
	cycles Table[cycle]
}

// cycleVouchers is how many vouchers of a cycle are remembered, the earliest ones: the largest limit that
// can be told exactly.
const cycleVouchers = 8

// cycle holds the earliest claims of a customer in one cycle, in order of time.
type cycle struct {
	at      [cycleVouchers]uint32 // seconds since 1970
	voucher [cycleVouchers]uint32 // the low half of the key
	n       int32
	until   int32 // last day of the cycle
}

var overClaimKind = &Kind{Code: "rules_customer.over_claim", Typology: "T03", Window: "round", Text: func(s *Signal) vw.Bilingual {
	zh, en := "本轮", "this round"
	if s.Note == campaignPeriod {
		zh, en = "本次活动", "this campaign"
	}
	more, orMore := "", ""
	if s.Aux[0] == 1 {
		more, orMore = "或更后", " or more"
	}
	return vw.Bilingual{
		Zh: fmt.Sprintf("该用户%s第 %d 张%s券，限领 %d 张", zh, int(s.Observed), more, int(s.Expected)),
		En: fmt.Sprintf("voucher number %d%s of this customer in %s, where %d may be claimed", int(s.Observed), orMore, en, int(s.Expected)),
	}
}}

func init() {
	register(Spec{
		Name: "rules_customer", Lane: CustomerLane, Late: true, Typologies: []string{"T03"},
		Title:  vw.Bilingual{Zh: "超限领用：超过每周期限领次数", En: "more vouchers in a cycle than a customer may claim"},
		Events: []vw.EventType{vw.ClaimEvent},
		New: func(env *Env) (Detector, error) {
			if limit := env.Campaign.ClaimLimit; limit >= cycleVouchers {
				return nil, &vw.Error{
					Op: "detectors.New", Code: vw.Invalid, Err: fmt.Errorf("a claim limit of %d: at most %d can be told", limit, cycleVouchers-1),
					Hint: "switch rules_customer off in the policy",
				}
			}
			return &rulesCustomer{env: env}, nil
		},
	})
}

// Apply counts a claim.
func (d *rulesCustomer) Apply(_ *vw.Batch, e *vw.Event, t vw.Millis) {
	if w := &d.env.Campaign.Vouchers[e.VoucherType]; !w.Balance {
		d.count(e, t)
	}
}

// Visit finds out which of the cycle's vouchers this is.
func (d *rulesCustomer) Visit(v *Visit) {
	e, limit := v.Event, d.env.Campaign.ClaimLimit
	if v.Voucher.Balance || limit <= 0 {
		return
	}
	at := v.T
	if e.Has&vw.FieldClaimedAt != 0 {
		at = min(at, e.ClaimedAt)
	}
	nth, round := d.count(e, at)
	if nth <= limit {
		return
	}
	period := campaignPeriod
	if !d.env.Campaign.ClaimPerCampaign {
		period = "round-" + strconv.Itoa(d.env.Campaign.Rounds[round].Number)
	}
	s := Signal{Observed: float64(nth), Expected: float64(limit), P: None, Note: period, Evidence: []IDRef{v.Keep(d.env)}}
	if nth > cycleVouchers {
		s.Aux[0] = 1
	}
	s = d.env.breach(overClaimKind, s)
	v.Say(d.env, s)
	d.env.Find(d.env.breachFound(&s, v.T, vw.Subject{Kind: "customer", ID: v.CustomerID()}, period, nil, v.Found()))
}

// count takes in a voucher claimed at the given time and returns its place among the customer's claims
// of the cycle, from 1, and the round; 0 when the time lies in no cycle. Beyond cycleVouchers the place
// is cycleVouchers + 1.
func (d *rulesCustomer) count(e *vw.Event, at vw.Millis) (nth, round int) {
	key, until, round := d.cycle(e.Customer.Key, at)
	if key == 0 {
		return 0, -1
	}
	c, _ := d.cycles.Get(key)
	c.until = int32(until)
	tag, sec := uint32(e.Voucher.Key), uint32(max(0, at/vw.Second))
	n := int(c.n)
	i := 0
	for i < n && c.voucher[i] != tag {
		i++
	}
	switch {
	case i < n && c.at[i] <= sec:
		return i + 1, round // known, and by a better time
	case i == n && n < cycleVouchers:
		c.n++
	case i == n && c.at[n-1] <= sec:
		return cycleVouchers + 1, round
	case i == n:
		i = n - 1 // forgets the latest
	}
	for i > 0 && c.at[i-1] > sec {
		c.at[i], c.voucher[i] = c.at[i-1], c.voucher[i-1]
		i--
	}
	c.at[i], c.voucher[i] = sec, tag
	return i + 1, round
}

// cycle is the key of the customer's cycle at a moment, its last day and round; key 0 when the moment
// lies in none.
func (d *rulesCustomer) cycle(customer uint64, at vw.Millis) (key uint64, until, round int) {
	c := d.env.Campaign
	day := vw.DayOf(at, d.env.Offset)
	if c.ClaimPerCampaign {
		if day < c.Start || day > c.End {
			return 0, 0, -1
		}
		return pairKey(customer, 1), c.End, -1
	}
	round = c.RoundOn(day)
	if round < 0 {
		return 0, 0, -1
	}
	return pairKey(customer, uint64(round)+1), c.Rounds[round].To, round
}

// Touch has the cycle on its way.
func (d *rulesCustomer) Touch(v *Visit) uint64 {
	key, _, _ := d.cycle(v.Event.Customer.Key, v.T)
	return d.cycles.Touch(key)
}

// Sweep drops cycles three days after their end.
func (d *rulesCustomer) Sweep(now vw.Millis) {
	day := vw.DayOf(now, d.env.Offset)
	d.cycles.Sweep(func(_ uint64, c *cycle) bool { return int(c.until)+3 >= day })
}

// Size counts the cycles.
func (d *rulesCustomer) Size() (keys, bytes int) { return d.cycles.Len(), d.cycles.Bytes() }
