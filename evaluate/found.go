package evaluate

import (
	"cmp"
	"maps"
	"slices"

	vw "voucherwatch"
)

// Typology is what was found of one form of fraud, and when. A case is found when a finding at review,
// but one of an exact rule, lists one of its redemptions or, of prices, names its merchant.
type Typology struct {
	Name   string `json:"typology"`
	Family string `json:"family"`
	Cases  Share  `json:"cases"`
	AtTime Share  `json:"at_the_time"` // redemptions with a score at review
	After  Share  `json:"after"`       // … or in a finding at review
	High   Share  `json:"after_high"`
	Money  Money  `json:"subsidy"`
	Delay  Delay  `json:"delay"`
}

// Money is the defrauded subsidy.
type Money struct {
	StakeFen  vw.Fen `json:"stake_fen"`
	BeforeFen vw.Fen `json:"before_settlement_fen"` // of redemptions found before they were paid out
	AfterFen  vw.Fen `json:"after_fen"`             // of all that were found
}

func (m *Money) add(x Money) {
	m.StakeFen += x.StakeFen
	m.BeforeFen += x.BeforeFen
	m.AfterFen += x.AfterFen
}

// Delay is from the first fraud to the first finding, over the cases found.
type Delay struct {
	MedianHours       float64   `json:"median_hours"` // below 0: before the first redemption
	MedianRedemptions float64   `json:"median_redemptions"`
	LostFen           vw.Fen    `json:"lost_fen"` // stake of redemptions until then, of all cases; of a missed case all
	Hours             []float64 `json:"hours"`    // of each case found, in order
}

// allTypologies is the name of the row that sums them up.
const allTypologies = "all"

func (w *World) typologies() []Typology {
	type sum struct {
		family                 string
		cases, found           int
		n, atTime, after, high int
		money                  Money
		hours, until           []float64
		lost                   vw.Fen
	}
	sums := map[string]*sum{}
	at := map[int32][]int32{} // case → its rows
	for i := range w.rows {
		if r := &w.rows[i]; r.kase >= 0 && r.score >= 0 {
			at[r.kase] = append(at[r.kase], int32(i))
		}
	}
	first := w.firstAlerts()
	for k := range w.labels.cases {
		c := &w.labels.cases[k]
		alert, found := first[int32(k)]
		for _, name := range []string{c.typology, allTypologies} {
			s := sums[name]
			if s == nil {
				s = &sum{family: c.family}
				sums[name] = s
			}
			s.cases++
			before := 0
			for _, i := range at[int32(k)] {
				r := &w.rows[i]
				s.n++
				m := Money{StakeFen: r.stake}
				known := r.at // when it was known to be wrong
				if int(r.score) < w.o.Review {
					known = max(r.at, r.found)
				} else {
					s.atTime++
				}
				if int(r.after) >= w.o.Review {
					s.after++
					m.AfterFen = r.stake
					if known <= r.at+w.o.Settle {
						m.BeforeFen = r.stake
					}
				}
				if int(r.after) >= w.o.High {
					s.high++
				}
				s.money.add(m)
				if !found || r.at < alert {
					before++
					s.lost += r.stake
				}
			}
			if found {
				s.found++
				s.hours = append(s.hours, round(float64(alert-c.first)/float64(vw.Hour), 3))
				s.until = append(s.until, float64(before))
			}
		}
	}
	row := func(name, family string) Typology {
		s := sums[name]
		slices.Sort(s.hours)
		slices.Sort(s.until)
		return Typology{name, family, share(s.found, s.cases), share(s.atTime, s.n), share(s.after, s.n), share(s.high, s.n), s.money, Delay{median(s.hours), median(s.until), s.lost, s.hours}}
	}
	var out []Typology
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		if name != allTypologies {
			out = append(out, row(name, sums[name].family))
		}
	}
	slices.SortStableFunc(out, func(a, b Typology) int { return cmp.Compare(a.Family, b.Family) })
	if len(out) > 0 {
		out = append(out, row(allTypologies, ""))
	}
	return out
}

// median of a sorted list; 0 of an empty one.
func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	return round((x[(len(x)-1)/2]+x[len(x)/2])/2, 3)
}

// firstAlerts is when the first finding at review touched a case.
func (w *World) firstAlerts() map[int32]vw.Millis {
	first := map[int32]vw.Millis{}
	at := map[int32][]int32{} // merchant → price cases
	for k := range w.labels.cases {
		if c := &w.labels.cases[k]; c.family == "price" {
			for _, id := range c.merchants {
				if m, ok := w.merchant[id]; ok {
					at[m] = append(at[m], int32(k))
				}
			}
		}
	}
	for i := range w.findings {
		f := &w.findings[i]
		if f.score < w.o.Review {
			continue
		}
		touch := func(k int32) {
			c := &w.labels.cases[k]
			if f.exact && !slices.Contains(c.codes, f.code) {
				return
			}
			if was, ok := first[k]; !ok || f.detected < was {
				first[k] = f.detected
			}
		}
		for _, j := range f.rows {
			if k := w.rows[j].kase; k >= 0 {
				touch(k)
			}
		}
		if f.kind == "merchant" {
			if m, ok := w.merchant[f.subject]; ok {
				for _, k := range at[m] {
					if slices.Contains(w.labels.cases[k].codes, f.code) {
						touch(k)
					}
				}
			}
		}
	}
	return first
}

// Exact is how well one exact rule was kept: of the redemptions labelled as its breaches, how many its
// findings list, and of those they list, how many are breaches (or belong to a fraud with that code).
type Exact struct {
	Code      string `json:"code"`
	Recall    Share  `json:"recall"`
	Precision Share  `json:"precision"`
}

// codeOf maps the simulator's words for the campaign's own arithmetic to the contract's codes.
var codeOf = map[string]string{"X-threshold": "C01", "X-discount": "C01", "X-expired": "C02", "X-early": "C02", "X-sum": "C03"}

func contractCode(rule string) string {
	if code, ok := codeOf[rule]; ok {
		return code
	}
	return rule
}

func (w *World) exact() []Exact {
	type count struct{ broken, found, listed, right int }
	by := map[string]*count{}
	of := func(code string) *count {
		if by[code] == nil {
			by[code] = &count{}
		}
		return by[code]
	}
	listed := map[string]map[int32]bool{}
	for i := range w.findings {
		f := &w.findings[i]
		if !f.exact {
			continue
		}
		if listed[f.code] == nil {
			listed[f.code] = map[int32]bool{}
		}
		for _, r := range f.rows {
			listed[f.code][r] = true
		}
	}
	all := count{}
	rule := func(r *row) string {
		if r.broken == 0 {
			return ""
		}
		return contractCode(w.labels.rules[r.broken-1])
	}
	for i := range w.rows {
		if code := rule(&w.rows[i]); code != "" {
			c := of(code)
			c.broken++
			if listed[code][int32(i)] {
				c.found++
			}
		}
	}
	for code, rows := range listed {
		c := of(code)
		for i := range rows {
			r := &w.rows[i]
			c.listed++
			if rule(r) == code || r.kase >= 0 && slices.Contains(w.labels.cases[r.kase].codes, code) {
				c.right++
			}
		}
	}
	var out []Exact
	for _, code := range slices.Sorted(maps.Keys(by)) {
		c := by[code]
		out = append(out, Exact{code, share(c.found, c.broken), share(c.right, c.listed)})
		all.broken, all.found, all.listed, all.right = all.broken+c.broken, all.found+c.found, all.listed+c.listed, all.right+c.right
	}
	if len(out) == 0 {
		return nil
	}
	return append(out, Exact{allTypologies, share(all.found, all.broken), share(all.right, all.listed)})
}

// FalseAlarms are honest redemptions at review and above. Rates are per 10,000 honest redemptions.
type FalseAlarms struct {
	AtTime     Share   `json:"at_the_time"`
	After      Share   `json:"after"`
	AtTimeHigh Share   `json:"at_the_time_high"`
	AfterHigh  Share   `json:"after_high"`
	Rate       float64 `json:"per_10000_at_the_time"`
	RateAfter  float64 `json:"per_10000_after"`
}

// Tag is how often honest redemptions with a look-alike tag came to review or above. "none" are those
// without a tag, "any" those with one or more.
type Tag struct {
	Name       string `json:"tag"`
	AtTime     Share  `json:"at_the_time"`
	After      Share  `json:"after"`
	AtTimeHigh Share  `json:"at_the_time_high"`
	AfterHigh  Share  `json:"after_high"`
}

// alarms counts honest redemptions at review and high.
type alarms struct{ n, at, after, atHigh, afterHigh int }

func (a *alarms) add(r *row, o *Options) {
	a.n++
	for _, x := range []struct {
		score int16
		from  int
		into  *int
	}{{r.score, o.Review, &a.at}, {r.after, o.Review, &a.after}, {r.score, o.High, &a.atHigh}, {r.after, o.High, &a.afterHigh}} {
		if int(x.score) >= x.from {
			*x.into++
		}
	}
}

func (w *World) falseAlarms() FalseAlarms {
	var a alarms
	for i := range w.rows {
		if r := &w.rows[i]; r.honest() && r.score >= 0 {
			a.add(r, &w.o)
		}
	}
	f := FalseAlarms{AtTime: share(a.at, a.n), After: share(a.after, a.n), AtTimeHigh: share(a.atHigh, a.n), AfterHigh: share(a.afterHigh, a.n)}
	f.Rate, f.RateAfter = round(1e4*f.AtTime.Value, 3), round(1e4*f.After.Value, 3)
	return f
}

func (w *World) lookAlikes() []Tag {
	by := map[string]*alarms{}
	of := func(name string) *alarms {
		if by[name] == nil {
			by[name] = &alarms{}
		}
		return by[name]
	}
	for i := range w.rows {
		r := &w.rows[i]
		if !r.honest() || r.score < 0 {
			continue
		}
		if r.tags == 0 {
			of("none").add(r, &w.o)
			continue
		}
		of("any").add(r, &w.o)
		for j, name := range w.labels.names {
			if r.tags>>j&1 == 1 {
				of(name).add(r, &w.o)
			}
		}
	}
	var out []Tag
	for _, name := range slices.SortedFunc(maps.Keys(by), byName) {
		a := by[name]
		out = append(out, Tag{name, share(a.at, a.n), share(a.after, a.n), share(a.atHigh, a.n), share(a.afterHigh, a.n)})
	}
	return out
}
