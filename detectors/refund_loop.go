package detectors

import (
	"fmt"
	"math"
	"slices"

	vw "voucherwatch"
)

// refundLoop looks for redemptions that are refunded to keep the benefit (退款套利, T16): a merchant,
// or one customer at a merchant, refunds far more often than the trade.
//
// Evidence is sequential, at every refund: of the shop's redemptions each has the likelihood ratio of its having
// been refunded, or not (yet). The null is the refund share of a shop that takes back more than nearly all others of
// its trade do: two standard deviations between shops above their mean. The alternatives are 15, 35 and 70 %. The products from every redemption on are added up
// (Shiryaev–Roberts), since a loop begins some day at a shop that was honest. Of a pair there is one product, over
// all that the customer redeemed there. A redemption refunded in two parts is refunded once.
//
// State: 12 B per redemption within 45 days, 56 B per merchant, 16 B per pair with a refund, 32 B per refunded
// redemption, the last 200 of a merchant. Source: T16 of regulation.md §9; detection.md D2.
type refundLoop struct {
	refundLoopParams
	env   *Env
	shops Table[*refundShop]
	pairs Table[refundPair]
	null  *refundNull
	count [vw.Categories][2]int64 // redemptions, refunds
}

type refundLoopParams struct {
	// Alarm is ln of the evidence from which a finding is raised.
	Alarm float64 `yaml:"alarm"`
	// Prior is the log-odds of a merchant or pair before any evidence.
	Prior float64 `yaml:"prior"`
	// Floor is the least refund share that the null allows.
	Floor float64 `yaml:"floor"`
}

// refundShop is a merchant's redemptions of the last 45 days, in order of arrival.
type refundShop struct {
	sales     []sale
	refunds   int32 // of sales
	category  vw.Category
	suspected bool   // evidence of e^5 was there
	evidence  []Kept // refunded redemptions, the last 200
}

// sale is a redemption that may be refunded: 12 bytes.
type sale struct {
	redemption, customer uint32 // pieces of the keys
	rest                 uint32 // discount in fen, up to 5,242 yuan; refunded; day modulo 4096
}

const (
	saleFen      = 1<<19 - 1
	saleRefunded = 1 << 19
	saleDay      = 20
)

func (x *sale) refunded() bool   { return x.rest&saleRefunded != 0 }
func (x *sale) discount() vw.Fen { return vw.Fen(x.rest & saleFen) }

// before tells whether the sale was made before a day, less than half of 4096 days away.
func (x *sale) before(day int) bool { return (x.rest>>saleDay-uint32(day))&4095 >= 2048 }

// refundPair is a pair with a refund.
type refundPair struct {
	n, k uint16
	day  uint16
}

func init() {
	register(Spec{
		Name: "refund_loop", Lane: MerchantLane, Typologies: []string{"T16"}, Events: []vw.EventType{vw.RefundEvent},
		Title: vw.Bilingual{Zh: "退款套利：用券后退款留利", En: "refund loops: redeem, refund, keep the benefit"},
		New: func(env *Env) (Detector, error) {
			d := &refundLoop{refundLoopParams: refundLoopParams{Alarm: 11.5, Prior: -4.5, Floor: .02}, env: env}
			d.null = &refundNull{}
			for c := range d.null.counts {
				d.null.counts[c], d.null.spread[c] = [2]int64{400, 6}, 1
			}
			return d, env.Params(&d.refundLoopParams)
		},
		Learn: learnRefunds,
	})
}

// refundNull is what is known of the trade.
type refundNull struct {
	counts [vw.Categories][2]int64 // redemptions, refunds
	// spread is by how much shops of the trade differ: two standard deviations, in shares of the mean.
	spread [vw.Categories]float64
}

func learnRefunds(peers []Detector, t *Tick) {
	null := peers[0].(*refundLoop).null
	for _, p := range peers {
		d := p.(*refundLoop)
		for c := range d.count {
			null.counts[c][0] += d.count[c][0]
			null.counts[c][1] += d.count[c][1]
		}
		d.count = [vw.Categories][2]int64{}
		d.null = null
	}
	if t.NewDay {
		null.differ(peers)
	}
}

// differ learns how much shops of a trade differ: of two redemptions of one shop, how much likelier than by the
// trade's share is it that both were refunded? A shop counts by its size, up to fifty, and not while it is suspected.
// The sums are of integers, so that their order does not matter.
func (n *refundNull) differ(peers []Detector) {
	var both, weights, refunds [vw.Categories]int64
	for _, p := range peers {
		p.(*refundLoop).shops.Each(func(_ uint64, p **refundShop) {
			s := *p
			size, k := int64(len(s.sales)), int64(s.refunds)
			if size < 10 || s.suspected {
				return
			}
			weight := min(size, 50)
			both[s.category] += 1_000_000 * weight * k * (k - 1) / (size * (size - 1))
			refunds[s.category] += 1_000_000 * weight * k / size
			weights[s.category] += weight
		})
	}
	for c := range n.spread {
		if weights[c] < 500 || refunds[c] == 0 {
			continue
		}
		mean := float64(refunds[c]) / 1e6 / float64(weights[c])
		variance := float64(both[c])/1e6/float64(weights[c]) - mean*mean
		n.spread[c] = clip(2*math.Sqrt(max(variance, 0))/mean, spreadLeast, spreadMost)
	}
}

// Shops differ by a quarter of the mean at least, and are not let differ so much that nothing can be said.
const (
	spreadLeast = .25
	spreadMost  = 2
)

var refundShares = [...]float64{.15, .35, .70}

func (d *refundLoop) Touch(v *Visit) uint64 {
	p := d.shops.Find(v.Event.Merchant.Key)
	if p == nil {
		return 0
	}
	return uint64(len((*p).sales))
}

func (d *refundLoop) Visit(v *Visit) {
	e := v.Event
	p, isNew := d.shops.Get(e.Merchant.Key)
	if isNew {
		*p = &refundShop{}
	}
	s := *p
	s.category = v.Category()
	s.sales = append(s.sales, sale{
		uint32(e.ID.Key >> 32), uint32(e.Customer.Key >> 32), uint32(clip(float64(e.DiscountFen), 0, saleFen)) | uint32(v.Day)<<saleDay,
	})
	d.count[s.category][0]++
	pair := d.pairs.Find(pairKey(e.Merchant.Key, e.Customer.Key))
	if pair == nil {
		return
	}
	pair.n = min(pair.n, 65534) + 1
	pair.day = uint16(v.Day)
	level := d.level(int(pair.n), int(pair.k), s.category)
	if level < 3 {
		return
	}
	v.Say(d.env, Signal{
		Kind: refundRepeat, LLR: level, Observed: float64(pair.k), Expected: float64(pair.n) * d.share(s.category), P: math.Exp(-level), Aux: [6]float64{float64(pair.n)},
		Evidence: s.ids(e.Customer.Key),
	})
}

// share is the null's refund share.
func (d *refundLoop) share(c vw.Category) float64 {
	n := &d.null.counts[c]
	return clip((1+d.null.spread[c])*float64(n[1])/float64(n[0]), d.Floor, .4)
}

// factors are the likelihood ratios of a redemption that was refunded and of one that was not, under the i-th
// alternative; 0 and 0 where that is no alternative.
func (d *refundLoop) factors(i int, c vw.Category) (refunded, kept float64) {
	p0 := d.share(c)
	p := max(refundShares[i], 1.5*p0)
	if p >= 1 {
		return 0, 0
	}
	return p / p0, (1 - p) / (1 - p0)
}

// level is ln of the e-value of n redemptions of which k were refunded.
func (d *refundLoop) level(n, k int, c vw.Category) float64 {
	sum := math.Inf(-1)
	for i := range refundShares {
		if r, kept := d.factors(i, c); r > 0 {
			sum = logAddExp(sum, float64(k)*math.Log(r)+float64(n-k)*math.Log(kept))
		}
	}
	return sum - math.Log(float64(len(refundShares)))
}

// refundWindow is how many redemptions back a loop may have begun.
const refundWindow = 1000

// since is ln of the mean Shiryaev–Roberts statistic of a shop, with the run of sales that says most: how many, and
// how many of them refunded.
func (d *refundLoop) since(s *refundShop) (level float64, n, k int) {
	sum, most := 0.0, 0.0
	sales := s.sales[max(0, len(s.sales)-refundWindow):]
	for i := range refundShares {
		r, kept := d.factors(i, s.category)
		product, refunds := 1.0, 0
		for j := len(sales) - 1; j >= 0 && r > 0; j-- {
			if sales[j].refunded() {
				product = min(product*r, 1e200)
				refunds++
			} else {
				product *= kept
			}
			sum += product
			if product > most {
				most, n, k = product, len(sales)-j, refunds
			}
		}
	}
	return math.Log(sum / float64(len(refundShares))), n, k
}

func (d *refundLoop) Apply(b *vw.Batch, e *vw.Event, t vw.Millis) {
	p := d.shops.Find(e.Merchant.Key)
	if p == nil {
		return // a refund of what this stream has not seen
	}
	s := *p
	target := -1
	for i := len(s.sales) - 1; i >= 0 && target < 0; i-- {
		if s.sales[i].redemption == uint32(e.Target.Key>>32) && s.sales[i].customer == uint32(e.Customer.Key>>32) {
			target = i
		}
	}
	if target < 0 || s.sales[target].refunded() {
		return // of another day, or another part of the same
	}
	s.sales[target].rest |= saleRefunded
	s.refunds++
	day := vw.DayOf(t, d.env.Offset)
	d.count[s.category][1]++
	pair, _ := d.pairs.Get(pairKey(e.Merchant.Key, e.Customer.Key))
	*pair = refundPair{day: uint16(day)}
	for i := range s.sales {
		if s.sales[i].customer == s.sales[target].customer {
			pair.n = min(pair.n, 65534) + 1
			if s.sales[i].refunded() {
				pair.k++
			}
		}
	}
	if len(s.evidence) == 200 {
		s.evidence = append(s.evidence[:0], s.evidence[1:]...)
	}
	s.evidence = append(s.evidence, Kept{ID: d.env.Arena.Keep(b.Bytes(e.Target.Text), day), At: t, Discount: s.sales[target].discount(), Customer: e.Customer.Key})
	merchant := b.String(e.Merchant.Text)
	level, n, k := d.since(s)
	s.suspected = s.suspected || level >= 5
	d.raise(s, t, level, n, k, refundMerchant, vw.Subject{Kind: "merchant", ID: merchant}, 0)
	d.raise(s, t, d.level(int(pair.n), int(pair.k), s.category), int(pair.n), int(pair.k), refundRepeat,
		vw.Subject{Kind: "pair", ID: merchant, With: b.String(e.Customer.Text)}, e.Customer.Key)
}

func (d *refundLoop) raise(s *refundShop, t vw.Millis, level float64, n, k int, kind *Kind, subject vw.Subject, customer uint64) {
	if level < d.Alarm || k < 3 {
		return
	}
	// Of a shop only the refunds of its run: the one of a guest weeks before is nobody's business.
	inRun := map[uint32]bool{}
	for _, x := range s.sales[max(0, len(s.sales)-n):] {
		inRun[x.redemption] = x.refunded()
	}
	var found []FoundRedemption
	for _, x := range s.evidence {
		if id := d.env.Arena.Bytes(x.ID); id != nil && (customer == x.Customer || customer == 0 && inRun[uint32(vw.Hash(id)>>32)]) {
			found = append(found, FoundRedemption{ID: string(id), At: x.At, Discount: x.Discount})
		}
	}
	logOdds := d.Prior + .6*(level-4)
	sig := Signal{Kind: kind, LLR: level, Observed: float64(k), Expected: float64(n) * d.share(s.category), P: math.Exp(-level), Aux: [6]float64{float64(n)}, Evidence: s.ids(customer), Peers: s.category.String()}
	d.env.Find(Found{
		Typology: "T16", Subject: subject, Period: "campaign", At: t, LogOdds: logOdds, Redemptions: found, Subsidy: SumOfDiscounts,
		Merchants: []string{subject.ID}, Reasons: []vw.Reason{d.env.Reason(sig)},
	})
}

// ids are the shop's latest refunded redemptions, those of one customer unless that is 0.
func (s *refundShop) ids(customer uint64) []IDRef {
	var ids []IDRef
	for _, k := range s.evidence {
		if customer == 0 || k.Customer == customer {
			ids = append(ids, k.ID)
		}
	}
	return ids[max(0, len(ids)-20):]
}

var (
	refundMerchant = &Kind{Code: "refund_loop.merchant", Typology: "T16", Window: "45d", Text: func(s *Signal) vw.Bilingual {
		return vw.Bilingual{
			Zh: fmt.Sprintf("本店最近 %.0f 笔核销中 %.0f 笔退款，按同行中偏高者的退款率预期 %.1f 笔（p≤%.1g）", s.Aux[0], s.Observed, s.Expected, s.P),
			En: fmt.Sprintf("%.0f of this shop's latest %.0f redemptions were refunded; at a rate that is high in its trade, %.1f would be expected (p≤%.1g)", s.Observed, s.Aux[0], s.Expected, s.P),
		}
	}}
	refundRepeat = &Kind{Code: "refund_loop.pair", Typology: "T16", Window: "45d", Text: func(s *Signal) vw.Bilingual {
		return vw.Bilingual{
			Zh: fmt.Sprintf("该顾客在本店 %.0f 笔核销中 %.0f 笔退款，按同行中偏高者的退款率预期 %.1f 笔（p≤%.1g）", s.Aux[0], s.Observed, s.Expected, s.P),
			En: fmt.Sprintf("%.0f of this customer's %.0f redemptions here were refunded; at a rate that is high in the trade, %.1f would be expected (p≤%.1g)", s.Observed, s.Aux[0], s.Expected, s.P),
		}
	}}
)

const refundHorizon = 45

func (d *refundLoop) Sweep(now vw.Millis) {
	oldest := max(0, vw.DayOf(now, d.env.Offset)-refundHorizon)
	d.pairs.Sweep(func(_ uint64, p *refundPair) bool { return p.day >= uint16(oldest) })
	d.shops.Sweep(func(_ uint64, p **refundShop) bool {
		s := *p
		s.sales = slices.DeleteFunc(s.sales, func(x sale) bool { return x.before(oldest) })
		s.refunds = 0
		for i := range s.sales {
			if s.sales[i].refunded() {
				s.refunds++
			}
		}
		s.evidence = slices.DeleteFunc(s.evidence, func(x Kept) bool { return x.At < now-refundHorizon*vw.Day })
		if 4*len(s.sales) < cap(s.sales) {
			s.sales = slices.Clone(s.sales)
		}
		return len(s.sales) > 0
	})
}

func (d *refundLoop) Size() (keys, bytes int) {
	bytes = d.shops.Bytes() + d.pairs.Bytes()
	d.shops.Each(func(_ uint64, p **refundShop) {
		bytes += 56 + 12*cap((*p).sales) + 32*cap((*p).evidence)
	})
	return d.shops.Len() + d.pairs.Len(), bytes
}
