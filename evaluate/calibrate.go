package evaluate

import (
	"cmp"
	"maps"
	"slices"

	vw "voucherwatch"
)

// Reliability holds predicted against observed fraud, over redemptions that break no exact rule.
type Reliability struct {
	Of      string  `json:"of"` // "at the time" or "after"
	N       int     `json:"n"`
	Brier   float64 `json:"brier"`                  // mean squared error of score/1000
	BaseTip float64 `json:"brier_of_the_base_rate"` // of saying the prevalence of every redemption
	// Bins are tenths of the score, [0,100), …, [900,1000], those with redemptions.
	Bins []Bin `json:"bins"`
	// Worst is the largest |predicted − observed| among bins of leastForBin redemptions and more.
	Worst float64 `json:"worst"`
}

// leastForBin is how many redemptions a bin needs to be held against its prediction.
const leastForBin = 30

// Bin is a tenth of the scores.
type Bin struct {
	From      int     `json:"from"`
	Predicted float64 `json:"predicted"` // mean score/1000
	Observed  Share   `json:"observed"`
}

func (w *World) reliability(of string, score func(*row) int16) Reliability {
	out := Reliability{Of: of}
	var n, fraud [10]int
	var sum [10]int64
	squares, all := 0., 0
	for i := range w.rows {
		r := &w.rows[i]
		if r.score < 0 || r.broken > 0 || r.filler {
			continue
		}
		s := score(r)
		b := min(9, int(s)/100)
		n[b]++
		sum[b] += int64(s)
		p, y := float64(s)/1000, 0.
		if r.kase >= 0 {
			fraud[b]++
			all++
			y = 1
		}
		squares += (p - y) * (p - y)
		out.N++
	}
	if out.N == 0 {
		return out
	}
	base := float64(all) / float64(out.N)
	out.Brier, out.BaseTip = round(squares/float64(out.N), 6), round(base*(1-base), 6)
	for b := range n {
		if n[b] == 0 {
			continue
		}
		x := Bin{From: b * 100, Predicted: round(float64(sum[b])/1000/float64(n[b]), 6), Observed: share(fraud[b], n[b])}
		out.Bins = append(out.Bins, x)
		if n[b] >= leastForBin {
			out.Worst = max(out.Worst, round(abs(x.Predicted-x.Observed.Value), 4))
		}
	}
	return out
}

func abs(x float64) float64 { return max(x, -x) }

// Budget is what a day's first so many alerts are worth. An alert is a customer at a merchant, ranked by
// the highest score of the day; who was found right is not counted again (the handbook's CP@k). Fraud and
// breaches are right, fillers are passed over.
type Budget struct {
	Alerts    int     `json:"alerts_a_day"`
	Precision float64 `json:"precision"` // mean over days
	Ceiling   float64 `json:"ceiling"`   // of a perfect ranking, found and left out by the same rule
	Found     Share   `json:"found"`     // of the guilty customer-merchants, ever
}

func (w *World) budget() []Budget {
	// One entry for each customer-merchant and day, by day.
	type entry struct {
		pair  pairKey
		day   int32
		score int16
		wrong bool
	}
	entries := make([]entry, 0, len(w.rows))
	for i := range w.rows {
		if r := &w.rows[i]; r.score >= 0 && !r.filler {
			entries = append(entries, entry{pairKey{r.merchant, r.customer}, r.day, r.score, r.kase >= 0 || r.broken > 0})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.pair.merchant, b.pair.merchant), cmp.Compare(a.pair.customer, b.pair.customer))
	})
	merged := entries[:0]
	guilty := map[pairKey]bool{}
	for _, e := range entries {
		if e.wrong {
			guilty[e.pair] = true
		}
		if n := len(merged); n > 0 && merged[n-1].pair == e.pair && merged[n-1].day == e.day {
			merged[n-1].score, merged[n-1].wrong = max(merged[n-1].score, e.score), merged[n-1].wrong || e.wrong
			continue
		}
		merged = append(merged, e)
	}
	if len(guilty) == 0 {
		return nil
	}
	// Equals come in an order that has nothing to do with guilt, nor with the order of the input.
	order := func(p pairKey) uint64 {
		return scatter(w.customer[p.customer] ^ vw.HashString(w.merchants[p.merchant].id))
	}
	// run gives the mean share of right ones among the first k of a day, and how many pairs were found.
	run := func(k int, key func(entry) int) (float64, int) {
		found := map[pairKey]bool{}
		sum, days := 0., 0
		for from := 0; from < len(merged); {
			to := from
			var list []entry
			for ; to < len(merged) && merged[to].day == merged[from].day; to++ {
				if !found[merged[to].pair] {
					list = append(list, merged[to])
				}
			}
			slices.SortFunc(list, func(a, b entry) int {
				return cmp.Or(key(b)-key(a), cmp.Compare(order(a.pair), order(b.pair)))
			})
			right := 0
			for _, e := range list[:min(k, len(list))] {
				if e.wrong {
					right++
					found[e.pair] = true
				}
			}
			sum += float64(right) / float64(k)
			days++
			from = to
		}
		return round(sum/float64(days), 4), len(found)
	}
	var out []Budget
	for _, k := range []int{20, 50, 100} {
		p, n := run(k, func(e entry) int { return int(e.score) })
		top, _ := run(k, func(e entry) int {
			if e.wrong {
				return 1
			}
			return 0
		})
		out = append(out, Budget{k, p, top, share(n, len(guilty))})
	}
	return out
}

// scatter spreads numbers over 64 bits (the finalizer of MurmurHash3).
func scatter(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Found counts the findings of a typology. One is true when it lists a fraudulent redemption, a breach
// of its rule or, of prices, is about the merchant of a case with that code.
type Found struct {
	Code     string `json:"code"`
	Exact    bool   `json:"exact"`
	Findings int    `json:"findings"`
	Review   Share  `json:"true_at_review"` // of those at review
	High     Share  `json:"true_at_high"`
}

// PerDay is how many statistical findings a day brings.
type PerDay struct {
	Findings  int     `json:"findings"` // in all
	Mean      float64 `json:"mean"`
	Most      int     `json:"most"`
	Review    int     `json:"at_review"`
	Rate      float64 `json:"per_10000_redemptions"`
	False     int     `json:"false_at_review"`
	FalseRate float64 `json:"false_at_review_per_10000_redemptions"`
	Merchants int     `json:"merchants_at_high"` // merchants that a statistical finding at high is about
	// Innocent are those of them without any fraud.
	Innocent int `json:"innocent_merchants_at_high"`
}

func (w *World) found(days int) ([]Found, PerDay) {
	by := map[string]*Found{}
	var p PerDay
	perDay := map[int]int{}
	guilty := w.guilty()
	high, innocent := map[uint64]bool{}, map[uint64]bool{}
	for i := range w.findings {
		f := &w.findings[i]
		x := by[f.code]
		if x == nil {
			x = &Found{Code: f.code, Exact: f.exact}
			by[f.code] = x
		}
		x.Findings++
		right := w.right(f, guilty)
		if f.score >= w.o.Review {
			x.Review.N++
			if right {
				x.Review.K++
			}
		}
		if f.score >= w.o.High {
			x.High.N++
			if right {
				x.High.K++
			}
		}
		if f.exact {
			continue
		}
		p.Findings++
		perDay[vw.DayOf(f.detected, w.o.Campaign.Offset())]++
		if f.score >= w.o.Review {
			p.Review++
			if !right {
				p.False++
			}
		}
		if f.score >= w.o.High && f.kind == "merchant" {
			high[f.subject] = true
			if len(guilty[f.subject]) == 0 {
				innocent[f.subject] = true
			}
		}
	}
	for _, n := range perDay {
		p.Most = max(p.Most, n)
	}
	if days > 0 {
		p.Mean = round(float64(p.Findings)/float64(days), 3)
		p.Rate = round(1e4*float64(p.Findings)/float64(max(1, w.scored)), 3)
		p.FalseRate = round(1e4*float64(p.False)/float64(max(1, w.scored)), 3)
	}
	p.Merchants, p.Innocent = len(high), len(innocent)
	var out []Found
	for _, code := range slices.Sorted(maps.Keys(by)) {
		x := by[code]
		x.Review, x.High = share(x.Review.K, x.Review.N), share(x.High.K, x.High.N)
		out = append(out, *x)
	}
	return out, p
}

func (w *World) right(f *finding, guilty map[uint64][]int32) bool {
	for _, i := range f.rows {
		r := &w.rows[i]
		if r.kase >= 0 || f.exact && r.broken > 0 {
			return true
		}
	}
	if f.kind == "merchant" {
		for _, k := range guilty[f.subject] {
			if slices.Contains(w.labels.cases[k].codes, f.code) {
				return true
			}
		}
	}
	return false
}

// PairNull is how often honest customers of a merchant, on two days and more, get p < .001 for coming
// back.
type PairNull struct {
	Of    string `json:"of"` // "all", "canteen" (tag H3), or a category
	Small Share  `json:"p_below_0.001"`
}

func (w *World) pairNull(visits []int32) []PairNull {
	small := map[pairKey]bool{}
	for i := range w.findings {
		f := &w.findings[i]
		if f.kind == "pair" && f.code == "P01" && f.minP < tinyP {
			m, ok := w.merchant[f.subject]
			c, also := w.customers[f.with]
			if ok && also {
				small[pairKey{m, c}] = true
			}
		}
	}
	canteen := tags(0)
	for j, name := range w.labels.names {
		if name == "H3" {
			canteen = 1 << j
		}
	}
	by := map[string]*[2]int{}
	for i := 0; i < len(visits); {
		a, j := &w.rows[visits[i]], i
		days, honest, tag, p := 0, true, tags(0), small[pairKey{a.merchant, a.customer}]
		for ; j < len(visits) && w.rows[visits[j]].customer == a.customer && w.rows[visits[j]].merchant == a.merchant; j++ {
			r := &w.rows[visits[j]]
			if j == i || r.day != w.rows[visits[j-1]].day {
				days++
			}
			honest = honest && r.kase < 0
			tag |= r.tags
			p = p || r.pairP
		}
		if honest && days >= 2 {
			names := []string{"all", w.merchants[a.merchant].category.String()}
			if tag&canteen != 0 {
				names = append(names, "canteen")
			}
			for _, name := range names {
				if name == "" {
					continue
				}
				if by[name] == nil {
					by[name] = &[2]int{}
				}
				by[name][1]++
				if p {
					by[name][0]++
				}
			}
		}
		i = j
	}
	var out []PairNull
	for _, name := range slices.Sorted(maps.Keys(by)) {
		out = append(out, PairNull{name, share(by[name][0], by[name][1])})
	}
	return out
}

// PValues is the share of small p-values among the statistical findings of a category that concern no
// fraud. Findings are picked for being small, so that it says how much they overstate, not a null.
type PValues struct {
	Category string `json:"category"`
	Small    Share  `json:"p_below_0.001"`
}

func (w *World) pValues() []PValues {
	guilty := w.guilty()
	by := map[string]*[2]int{}
	for i := range w.findings {
		f := &w.findings[i]
		if f.exact || f.minP > 1 || len(f.merchants) == 0 || w.right(f, guilty) {
			continue
		}
		c := w.merchants[f.merchants[0]].category.String()
		if by[c] == nil {
			by[c] = &[2]int{}
		}
		by[c][1]++
		if f.minP < tinyP {
			by[c][0]++
		}
	}
	var out []PValues
	for _, c := range slices.Sorted(maps.Keys(by)) {
		out = append(out, PValues{c, share(by[c][0], by[c][1])})
	}
	return out
}
