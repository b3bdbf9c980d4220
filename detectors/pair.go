package detectors

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
	vw "voucherwatch"
)

// pair looks for fixed partners (固定搭档, P01): a customer who comes back to one merchant on more days
// than the merchant's other customers, and the customer's own habit of going out, explain.
//
// The null is conditional: of the customer's n further redemption days, the number k spent at this
// merchant is beta-binomial with the merchant's own repeat share as mean (shrunk to the category's, the
// pair itself left out) and the category's concentration, fitted by maximum likelihood over all pairs
// every night. So a canteen with regulars expects regulars. An independence or hypergeometric test of
// the pair would call nine of ten honest repeat pairs significant.
//
// Alone it is an indicator: its cap and weight keep it below the review band.
//
// State: 16 B per pair, 112 B per customer, 16 B per merchant; pairs idle for 45 days are dropped.
// Source: detection.md D3a.
type pair struct {
	pairParams
	env       *Env
	pairs     Table[pairDays]
	customers Table[outings]
	rates     *pairRates // the same in all slots
	count     Table[returns]
	histogram [vw.Categories][pairMax + 1][pairMax + 1]int32 // pairs by (n, k), since the last Learn: deltas
	ids       Table[pairIDs]
	evidence  []IDRef
}

type pairParams struct {
	// Selection is ln of the number of tries that are paid for by looking at every pair that repeats.
	Selection float64 `yaml:"selection"`
	// FindAt is the log likelihood ratio from which a finding (an indicator, below review) is raised.
	FindAt float64 `yaml:"find_at"`
	// Shrink is how many further days the category counts for in a merchant's mean.
	Shrink float64 `yaml:"shrink"`
}

func init() {
	register(Spec{
		Name: "pair", Lane: CustomerLane, Typologies: []string{"P01"},
		Title: vw.Bilingual{Zh: "固定搭档：顾客与商户反复核销", En: "repeated pairs: the same customer and merchant again and again"},
		New: func(env *Env) (Detector, error) {
			d := &pair{pairParams: pairParams{Selection: math.Log(20), FindAt: 7, Shrink: 20}, env: env, rates: newPairRates()}
			return d, env.Params(&d.pairParams)
		},
		Learn: learnPair,
	})
}

// pairMax is the most further days that the fit looks at; more count as so many.
const pairMax = 20

type pairDays struct {
	last  uint16 // day
	days  uint16
	n, k  uint8 // as last counted in the histogram
	known bool
}

// outings are a customer's redemption days and latest merchants.
type outings struct {
	last      uint16
	days      uint16
	n         uint8
	merchants [12]uint64
}

// pairIDs are the redemptions of a pair that repeats, kept from its second day on.
type pairIDs struct {
	ids  [12]IDRef
	at   [12]vw.Millis
	fen  [12]int32
	n    uint8
	last uint16
}

// returns are, over a merchant's customers, the further days they had and those spent here.
type returns struct{ further, here int32 }

type pairRates struct {
	merchant  Table[returns]
	category  [vw.Categories]struct{ a, b float64 }
	histogram [vw.Categories][pairMax + 1][pairMax + 1]int64
}

// newPairRates starts from the real rebate data of detection.md: a = .26, b = .34 is the heaviest tail
// seen, so nothing is significant until the campaign's own pairs have spoken.
func newPairRates() *pairRates {
	r := &pairRates{}
	for c := range r.category {
		r.category[c].a, r.category[c].b = .26, .34
	}
	return r
}

func (d *pair) Touch(v *Visit) uint64 {
	return d.pairs.Touch(pairKey(v.Event.Customer.Key, v.Event.Merchant.Key)) + d.customers.Touch(v.Event.Customer.Key)
}

func (d *pair) Visit(v *Visit) {
	e := v.Event
	day := uint16(v.Day)
	u, _ := d.customers.Get(e.Customer.Key)
	key := pairKey(e.Customer.Key, e.Merchant.Key)
	p, isNew := d.pairs.Get(key)
	if day > u.last { // a late redemption of yesterday is no further day
		u.last = day
		u.days++
		if u.days > 1 {
			for _, m := range u.merchants[:u.n] {
				r, _ := d.count.Get(m)
				r.further++
			}
		}
	}
	if isNew {
		*p = pairDays{}
		r, _ := d.count.Get(e.Merchant.Key)
		r.further += int32(u.days - 1)
		if int(u.n) == len(u.merchants) {
			copy(u.merchants[:], u.merchants[1:])
			u.n--
		}
		u.merchants[u.n] = e.Merchant.Key
		u.n++
	}
	if !isNew && day <= p.last {
		return // one day, one visit
	}
	p.last = day
	p.days++
	if p.days < 2 {
		return
	}
	r, _ := d.count.Get(e.Merchant.Key)
	r.here++
	k, n := int(p.days)-1, int(u.days)-1
	d.tally(v.Category(), p, n, k)
	d.remember(key, v)
	if k < 2 || n < 3 {
		return
	}
	mean, tail := d.tail(e.Merchant.Key, v.Category(), n, k)
	llr := clip(-math.Log(max(tail, 1e-300))-d.Selection, 0, 12)
	if llr < .5 {
		return
	}
	d.tell(v, key, n, k, mean, tail, llr)
}

// tally moves the pair from its old place in the category's histogram to its new one.
func (d *pair) tally(c vw.Category, p *pairDays, n, k int) {
	n, k = min(n, pairMax), min(k, pairMax)
	if p.known {
		d.histogram[c][p.n][p.k]--
	}
	p.n, p.k, p.known = uint8(n), uint8(min(k, n)), true
	d.histogram[c][p.n][p.k]++
}

// tail is P(K >= k | n) at the merchant, and the expected k.
func (d *pair) tail(merchant uint64, c vw.Category, n, k int) (mean, tail float64) {
	f := d.rates.category[c]
	s := f.a + f.b
	base := f.a / s
	here, further := 0.0, 0.0
	if r := d.rates.merchant.Find(merchant); r != nil {
		here, further = max(0, float64(r.here)-float64(k)), max(0, float64(r.further)-float64(n))
	}
	mu := clip((d.Shrink*base+here)/(d.Shrink+max(further, here)), .001, .95)
	mu = max(mu, base) // a merchant that few return to is not held against the pair
	return mu * float64(n), betaBinomialTail(k, n, mu*s, (1-mu)*s)
}

func (d *pair) remember(key uint64, v *Visit) {
	m, isNew := d.ids.Get(key)
	if isNew {
		*m = pairIDs{}
	}
	if int(m.n) == len(m.ids) {
		copy(m.ids[:], m.ids[1:])
		copy(m.at[:], m.at[1:])
		copy(m.fen[:], m.fen[1:])
		m.n--
	}
	m.ids[m.n], m.at[m.n], m.fen[m.n] = v.Keep(d.env), v.T, int32(v.Event.DiscountFen)
	m.n++
	m.last = uint16(v.Day)
}

var pairRepeat = &Kind{Code: "pair.repeat", Typology: "P01", Window: "45d", Text: func(s *Signal) vw.Bilingual {
	return vw.Bilingual{
		Zh: fmt.Sprintf("该顾客首次之后的 %.0f 个消费日里有 %.0f 天又到本店核销，同店其他顾客的习惯下预期 %.1f 天（p=%.2g）", s.Aux[0], s.Observed, s.Expected, s.P),
		En: fmt.Sprintf("of this customer's %.0f further redemption days %.0f were at this merchant; by the habit of its other customers %.1f would be (p=%.2g)", s.Aux[0], s.Observed, s.Expected, s.P),
	}
}}

func (d *pair) tell(v *Visit, key uint64, n, k int, mean, tail, llr float64) {
	m := d.ids.Find(key)
	if len(d.evidence) > 1<<14 {
		d.evidence = nil
	}
	start := len(d.evidence)
	d.evidence = append(d.evidence, m.ids[:m.n]...)
	sig := Signal{
		Kind: pairRepeat, LLR: llr, Observed: float64(k), Expected: mean, P: tail, Aux: [6]float64{float64(n)},
		Evidence: d.evidence[start:len(d.evidence):len(d.evidence)], Peers: v.Category().String(),
	}
	v.Say(d.env, sig)
	if llr < d.FindAt {
		return
	}
	found := make([]FoundRedemption, 0, m.n)
	for i := range int(m.n) {
		if b := d.env.Arena.Bytes(m.ids[i]); b != nil {
			found = append(found, FoundRedemption{ID: string(b), At: m.at[i], Discount: vw.Fen(m.fen[i])})
		}
	}
	d.env.Find(Found{
		Typology: "P01", Subject: vw.Subject{Kind: "pair", ID: v.MerchantID(), With: v.CustomerID()}, Period: "campaign", At: v.T,
		LogOdds: d.env.LogOdds(d.env.settings.Prior, llr), Redemptions: found, Subsidy: SumOfDiscounts, Merchants: []string{v.MerchantID()},
		Reasons: []vw.Reason{d.env.Reason(sig)},
	})
}

func learnPair(peers []Detector, t *Tick) {
	rates := peers[0].(*pair).rates
	for _, p := range peers {
		d := p.(*pair)
		d.count.Each(func(key uint64, from *returns) {
			to, _ := rates.merchant.Get(key)
			to.further += from.further
			to.here += from.here
		})
		d.count.Clear()
		for c := range d.histogram {
			for n := range d.histogram[c] {
				for k, x := range d.histogram[c][n] {
					rates.histogram[c][n][k] += int64(x)
				}
			}
		}
		d.histogram = [vw.Categories][pairMax + 1][pairMax + 1]int32{}
		d.rates = rates
	}
	if t.NewDay {
		rates.fit()
	}
}

// fit finds mean and concentration of each category by maximum likelihood over the pairs that came back
// at least once, conditional on that: the histogram does not hold the others.
func (r *pairRates) fit() {
	for c := range r.category {
		pairs := int64(0)
		for n := 2; n <= pairMax; n++ {
			for _, x := range r.histogram[c][n] {
				pairs += x
			}
		}
		if pairs < 50 {
			continue
		}
		likelihood := func(mu, s float64) float64 {
			a, b := mu*s, (1-mu)*s
			base := mathext.Lbeta(a, b)
			sum := 0.0
			for n := 2; n <= pairMax; n++ {
				none := math.Exp(mathext.Lbeta(a, b+float64(n)) - base)
				for k := 1; k <= n; k++ {
					if x := r.histogram[c][n][k]; x > 0 {
						sum += float64(x) * (lchoose(n, k) + mathext.Lbeta(a+float64(k), b+float64(n-k)) - base - math.Log(max(1-none, 1e-12)))
					}
				}
			}
			return sum
		}
		f := &r.category[c]
		mu, s := f.a/(f.a+f.b), f.a+f.b
		for range 4 {
			mu = logistic(maximise(func(x float64) float64 { return likelihood(logistic(x), s) }, math.Log(.005), math.Log(9)))
			s = math.Exp(maximise(func(x float64) float64 { return likelihood(mu, math.Exp(x)) }, math.Log(.3), math.Log(30)))
		}
		f.a, f.b = mu*s, (1-mu)*s
	}
}

// maximise finds the maximum of a function with one hump by golden section, to 1e-3.
func maximise(f func(float64) float64, low, high float64) float64 {
	const g = 0.6180339887498949
	x1, x2 := high-g*(high-low), low+g*(high-low)
	f1, f2 := f(x1), f(x2)
	for high-low > 1e-3 {
		if f1 < f2 {
			low, x1, f1 = x1, x2, f2
			x2 = low + g*(high-low)
			f2 = f(x2)
		} else {
			high, x2, f2 = x2, x1, f1
			x1 = high - g*(high-low)
			f1 = f(x1)
		}
	}
	return (low + high) / 2
}

const pairHorizon = 45

func (d *pair) Sweep(now vw.Millis) {
	oldest := uint16(max(0, vw.DayOf(now, d.env.Offset)-pairHorizon))
	d.pairs.Sweep(func(_ uint64, p *pairDays) bool { return p.last >= oldest })
	d.customers.Sweep(func(_ uint64, u *outings) bool { return u.last >= oldest })
	d.ids.Sweep(func(_ uint64, m *pairIDs) bool { return m.last >= oldest })
}

func (d *pair) Size() (keys, bytes int) {
	return d.pairs.Len(), d.pairs.Bytes() + d.customers.Bytes() + d.ids.Bytes()
}
