package detectors

import (
	"fmt"
	"math"

	vw "voucherwatch"
)

// refundLoop looks for redemptions that are refunded to keep the benefit (退款套利, T16): a merchant,
// or one customer at a merchant, refunds far more often than the trade.
//
// Evidence is an e-value: of n redemptions k were refunded; the null is twice the category's refund
// share (a seasonal return, a mis-keyed amount), the alternative a mixture of 15, 35 and 70 %. A mean of
// likelihood ratios against a least favourable null exceeds c with a chance of at most 1/c however
// often one looks. Counts halve every 30 days.
//
// State: 48 B per merchant, 24 B per pair with a refund, 16 B per refunded redemption, dropped after 45
// days. Source: T16 of regulation.md §9; detection.md D2.
type refundLoop struct {
	refundLoopParams
	env       *Env
	merchants Table[refundCount]
	pairs     Table[refundCount]
	evidence  map[uint64][]Kept // by merchant: refunded redemptions, the last 200
	null      *[vw.Categories][2]int64
	count     [vw.Categories][2]int64 // redemptions, refunds
}

type refundLoopParams struct {
	// Alarm is ln of the e-value from which a finding is raised: 11.5 is 1 in 100,000.
	Alarm float64 `yaml:"alarm"`
	// Prior is the log-odds of a merchant before any evidence.
	Prior float64 `yaml:"prior"`
	// Floor is the least refund share that the null allows.
	Floor float64 `yaml:"floor"`
}

type refundCount struct {
	n, k     float32
	day      uint16
	category vw.Category
}

func init() {
	register(Spec{
		Name: "refund_loop", Lane: MerchantLane, Typologies: []string{"T16"}, Events: []vw.EventType{vw.RefundEvent},
		Title: vw.Bilingual{Zh: "退款套利：用券后退款留利", En: "refund loops: redeem, refund, keep the benefit"},
		New: func(env *Env) (Detector, error) {
			d := &refundLoop{refundLoopParams: refundLoopParams{Alarm: 11.5, Prior: -4.5, Floor: .02}, env: env, evidence: map[uint64][]Kept{}}
			d.null = &[vw.Categories][2]int64{}
			for c := range d.null {
				d.null[c] = [2]int64{400, 6}
			}
			return d, env.Params(&d.refundLoopParams)
		},
		Learn: func(peers []Detector, t *Tick) {
			null := peers[0].(*refundLoop).null
			for _, p := range peers {
				d := p.(*refundLoop)
				for c := range d.count {
					null[c][0] += d.count[c][0]
					null[c][1] += d.count[c][1]
				}
				d.count = [vw.Categories][2]int64{}
				d.null = null
			}
		},
	})
}

var refundShares = [...]float64{.15, .35, .70}

func (d *refundLoop) Visit(v *Visit) {
	m, isNew := d.merchants.Get(v.Event.Merchant.Key)
	if isNew {
		*m = refundCount{category: v.Category()}
	}
	m.n++
	m.day = uint16(v.Day)
	d.count[v.Category()][0]++
	p := d.pairs.Find(pairKey(v.Event.Merchant.Key, v.Event.Customer.Key))
	if p == nil {
		return
	}
	p.n++
	p.day = uint16(v.Day)
	level := d.level(p)
	if level < 3 {
		return
	}
	v.Say(d.env, Signal{
		Kind: refundRepeat, LLR: level, Observed: float64(p.k), Expected: float64(p.n) * d.share(p.category), P: math.Exp(-level), Aux: [6]float64{float64(p.n)},
		Evidence: d.ids(v.Event.Merchant.Key, v.Event.Customer.Key),
	})
}

// share is the null's refund share: twice the category's.
func (d *refundLoop) share(c vw.Category) float64 {
	return clip(2*float64(d.null[c][1])/float64(d.null[c][0]), d.Floor, .4)
}

// level is ln of the e-value of a count.
func (d *refundLoop) level(c *refundCount) float64 {
	p0, sum := d.share(c.category), math.Inf(-1)
	for _, p := range refundShares {
		p = max(p, 2*p0)
		if p >= 1 {
			continue
		}
		sum = logAddExp(sum, float64(c.k)*math.Log(p/p0)+float64(c.n-c.k)*math.Log((1-p)/(1-p0)))
	}
	return sum - math.Log(float64(len(refundShares)))
}

func (d *refundLoop) Apply(b *vw.Batch, e *vw.Event, t vw.Millis) {
	m := d.merchants.Find(e.Merchant.Key)
	if m == nil {
		return // a refund of what this stream has not seen
	}
	day := vw.DayOf(t, d.env.Offset)
	m.k = min(m.k+1, m.n)
	d.count[m.category][1]++
	p, isNew := d.pairs.Get(pairKey(e.Merchant.Key, e.Customer.Key))
	if isNew {
		*p = refundCount{n: 1, category: m.category}
	}
	p.k = min(p.k+1, p.n)
	p.day = uint16(day)
	list := d.evidence[e.Merchant.Key]
	if len(list) == 200 {
		list = append(list[:0], list[1:]...)
	}
	list = append(list, Kept{ID: d.env.Arena.Keep(b.Bytes(e.Target.Text), day), At: t, Discount: 0, Customer: e.Customer.Key})
	d.evidence[e.Merchant.Key] = list
	d.raise(b, e, t, m, refundMerchant, vw.Subject{Kind: "merchant", ID: b.String(e.Merchant.Text)}, 0)
	d.raise(b, e, t, p, refundRepeat, vw.Subject{Kind: "pair", ID: b.String(e.Merchant.Text), With: b.String(e.Customer.Text)}, e.Customer.Key)
}

func (d *refundLoop) raise(b *vw.Batch, e *vw.Event, t vw.Millis, c *refundCount, kind *Kind, subject vw.Subject, customer uint64) {
	level := d.level(c)
	if level < d.Alarm || c.k < 3 {
		return
	}
	var found []FoundRedemption
	for _, k := range d.evidence[e.Merchant.Key] {
		if id := d.env.Arena.Bytes(k.ID); id != nil && (customer == 0 || k.Customer == customer) {
			found = append(found, FoundRedemption{ID: string(id), At: k.At})
		}
	}
	logOdds := d.Prior + .6*(level-4)
	sig := Signal{Kind: kind, LLR: level, Observed: float64(c.k), Expected: float64(c.n) * d.share(c.category), P: math.Exp(-level), Aux: [6]float64{float64(c.n)}, Evidence: d.ids(e.Merchant.Key, customer), Peers: c.category.String()}
	d.env.Find(Found{
		Typology: "T16", Subject: subject, Period: "campaign", At: t, LogOdds: logOdds, Redemptions: found, Subsidy: SumOfDiscounts,
		Merchants: []string{b.String(e.Merchant.Text)}, Reasons: []vw.Reason{d.env.Reason(sig)},
	})
}

// ids are the merchant's latest refunded redemptions, those of one customer unless that is 0.
func (d *refundLoop) ids(merchant, customer uint64) []IDRef {
	var ids []IDRef
	for _, k := range d.evidence[merchant] {
		if customer == 0 || k.Customer == customer {
			ids = append(ids, k.ID)
		}
	}
	return ids[max(0, len(ids)-20):]
}

var (
	refundMerchant = &Kind{Code: "refund_loop.merchant", Typology: "T16", Window: "45d", Text: func(s *Signal) vw.Bilingual {
		return vw.Bilingual{
			Zh: fmt.Sprintf("本店 %.0f 笔核销中 %.0f 笔退款，按同行两倍的退款率至多预期 %.1f 笔（p≤%.1g）", s.Aux[0], s.Observed, s.Expected, s.P),
			En: fmt.Sprintf("%.0f of this shop's %.0f redemptions were refunded; twice the trade's rate would give %.1f (p≤%.1g)", s.Observed, s.Aux[0], s.Expected, s.P),
		}
	}}
	refundRepeat = &Kind{Code: "refund_loop.pair", Typology: "T16", Window: "45d", Text: func(s *Signal) vw.Bilingual {
		return vw.Bilingual{
			Zh: fmt.Sprintf("该顾客在本店 %.0f 笔核销中 %.0f 笔退款，按同行两倍的退款率至多预期 %.1f 笔（p≤%.1g）", s.Aux[0], s.Observed, s.Expected, s.P),
			En: fmt.Sprintf("%.0f of this customer's %.0f redemptions here were refunded; twice the trade's rate would give %.1f (p≤%.1g)", s.Observed, s.Aux[0], s.Expected, s.P),
		}
	}}
)

const refundHorizon = 45

func (d *refundLoop) Sweep(now vw.Millis) {
	day := vw.DayOf(now, d.env.Offset)
	oldest := uint16(max(0, day-refundHorizon))
	keep := func(_ uint64, c *refundCount) bool {
		if day%30 == 0 {
			c.n, c.k = c.n/2, c.k/2
		}
		return c.day >= oldest
	}
	d.merchants.Sweep(keep)
	d.pairs.Sweep(keep)
	for m, list := range d.evidence {
		i := 0
		for i < len(list) && list[i].At < now-refundHorizon*vw.Day {
			i++
		}
		if d.evidence[m] = list[i:]; i == len(list) {
			delete(d.evidence, m)
		}
	}
}

func (d *refundLoop) Size() (keys, bytes int) {
	return d.merchants.Len() + d.pairs.Len(), d.merchants.Bytes() + d.pairs.Bytes()
}
