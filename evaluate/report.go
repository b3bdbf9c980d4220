// Package evaluate holds what the product said about a world against what is true about it: per form of
// fraud and per honest look-alike, how well fraud is ranked, how much is found and when, what it costs
// the honest, what a score is worth as a probability, and what naive rules would have done on the same
// events. docs/evaluation.md says how each figure is meant.
//
// It neither scores nor simulates. In: events (vw.Batch), Labels, scores.ndjson and findings.ndjson. Out:
// Report, as text, JSON and HTML. One pass over each input; memory grows with redemptions, not with bytes.
// The same input gives the same bytes.
package evaluate

import (
	"cmp"
	"maps"
	"slices"

	vw "voucherwatch"
)

// Report is what came out of one world. Its JSON is stable: members are added, never changed.
type Report struct {
	World         string        `json:"world"`
	Campaign      string        `json:"campaign"`
	PolicyVersion string        `json:"policy_version"`
	Placebo       bool          `json:"placebo"` // the labels hold no fraud
	Days          int           `json:"days"`    // with a redemption
	Merchants     int           `json:"merchants"`
	Customers     int           `json:"customers"`
	Redemptions   int           `json:"redemptions"` // distinct and scored
	Fraud         int           `json:"fraud"`       // of them labelled as fraud
	Honest        int           `json:"honest"`      // neither fraud nor a breach nor left out
	StakeFen      vw.Fen        `json:"stake_fen"`   // state money that fraud took
	Boards        []Board       `json:"boards"`      // rankings
	Rings         []Ring        `json:"rings"`
	Typologies    []Typology    `json:"typologies"` // cases, redemptions and money found, and when
	Exact         []Exact       `json:"exact"`      // exact rules
	False         FalseAlarms   `json:"false_alarms"`
	Tags          []Tag         `json:"tags"` // honest look-alikes
	Calibration   []Reliability `json:"calibration"`
	Budget        []Budget      `json:"budget"`   // precision of the day's first so many
	Findings      []Found       `json:"findings"` // by typology
	PerDay        PerDay        `json:"findings_per_day"`
	Pairs         []PairNull    `json:"honest_pairs"`
	PValues       []PValues     `json:"p_values"`
	FalseBudget   []FalseBudget `json:"false_budget"`
	Drift         []Drift       `json:"drift"`
	Notes         []string      `json:"notes,omitempty"`

	subjects []exhibit // for Learning
	weights  map[string]float64
	prior    float64
}

// Share is a proportion with its 95 % Wilson interval.
type Share struct {
	K     int     `json:"k"`
	N     int     `json:"n"`
	Value float64 `json:"value"` // 0 when N is
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

func share(k, n int) Share {
	s := Share{K: k, N: n}
	if n > 0 {
		s.Value = round(float64(k)/float64(n), 6)
	}
	s.Low, s.High = wilson(k, n)
	s.Low, s.High = round(s.Low, 6), round(s.High, 6)
	return s
}

// Ranking is how well one way of ordering puts fraud first.
type Ranking struct {
	By string  `json:"by"`
	AP float64 `json:"ap"` // average precision, ties as one step
	// Low and High are a 95 % bootstrap interval with a fixed seed; absent below five positives.
	Low   *float64     `json:"low,omitempty"`
	High  *float64     `json:"high,omitempty"`
	Curve [][2]float64 `json:"curve,omitempty"` // recall, precision
	// Fires is a naive rule as a decision: what it would have accused.
	Fires *Band `json:"fires,omitempty"`
}

// Board is one kind of thing ranked for one kind of fraud.
type Board struct {
	Family   string `json:"family"`
	Typology string `json:"typology"` // "" is the family
	Unit     string `json:"unit"`     // basket, merchant, pair, redemption
	Items    int    `json:"items"`
	Fraud    int    `json:"fraud"`
	// Rankings begin with ours; the others are naive rules on the same items.
	Rankings []Ranking `json:"rankings"`
	Review   Band      `json:"review"`
	High     Band      `json:"high"`
}

// Band is precision and recall from a score on.
type Band struct {
	Precision Share `json:"precision"`
	Recall    Share `json:"recall"`
}

// Report evaluates what was taken in.
func (w *World) Report() *Report {
	r := &Report{World: w.name, Campaign: w.o.Campaign.ID, PolicyVersion: w.policy, Merchants: len(w.merchants), Customers: len(w.customer), Redemptions: w.scored, weights: w.o.Weights, prior: w.o.Prior}
	days := map[int32]bool{}
	for i := range w.rows {
		x := &w.rows[i]
		days[x.day] = true
		if x.kase >= 0 {
			r.Fraud++
			r.StakeFen += x.stake
		}
		if x.honest() {
			r.Honest++
		}
	}
	r.Days = len(days)
	r.Placebo = len(w.labels.cases) == 0
	visits := w.byVisit()
	r.Boards = slices.Concat(w.splitBoards(w.baskets(visits)), w.merchantBoards(), w.pairBoards(visits), w.redemptionBoards())
	r.Rings = w.rings()
	r.Typologies = w.typologies()
	r.Exact = w.exact()
	r.False = w.falseAlarms()
	r.Tags = w.lookAlikes()
	r.Calibration = []Reliability{w.reliability("at the time", func(x *row) int16 { return x.score }), w.reliability("after", func(x *row) int16 { return x.after })}
	r.Budget = w.budget()
	r.Findings, r.PerDay = w.found(len(days))
	r.Pairs = w.pairNull(visits)
	r.PValues = w.pValues()
	r.FalseBudget = w.falseBudget(len(days))
	r.Drift = w.drift(visits)
	r.subjects = w.exhibits()
	return r
}

// form is a family of fraud, or one typology of it, and the codes that its labels accept.
type form struct {
	family, typology string
	codes            map[string]bool
}

// forms are the families that keep passes, each followed by its typologies when it has several.
func (w *World) forms(keep func(c *labelCase) bool) []form {
	families := map[string]map[string]map[string]bool{}
	for i := range w.labels.cases {
		c := &w.labels.cases[i]
		if !keep(c) {
			continue
		}
		if families[c.family] == nil {
			families[c.family] = map[string]map[string]bool{}
		}
		for _, name := range []string{"", c.typology} {
			if families[c.family][name] == nil {
				families[c.family][name] = map[string]bool{}
			}
			for _, code := range c.codes {
				families[c.family][name][code] = true
			}
		}
	}
	var out []form
	for _, f := range slices.Sorted(maps.Keys(families)) {
		for _, t := range slices.Sorted(maps.Keys(families[f])) {
			if t == "" || len(families[f]) > 2 {
				out = append(out, form{f, t, families[f][t]})
			}
		}
	}
	return out
}

func (f *form) is(c *labelCase) bool {
	return c.family == f.family && (f.typology == "" || c.typology == f.typology)
}

// rule is a way of ranking. A naive one fires from a value on; 0: it does not.
type rule struct {
	by    string
	from  float64
	items []item
}

// board ranks by each rule; the first is ours, with scores of 0 to 1000.
func (w *World) board(f form, unit string, rules ...rule) Board {
	b := Board{Family: f.family, Typology: f.typology, Unit: unit, Items: len(rules[0].items)}
	for _, x := range rules[0].items {
		if x.fraud {
			b.Fraud++
		}
	}
	b.Review, b.High = fires(rules[0].items, float64(w.o.Review), b.Fraud), fires(rules[0].items, float64(w.o.High), b.Fraud)
	for _, r := range rules {
		ls := levels(r.items)
		k := Ranking{By: r.by, AP: round(averagePrecision(ls), 4), Curve: curve(ls, 80)}
		if low, high, ok := bootstrap(ls); ok {
			low, high = round(low, 4), round(high, 4)
			k.Low, k.High = &low, &high
		}
		if r.from > 0 {
			band := fires(r.items, r.from, b.Fraud)
			k.Fires = &band
		}
		b.Rankings = append(b.Rankings, k)
	}
	return b
}

// fires is how well a threshold separates fraud.
func fires(items []item, from float64, fraud int) Band {
	hit, all := 0, 0
	for _, x := range items {
		if x.score >= from {
			all++
			if x.fraud {
				hit++
			}
		}
	}
	return Band{share(hit, all), share(hit, fraud)}
}

// ours is the name of our own ranking.
const ours = "score"

// basket is what one customer spent at one merchant on one day.
type basket struct {
	kinds       map[int32]bool // cases, nil: honest
	n           int32          // redemptions
	quick, near int32          // of them within 30 minutes of the one before; at most 1 % over the threshold
	pair        int32          // redemptions of the pair on all days
	score       int16
}

// baskets cuts visits, which are in order, into baskets.
func (w *World) baskets(visits []int32) []basket {
	out := make([]basket, 0, len(visits))
	for i := 0; i < len(visits); {
		from, pair := len(out), i
		a := &w.rows[visits[i]]
		for i < len(visits) && w.rows[visits[i]].customer == a.customer && w.rows[visits[i]].merchant == a.merchant {
			start, day := i, w.rows[visits[i]].day
			b := basket{}
			for ; i < len(visits); i++ {
				r := &w.rows[visits[i]]
				if r.customer != a.customer || r.merchant != a.merchant || r.day != day {
					break
				}
				if i > start && r.at-w.rows[visits[i-1]].at <= 30*vw.Minute {
					b.quick++
				}
				if r.near {
					b.near++
				}
				if r.kase >= 0 {
					if b.kinds == nil {
						b.kinds = map[int32]bool{}
					}
					b.kinds[r.kase] = true
				}
				b.score = max(b.score, r.score)
			}
			b.n = int32(i - start)
			out = append(out, b)
		}
		for j := from; j < len(out); j++ {
			out[j].pair = int32(i - pair)
		}
	}
	return out
}

// splitBoards rank baskets. Baskets of other fraud are left out: they are neither split nor honest.
func (w *World) splitBoards(baskets []basket) (out []Board) {
	var room [5][]item // a county's are worth using again
	for _, f := range w.forms(func(c *labelCase) bool { return c.family == "split" }) {
		by := []rule{{by: ours}, {by: "same pair within 30 min", from: 1}, {by: "within 1 % above the threshold", from: 2}, {by: "both", from: 1}, {by: "redemptions of the pair", from: 4}}
		for j := range by {
			by[j].items = slices.Grow(room[j][:0], len(baskets))
			room[j] = by[j].items
		}
		for i := range baskets {
			b := &baskets[i]
			is := false
			for k := range b.kinds {
				is = is || f.is(&w.labels.cases[k])
			}
			if b.kinds != nil && !is {
				continue
			}
			near, both := float64(b.near), 0.
			if b.n == 1 {
				near /= 10 // one payment alone is no split, but the rule may still put it before nothing
			}
			if b.quick > 0 && b.near >= 2 {
				both = float64(b.quick) + float64(b.near)/100
			}
			for j, s := range []float64{float64(b.score), float64(b.quick), near, both, float64(b.pair)} {
				by[j].items = append(by[j].items, item{s, is})
			}
		}
		out = append(out, w.board(f, "basket", by...))
	}
	return out
}

// merchantBoards rank merchants for fraud that is a merchant's, by the highest finding about it with a
// code that the labels accept. A merchant of other fraud but splits is left out, and
// so is one with a labelled breach of such a code.
func (w *World) merchantBoards() (out []Board) {
	at := map[int32][]int32{} // merchant → cases
	for i := range w.labels.cases {
		for _, id := range w.labels.cases[i].merchants {
			if m, ok := w.merchant[id]; ok {
				at[m] = append(at[m], int32(i))
			}
		}
	}
	for _, f := range w.forms(func(c *labelCase) bool { return c.family != "split" && c.family != "pair_ring" }) {
		best := make([]float64, len(w.merchants))
		for i := range w.findings {
			x := &w.findings[i]
			if f.codes[x.code] && x.kind == "merchant" {
				if m, ok := w.merchant[x.subject]; ok {
					best[m] = max(best[m], float64(x.score))
				}
			}
		}
		by := []rule{{by: ours}}
		if f.family == "price" {
			by = append(by, rule{by: "items 15 % over the 7-day minimum", from: 1})
		} else {
			by = append(by, rule{by: "share within 1 % above the threshold", from: .6})
		}
		for m := range w.merchants {
			is, other := false, false
			for _, k := range at[int32(m)] {
				c := &w.labels.cases[k]
				is = is || f.is(c)
				other = other || c.family != "split"
			}
			x := &w.merchants[m]
			if (other || w.breaks(x, f)) && !is {
				continue
			}
			naive := float64(x.dear)
			if f.family != "price" {
				naive = 0
				if x.rows >= 10 {
					naive = float64(x.near) / float64(x.rows)
				}
			}
			by[0].items = append(by[0].items, item{best[m], is})
			by[1].items = append(by[1].items, item{naive, is})
		}
		out = append(out, w.board(f, "merchant", by...))
	}
	return out
}

// breaks tells whether a labelled breach at the merchant has one of the form's codes.
func (w *World) breaks(m *merchant, f form) bool {
	for i, rule := range w.labels.rules {
		if m.broken>>i&1 == 1 && f.codes[contractCode(rule)] {
			return true
		}
	}
	return false
}

type pairKey struct{ merchant, customer int32 }

// pairBoards rank customers at merchants, of two redemptions and more, for fraud of fixed partners: by
// the highest finding about the pair, or else by the pair's own reasons in its scores.
func (w *World) pairBoards(visits []int32) (out []Board) {
	fixed := func(c *labelCase) bool {
		return c.family == "pair_ring" && len(c.merchants) == 1 && len(c.customers) == 1
	}
	for _, f := range w.forms(fixed) {
		found := map[pairKey]float64{}
		for i := range w.findings {
			x := &w.findings[i]
			if x.kind != "pair" || !f.codes[x.code] {
				continue
			}
			m, ok := w.merchant[x.subject]
			c, also := w.customers[x.with]
			if ok && also {
				k := pairKey{m, c}
				found[k] = max(found[k], float64(x.score))
			}
		}
		by := []rule{{by: ours}, {by: "redemptions of the pair", from: 4}}
		for i := 0; i < len(visits); {
			a, j := &w.rows[visits[i]], i
			is, other, own := false, false, 0.
			for ; j < len(visits) && w.rows[visits[j]].customer == a.customer && w.rows[visits[j]].merchant == a.merchant; j++ {
				r := &w.rows[visits[j]]
				own = max(own, float64(r.pair))
				if r.kase >= 0 {
					c := &w.labels.cases[r.kase]
					is = is || fixed(c) && f.is(c)
					other = true
				}
			}
			if n := j - i; n >= 2 && (is || !other) {
				// Evidence without a finding ranks below any finding.
				s := found[pairKey{a.merchant, a.customer}] + own/1000
				by[0].items = append(by[0].items, item{s, is})
				by[1].items = append(by[1].items, item{float64(n), is})
			}
			i = j
		}
		out = append(out, w.board(f, "pair", by...))
	}
	return out
}

// redemptionBoards rank redemptions, as scored at the time and by the risk after the fact, for every form.
func (w *World) redemptionBoards() (out []Board) {
	var room [2][]item
	for _, f := range w.forms(func(*labelCase) bool { return true }) {
		by := []rule{{by: ours}, {by: "risk after the fact"}}
		for j := range by {
			by[j].items = slices.Grow(room[j][:0], len(w.rows))
			room[j] = by[j].items
		}
		for i := range w.rows {
			r := &w.rows[i]
			is := r.kase >= 0 && f.is(&w.labels.cases[r.kase])
			if r.score < 0 || !is && !r.honest() {
				continue
			}
			by[0].items = append(by[0].items, item{float64(r.score), is})
			by[1].items = append(by[1].items, item{float64(r.after), is})
		}
		out = append(out, w.board(f, "redemption", by...))
	}
	return out
}

// Ring is how well rings were found: merchants and members, by findings about rings at review. Merchants and people of other
// fraud are neither right nor wrong, as everywhere; OtherFraud counts those merchants.
type Ring struct {
	Typology  string `json:"typology"`
	Cases     int    `json:"cases"`
	Merchants Band   `json:"merchants"`
	Members   Band   `json:"members"`
	F1        F1     `json:"f1"`

	OtherFraud int `json:"other_fraud"`
}

// F1 are harmonic means of precision and recall.
type F1 struct {
	Merchants float64 `json:"merchants"`
	Members   float64 `json:"members"`
}

func (w *World) rings() []Ring {
	r := Ring{}
	names := map[string]bool{}
	merchants, members := map[uint64]bool{}, map[uint64]bool{}
	otherShops, otherPeople := map[uint64]bool{}, map[uint64]bool{}
	for i := range w.labels.cases {
		c := &w.labels.cases[i]
		if c.family != "pair_ring" || len(c.merchants) < 2 {
			for _, m := range c.merchants {
				otherShops[m] = true
			}
			for _, u := range c.customers {
				otherPeople[u] = true
			}
			continue
		}
		r.Cases++
		names[c.typology] = true
		for _, m := range c.merchants {
			merchants[m] = true
		}
		for _, u := range c.customers {
			members[u] = true
		}
	}
	shops, people, others := map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}
	for i := range w.findings {
		x := &w.findings[i]
		if x.kind != "ring" || x.score < w.o.Review {
			continue
		}
		for _, m := range x.merchants {
			id := vw.HashString(w.merchants[m].id)
			if otherShops[id] && !merchants[id] {
				others[id] = true
				continue
			}
			shops[id] = true
		}
		for _, i := range x.rows {
			if u := w.customer[w.rows[i].customer]; !otherPeople[u] || members[u] {
				people[u] = true
			}
		}
	}
	r.OtherFraud = len(others)
	if r.Cases == 0 && len(shops)+len(others) == 0 {
		return nil
	}
	for i, t := range slices.Sorted(maps.Keys(names)) {
		if i > 0 {
			r.Typology += ", "
		}
		r.Typology += t
	}
	r.Merchants, r.F1.Merchants = overlap(shops, merchants)
	r.Members, r.F1.Members = overlap(people, members)
	return []Ring{r}
}

// overlap is how well a set was guessed.
func overlap(guess, truth map[uint64]bool) (Band, float64) {
	hit := 0
	for x := range guess {
		if truth[x] {
			hit++
		}
	}
	f1 := 0.
	if hit > 0 {
		f1 = 2 * float64(hit) / float64(len(guess)+len(truth))
	}
	return Band{share(hit, len(guess)), share(hit, len(truth))}, round(f1, 4)
}

// byName orders H2 before H10.
func byName(a, b string) int { return cmp.Or(len(a)-len(b), cmp.Compare(a, b)) }
