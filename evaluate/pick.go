package evaluate

import (
	"math"
	"slices"

	"voucherwatch/internal/fdr"

	vw "voucherwatch"
)

// FalseBudget is what a rule that bounds false findings would have given to people, day by day: those
// detected that day, against all customer-merchants and merchants that were active. A finding's e-value
// is exp of what its reasons add to the log-odds. The bound holds as far as the nulls do.
type FalseBudget struct {
	Rule   string  `json:"rule"`    // "count": expected false findings a day; "share": of those picked (e-BH)
	At     float64 `json:"at"`      // the setting
	Picked int     `json:"picked"`  // statistical findings in all days
	Wrong  Share   `json:"false"`   // of them
	PerDay float64 `json:"per_day"` // false a day, to be held against a count
	True   Share   `json:"true"`    // of the true statistical findings, those picked
}

// settings of the false budget that a report shows.
var pickSettings = []struct {
	rule string
	at   float64
}{{"count", .1}, {"count", 1}, {"count", 5}, {"share", .05}, {"share", .2}}

func (w *World) falseBudget(days int) []FalseBudget {
	type day struct {
		e     []float64
		right []bool
	}
	tests := w.subjects()
	guilty := w.guilty()
	byDay := map[int]*day{}
	all := 0 // true findings
	for i := range w.findings {
		f := &w.findings[i]
		if f.exact {
			continue
		}
		at := vw.DayOf(f.detected, w.o.Campaign.Offset())
		if byDay[at] == nil {
			byDay[at] = &day{}
		}
		sum := 0.
		for _, x := range f.weights {
			sum += x.value
		}
		right := w.right(f, guilty)
		if right {
			all++
		}
		byDay[at].e = append(byDay[at].e, math.Exp(sum))
		byDay[at].right = append(byDay[at].right, right)
	}
	var out []FalseBudget
	for _, s := range pickSettings {
		b := FalseBudget{Rule: s.rule, At: s.at}
		wrong := 0
		for at, d := range byDay {
			pick := fdr.ByCount
			if s.rule == "share" {
				pick = fdr.ByShare
			}
			for _, i := range pick(d.e, tests[at], s.at) {
				b.Picked++
				if !d.right[i] {
					wrong++
				}
			}
		}
		b.Wrong, b.True = share(wrong, b.Picked), share(b.Picked-wrong, all)
		b.PerDay = round(float64(wrong)/float64(max(1, days)), 4)
		out = append(out, b)
	}
	return out
}

// subjects is how many customer-merchants and merchants were active on each day.
func (w *World) subjects() map[int]int {
	pairs := make([][3]int32, len(w.rows))
	for i := range w.rows {
		pairs[i] = [3]int32{w.rows[i].day, w.rows[i].merchant, w.rows[i].customer}
	}
	slices.SortFunc(pairs, func(a, b [3]int32) int { return slices.Compare(a[:], b[:]) })
	out := map[int]int{}
	for i, p := range pairs {
		if i == 0 || p != pairs[i-1] {
			out[int(p[0])]++
		}
		if i == 0 || p[0] != pairs[i-1][0] || p[1] != pairs[i-1][1] {
			out[int(p[0])]++
		}
	}
	return out
}

// guilty are the cases at each merchant.
func (w *World) guilty() map[uint64][]int32 {
	out := map[uint64][]int32{}
	for k := range w.labels.cases {
		for _, m := range w.labels.cases[k].merchants {
			out[m] = append(out[m], int32(k))
		}
	}
	return out
}
