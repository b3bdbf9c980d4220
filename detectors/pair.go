package detectors

import (
	"fmt"
	"math"

	vw "voucherwatch"
)

// pair looks for fixed partners (固定搭档, P01): a customer who comes back to one merchant on more days
// than the merchant's other customers, and the customer's own habit of going out, explain.
//
// The null is conditional: of the customer's n further redemption days, the number k spent at this
// merchant is zero for a visitor and beta-binomial for a regular. Mean and concentration of regulars are
// the category's, fitted by maximum likelihood every night over the pairs that came back; how many
// customers are regulars is what then gives the merchant's own share of returns (shrunk to the
// category's, the pair itself left out). So a canteen with regulars expects regulars. An independence or hypergeometric test of
// the pair would call nine of ten honest repeat pairs significant.
//
// Alone it is an indicator: its cap and weight keep it below the review band.
//
// State: the ledger's, and 8 B per merchant. Source: detection.md D3a.
type pair struct {
	pairParams
	env       *Env
	rates     *pairRates // the same in all slots
	count     []returns  // by place in the ledger, since the last Learn
	histogram pairHistogram
	evidence  []IDRef
}

// pairHistogram counts pairs by line, their customer's further days and those at the merchant. In a slot
// it holds what changed since the last Learn.
type pairHistogram [pairLines][pairMax + 1][pairMax + 1]int32

// A line is a category, and then again each category's merchants that many people return to (a canteen):
// how their regulars return says nothing of other shops.
const pairLines = 2 * int(vw.Categories)

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
			env.Ledger.days = max(env.Ledger.days, pairHorizon)
			return d, env.Params(&d.pairParams)
		},
		Learn: learnPair,
	})
}

// pairMax is the most further days that the fit looks at; more count as so many.
const pairMax = 20

// returns are, over a merchant's customers, the further days they had and those spent here.
type returns struct {
	further, here int32
	people        int32 // who came back at all
	canteen       bool  // many did: set once a day
}

// betaRates are the parameters of a beta distribution.
type betaRates struct{ a, b float64 }

type pairRates struct {
	merchant  Table[returns]
	category  [pairLines]betaRates
	histogram [pairLines][pairMax + 1][pairMax + 1]int64
	// further and here are the days of all merchants of a category.
	further, here [vw.Categories]int64
}

// usual is the share of further days spent at one merchant, over all who were there once. Until there is
// something to go by it is that of the fit.
func (r *pairRates) usual(c vw.Category) float64 {
	const prior = 20 // further days
	f := r.category[c]
	mean := f.a / (f.a + f.b)
	return min(mean, (float64(r.here[c])+prior*mean)/(float64(r.further[c])+prior))
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

func (d *pair) Touch(v *Visit) uint64 { return d.env.Ledger.customers.Touch(v.Event.Customer.Key) }

func (d *pair) Visit(v *Visit) {
	s := d.env.Ledger.visit(v, d.env)
	if s.use == nil {
		return
	}
	p, u := s.patron, s.use
	if n := len(d.env.Ledger.keys); n > len(d.count) {
		d.count = append(d.count, make([]returns, n-len(d.count))...)
	}
	here := &d.count[u.place]
	if s.newUse {
		here.further += int32(p.days) - 1
	}
	if s.newDay && p.days > 1 {
		for i := range p.uses[:p.n] {
			if at := p.uses[i].place; at != u.place || !s.newUse {
				d.count[at].further++
			}
		}
	}
	if !s.another {
		return
	}
	here.here++
	if u.days == 2 {
		here.people++
	}
	k, n := int(u.days)-1, int(p.days)-1
	m := d.rates.merchant.Find(v.Event.Merchant.Key)
	line := int(v.Category())
	if m != nil && m.canteen {
		line += int(vw.Categories)
	}
	d.tally(line, u, n, k)
	if k < 2 || n < 3 {
		return
	}
	mean, tail := d.tail(m, v.Category(), line, n, k)
	llr := clip(-math.Log(max(tail, 1e-300))-d.Selection, 0, 12)
	if llr < .5 {
		return
	}
	d.tell(v, s, n, k, mean, tail, llr)
}

// tally moves the pair from its old place in the histogram to its new one.
func (d *pair) tally(line int, u *placeUse, n, k int) {
	n, k = min(n, pairMax), min(k, pairMax)
	if u.n > 0 {
		old := int(u.n) - 1
		d.histogram[old/(pairMax+1)][old%(pairMax+1)][min(k-1, old%(pairMax+1))]--
	}
	u.n = uint8(line*(pairMax+1) + n + 1)
	d.histogram[line][n][min(k, n)]++
}

// tail is P(K >= k | n) at the merchant, and the expected k.
func (d *pair) tail(m *returns, c vw.Category, line, n, k int) (mean, tail float64) {
	f, usual := d.rates.category[line], d.rates.usual(c)
	here, further := 0.0, 0.0
	if m != nil {
		here, further = max(0, float64(m.here)-float64(k)), max(0, float64(m.further)-float64(n))
	}
	own := (d.Shrink*usual + here) / (d.Shrink + max(further, here))
	own = clip(own, usual, .95) // a merchant that few return to is not held against the pair
	mu, s := f.a/(f.a+f.b), f.a+f.b
	// Who returns at all returns often: more returns than usual are more people who return, until all do.
	some := own / mu
	if some > 1 {
		some, mu = 1, own
	}
	return own * float64(n), some * betaBinomialTail(k, n, mu*s, (1-mu)*s)
}

var pairRepeat = &Kind{Code: "pair.repeat", Typology: "P01", Window: "45d", Text: func(s *Signal) vw.Bilingual {
	return vw.Bilingual{
		Zh: fmt.Sprintf("该顾客首次之后的 %.0f 个消费日里有 %.0f 天又到本店核销，同店其他顾客的习惯下预期 %.1f 天（p=%.2g）", s.Aux[0], s.Observed, s.Expected, s.P),
		En: fmt.Sprintf("of this customer's %.0f further redemption days %.0f were at this merchant; by the habit of its other customers %.1f would be (p=%.2g)", s.Aux[0], s.Observed, s.Expected, s.P),
	}
}}

// pairEvidence is the most redemptions of a pair that are named.
const pairEvidence = 20

func (d *pair) tell(v *Visit, s *seat, n, k int, mean, tail, llr float64) {
	if len(d.evidence) > 1<<14 {
		d.evidence = nil
	}
	start := len(d.evidence)
	log := &d.env.Ledger.log
	log.each(s.patron.head, 0, func(u *use) {
		if u.place == s.use.place && len(d.evidence) < start+pairEvidence {
			d.evidence = append(d.evidence, u.ref())
		}
	})
	sig := Signal{
		Kind: pairRepeat, LLR: llr, Observed: float64(k), Expected: mean, P: tail, Aux: [6]float64{float64(n)},
		Evidence: d.evidence[start:len(d.evidence):len(d.evidence)], Peers: v.Category().String(),
	}
	v.Say(d.env, sig)
	// Who stocks up for a shop of their own, or eats where they work, comes as often; but what they pay has
	// nothing to do with the threshold.
	if llr < d.FindAt || s.use.amount < 0 {
		return
	}
	var found []FoundRedemption
	log.each(s.patron.head, 0, func(u *use) {
		if f, ok := u.found(d.env.Arena); ok && u.place == s.use.place && len(found) < pairEvidence {
			found = append(found, f)
		}
	})
	d.env.Find(Found{
		Typology: "P01", Subject: vw.Subject{Kind: "pair", ID: v.MerchantID(), With: v.CustomerID()}, Period: "campaign", At: v.T,
		LogOdds: d.env.LogOdds(d.env.settings.Prior, llr), Redemptions: found, Subsidy: SumOfDiscounts, Merchants: []string{v.MerchantID()},
		Reasons: []vw.Reason{d.env.Reason(sig)},
	})
}

// categoryOf is the merchant's registered line of business, by the slot that owns it. What a slot's own
// customers used there would differ with the number of slots.
func categoryOf(peers []Detector, merchant uint64) vw.Category {
	for _, p := range peers {
		if m := p.(*pair).env.Merchants.of(merchant); m != nil {
			return m.Category
		}
	}
	return vw.NoCategory
}

func learnPair(peers []Detector, t *Tick) {
	rates := peers[0].(*pair).rates
	for _, p := range peers {
		d := p.(*pair)
		for i := range d.count {
			if from := &d.count[i]; *from != (returns{}) {
				to, _ := rates.merchant.Get(d.env.Ledger.keys[i])
				to.further += from.further
				to.here += from.here
				to.people += from.people
				c := categoryOf(peers, d.env.Ledger.keys[i])
				rates.further[c] += int64(from.further)
				rates.here[c] += int64(from.here)
				*from = returns{}
			}
		}
		for c := range d.histogram {
			for n := range d.histogram[c] {
				for k, x := range d.histogram[c][n] {
					rates.histogram[c][n][k] += int64(x)
				}
			}
		}
		d.histogram = pairHistogram{}
		d.rates = rates
	}
	if t.NewDay {
		rates.fit()
	}
}

// fit finds mean and concentration of each line by maximum likelihood over the pairs that came back
// at least once, conditional on that: the histogram does not hold the others. A line that has shown too
// little is taken for all lines together.
func (r *pairRates) fit() {
	r.merchant.Each(func(_ uint64, m *returns) {
		m.canteen = m.people >= canteenPeople && float64(m.here) > canteenTimes*r.share()*float64(m.further)
	})
	const enough = 50
	var all [pairMax + 1][pairMax + 1]int64
	few := true
	for line := range r.histogram {
		for n := range r.histogram[line] {
			for k, x := range r.histogram[line][n] {
				all[n][k] += x
			}
		}
	}
	whole := r.category[0]
	if tallied(&all) >= enough {
		whole, few = fitReturns(&all, whole, incredible), false
	}
	for line := range r.category {
		switch {
		case tallied(&r.histogram[line]) >= enough && line >= int(vw.Categories):
			r.category[line] = fitReturns(&r.histogram[line], r.category[line], 0)
		case tallied(&r.histogram[line]) >= enough:
			r.category[line] = fitReturns(&r.histogram[line], r.category[line], incredible)
		case !few:
			r.category[line] = whole
		}
	}
}

// share is the part of all further days that was spent where one had been.
func (r *pairRates) share() float64 {
	here, further := 1.0, 20.0
	for c := range r.here {
		here, further = here+float64(r.here[c]), further+float64(r.further[c])
	}
	return here / further
}

const (
	// A merchant has regulars when so many people came back to it, and the share of returns is so many times the usual.
	canteenPeople = 10
	canteenTimes  = 3
)

func tallied(h *[pairMax + 1][pairMax + 1]int64) (pairs int64) {
	for n := 2; n <= pairMax; n++ {
		for _, x := range h[n] {
			pairs += x
		}
	}
	return pairs
}

// incredible is the tail of those who came back beyond which a pair does not teach the null: partners would
// teach it that they are usual. Where many come back, all do.
const incredible = .01

func fitReturns(all *[pairMax + 1][pairMax + 1]int64, f betaRates, incredible float64) betaRates {
	h := *all
	for n := 2; n <= pairMax; n++ {
		some := betaBinomialTail(1, n, f.a, f.b)
		for k := 3; k <= n; k++ {
			if betaBinomialTail(k, n, f.a, f.b) < incredible*some {
				h[n][k] = 0
			}
		}
	}
	likelihood := func(mu, s float64) float64 {
		// ln of the rising factorials of a, b and a+b: of them the beta functions are made.
		var here, away, all [pairMax + 1]float64
		for i := range pairMax {
			here[i+1] = here[i] + math.Log(mu*s+float64(i))
			away[i+1] = away[i] + math.Log((1-mu)*s+float64(i))
			all[i+1] = all[i] + math.Log(s+float64(i))
		}
		sum := 0.0
		for n := 2; n <= pairMax; n++ {
			pairs := int64(0)
			for k := 1; k <= n; k++ {
				if x := h[n][k]; x != 0 {
					pairs += x
					sum += float64(x) * (here[k] + away[n-k])
				}
			}
			if pairs != 0 {
				none := math.Exp(away[n] - all[n])
				sum -= float64(pairs) * (all[n] + math.Log(max(1-none, 1e-12)))
			}
		}
		return sum
	}
	mu, s := f.a/(f.a+f.b), f.a+f.b
	for range 4 {
		mu = logistic(maximise(func(x float64) float64 { return likelihood(logistic(x), s) }, math.Log(.005), math.Log(9)))
		s = math.Exp(maximise(func(x float64) float64 { return likelihood(mu, math.Exp(x)) }, math.Log(.3), math.Log(30)))
	}
	return betaRates{mu * s, (1 - mu) * s}
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

// pairHorizon is how many days a customer may stay away and still be known.
const pairHorizon = 45

func (d *pair) Sweep(now vw.Millis) { d.env.Ledger.sweep(now, d.env.Offset) }

func (d *pair) Size() (keys, bytes int) {
	return len(d.count), 8*cap(d.count) + d.rates.merchant.Bytes()/d.env.Slots
}
