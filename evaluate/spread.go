package evaluate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Result is the reports of one or more worlds, and what they say together.
type Result struct {
	Version int       `json:"version"` // 1
	Worlds  []*Report `json:"worlds"`
	// Spread are the figures over the worlds; of one world there is no spread.
	Spread []Measure `json:"spread,omitempty"`
	// Reliability is that of all worlds together.
	Reliability []Reliability `json:"reliability,omitempty"`
	Learning    []Learning    `json:"learning,omitempty"`
}

// Measure is one figure over worlds.
type Measure struct {
	Table  string  `json:"table"`
	Row    string  `json:"row"`
	Column string  `json:"column"`
	Worlds int     `json:"worlds"` // in which there is such a figure
	Mean   float64 `json:"mean"`
	SD     float64 `json:"sd"`    // standard deviation over worlds, 0 for one
	Worst  float64 `json:"worst"` // the least favourable
	Less   bool    `json:"less"`  // less is better
	// Pooled adds up the counts of all worlds, of a proportion.
	Pooled *Share `json:"pooled,omitempty"`
}

// Together joins reports.
func Together(reports []*Report) *Result {
	out := &Result{Version: 1, Worlds: reports}
	if len(reports) < 2 {
		return out
	}
	type key struct{ table, row, column string }
	index := map[key]int{}
	squares := map[key][]float64{}
	for _, r := range reports {
		for _, x := range r.figures() {
			k := key{x.Table, x.Row, x.Column}
			i, ok := index[k]
			if !ok {
				i = len(out.Spread)
				index[k] = i
				m := x
				m.Worst = x.Mean
				m.Mean = 0
				if x.Pooled != nil {
					m.Pooled = &Share{}
				}
				out.Spread = append(out.Spread, m)
			}
			m := &out.Spread[i]
			m.Worlds++
			m.Mean += x.Mean
			squares[k] = append(squares[k], x.Mean)
			if x.Less {
				m.Worst = max(m.Worst, x.Mean)
			} else {
				m.Worst = min(m.Worst, x.Mean)
			}
			if x.Pooled != nil {
				m.Pooled.K += x.Pooled.K
				m.Pooled.N += x.Pooled.N
			}
		}
	}
	for i := range out.Spread {
		m := &out.Spread[i]
		n := float64(m.Worlds)
		m.Mean /= n
		for _, x := range squares[key{m.Table, m.Row, m.Column}] {
			m.SD += (x - m.Mean) * (x - m.Mean)
		}
		m.SD = math.Sqrt(m.SD / max(1, n-1))
		m.Mean, m.SD, m.Worst = round(m.Mean, 6), round(m.SD, 6), round(m.Worst, 6)
		if m.Pooled != nil {
			s := share(m.Pooled.K, m.Pooled.N)
			m.Pooled = &s
		}
	}
	// A table that some worlds do not have comes where the first that has it put it.
	order := map[string]int{}
	for i, m := range out.Spread {
		if _, ok := order[m.Table]; !ok {
			order[m.Table] = i
		}
	}
	slices.SortStableFunc(out.Spread, func(a, b Measure) int {
		return cmp.Or(order[a.Table]-order[b.Table], cmp.Compare(index[key{a.Table, a.Row, a.Column}], index[key{b.Table, b.Row, b.Column}]))
	})
	out.Reliability = pool(reports)
	out.Learning = learning(reports)
	return out
}

// pool adds up the reliability of all worlds.
func pool(reports []*Report) []Reliability {
	var out []Reliability
	for i := range reports[0].Calibration {
		all := Reliability{Of: reports[0].Calibration[i].Of}
		var bins [10]Bin
		fraud := 0
		for _, r := range reports {
			c := r.Calibration[i]
			all.N += c.N
			all.Brier += c.Brier * float64(c.N)
			for _, b := range c.Bins {
				x := &bins[b.From/100]
				x.From = b.From
				x.Predicted += b.Predicted * float64(b.Observed.N)
				x.Observed.K += b.Observed.K
				x.Observed.N += b.Observed.N
				fraud += b.Observed.K
			}
		}
		if all.N > 0 {
			base := float64(fraud) / float64(all.N)
			all.Brier, all.BaseTip = round(all.Brier/float64(all.N), 6), round(base*(1-base), 6)
		}
		for _, b := range bins {
			if b.Observed.N == 0 {
				continue
			}
			b.Predicted = round(b.Predicted/float64(b.Observed.N), 6)
			b.Observed = share(b.Observed.K, b.Observed.N)
			all.Bins = append(all.Bins, b)
			if b.Observed.N >= leastForBin {
				all.Worst = max(all.Worst, round(math.Abs(b.Predicted-b.Observed.Value), 4))
			}
		}
		out = append(out, all)
	}
	return out
}

// figures are the single numbers of a report, table by table. Those without anything counted are left out.
func (r *Report) figures() (out []Measure) {
	table, row := "", ""
	number := func(column string, less bool, value float64) {
		out = append(out, Measure{Table: table, Row: row, Column: column, Mean: value, Less: less})
	}
	counted := func(column string, less bool, s Share) {
		if s.N > 0 {
			out = append(out, Measure{Table: table, Row: row, Column: column, Mean: s.Value, Less: less, Pooled: &s})
		}
	}
	for _, unit := range []string{"basket", "merchant", "pair", "redemption"} {
		table = unitTitles[unit]
		for _, b := range r.Boards {
			if b.Unit != unit {
				continue
			}
			row = b.Name()
			for i, k := range b.Rankings {
				if i == 0 {
					number("AP", false, k.AP)
					counted("P at review", false, b.Review.Precision)
					counted("R at review", false, b.Review.Recall)
					continue
				}
				number("AP of "+k.By, false, k.AP)
			}
		}
	}
	table = "团伙 rings"
	for _, x := range r.Rings {
		row = "rings"
		counted("merchants P", false, x.Merchants.Precision)
		counted("merchants R", false, x.Merchants.Recall)
		counted("members P", false, x.Members.Precision)
		counted("members R", false, x.Members.Recall)
		number("members F1", false, x.F1.Members)
	}
	table = "形态 typologies"
	for _, t := range r.Typologies {
		row = t.Name
		counted("cases found", false, t.Cases)
		counted("redemptions at the time", false, t.AtTime)
		counted("after", false, t.After)
		if t.Money.StakeFen > 0 {
			number("subsidy before settlement", false, float64(t.Money.BeforeFen)/float64(t.Money.StakeFen))
			number("subsidy after", false, float64(t.Money.AfterFen)/float64(t.Money.StakeFen))
		}
		if t.Cases.K > 0 {
			number("delay h", true, t.Delay.MedianHours)
			number("redemptions until then", true, t.Delay.MedianRedemptions)
		}
		number("yuan lost until then", true, float64(t.Delay.LostFen)/100)
	}
	table = "正当核销进入复核 honest redemptions at review"
	row = "honest"
	counted("at the time", true, r.False.AtTime)
	counted("after", true, r.False.After)
	counted("after, at high", true, r.False.AfterHigh)
	for _, t := range r.Tags {
		row = t.Name + " " + tagTitles[t.Name]
		counted("at the time", true, t.AtTime)
		counted("after", true, t.After)
		counted("after, at high", true, t.AfterHigh)
	}
	table = "校准 calibration"
	for _, c := range r.Calibration {
		row = c.Of
		number("Brier", true, c.Brier)
		number("Brier of the base rate", true, c.BaseTip)
		number("worst bin", true, c.Worst)
	}
	table = "每日预算 alerts a day"
	for _, b := range r.Budget {
		row = fmt.Sprint(b.Alerts)
		number("CP@k", false, b.Precision)
		number("ceiling", false, b.Ceiling)
		counted("guilty found", false, b.Found)
	}
	table = "硬规则 exact rules"
	for _, x := range r.Exact {
		row = x.Code
		counted("recall", false, x.Recall)
		counted("precision", false, x.Precision)
	}
	table, row = "线索 findings", "statistical"
	number("per 10,000 redemptions", true, r.PerDay.Rate)
	number("a day", true, r.PerDay.Mean)
	number("false at review per 10,000", true, r.PerDay.FalseRate)
	number("innocent merchants at high", true, float64(r.PerDay.Innocent))
	table = "误报预算 false budget"
	for _, b := range r.FalseBudget {
		row = fmt.Sprintf("%s %g", b.Rule, b.At)
		counted("false of those picked", true, b.Wrong)
		number("false a day", true, b.PerDay)
		counted("true ones picked", false, b.True)
	}
	table = "漂移 drift, days to act"
	for _, d := range r.Drift {
		row = d.Category
		counted(d.Of, true, share(d.Act, d.Days))
	}
	table = "正当熟客 honest pairs on ≥ 2 days"
	for _, x := range r.Pairs {
		row = x.Of
		counted("p < 0.001", true, x.Small)
	}
	return out
}

var unitTitles = map[string]string{"basket": "排序：当日同户同店 ranking baskets", "merchant": "排序：商户 ranking merchants", "pair": "排序：固定搭档 ranking pairs", "redemption": "排序：核销 ranking redemptions"}
