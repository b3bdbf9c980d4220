package evaluate

import (
	"math"
	"slices"

	vw "voucherwatch"
)

// Drift is how far a day's distribution in a category went from that of the last 14 days like it (working
// days with working days, weekends with weekends): the population stability index. Below .1 is quiet, to
// .25 to be watched, above to be acted on. A day of few redemptions moves by chance alone, so a mark
// counts only beyond what chance does once in a thousand.
type Drift struct {
	Category string  `json:"category"`
	Of       string  `json:"of"`    // scores, overshoot, gaps, tiers
	Days     int     `json:"days"`  // that could be compared
	Watch    int     `json:"watch"` // of them at .1 and more
	Act      int     `json:"act"`   // at .25 and more
	Median   float64 `json:"median"`
	Worst    float64 `json:"worst"` // of those marked
	WorstDay string  `json:"worst_day,omitempty"`
}

const (
	psiWatch, psiAct = .1, .25
	likeDays         = 14
	// leastForDrift is how many redemptions a day needs on either side of a comparison.
	leastForDrift = 20
)

var driftOf = []string{"scores", "overshoot", "gaps", "tiers"}

// Cuts of the distributions: detection.md §2, D1.
var (
	scoreCuts     = []float64{6, 30, 100, 300, 600, 850}
	overshootCuts = []float64{0.0000001, .0005, .005, .01, .02, .05, .1, .2, .4}
	gapCuts       = []float64{60, 180, 600, 1800, 3600, 10800}
)

func binOf(x float64, cuts []float64) int {
	i, exact := slices.BinarySearch(cuts, x)
	if exact {
		i++
	}
	return i
}

// psi is the index of a day's counts against a reference's, half a redemption added to every bin, and the
// value that chance alone exceeds once in a thousand.
func psi(day, like []int) (index, chance float64) {
	n, m, bins := 0., 0., 0
	for i := range day {
		n, m = n+float64(day[i])+.5, m+float64(like[i])+.5
		if day[i]+like[i] > 0 {
			bins++
		}
	}
	for i := range day {
		a, e := (float64(day[i])+.5)/n, (float64(like[i])+.5)/m
		index += (a - e) * math.Log(a/e)
	}
	// Without change the index is (1/n + 1/m) χ² with bins − 1 degrees of freedom (Wilson–Hilferty).
	f := float64(max(1, bins-1))
	q := 1 - 2/(9*f) + 3.0902*math.Sqrt(2/(9*f))
	return index, (1/n + 1/m) * f * q * q * q
}

func (w *World) drift(visits []int32) []Drift {
	type key struct {
		category vw.Category
		of       int
	}
	counts := map[key]map[int32][]int{} // by day
	count := func(c vw.Category, of int, day int32, bin, bins int) {
		k := key{c, of}
		if counts[k] == nil {
			counts[k] = map[int32][]int{}
		}
		if counts[k][day] == nil {
			counts[k][day] = make([]int, bins)
		}
		counts[k][day][bin]++
	}
	vouchers := w.o.Campaign.Vouchers
	for i, at := range visits {
		r := &w.rows[at]
		v := &vouchers[r.voucher]
		if v.Category == vw.NoCategory {
			continue
		}
		count(v.Category, 0, r.day, binOf(float64(r.score), scoreCuts), len(scoreCuts)+1)
		if v.Threshold > 0 {
			count(v.Category, 1, r.day, binOf(float64(r.over), overshootCuts), len(overshootCuts)+1)
		}
		if i > 0 {
			p := &w.rows[visits[i-1]]
			if p.customer == r.customer && p.merchant == r.merchant && p.day == r.day {
				count(v.Category, 2, r.day, binOf(float64(r.at-p.at)/float64(vw.Second), gapCuts), len(gapCuts)+1)
			}
		}
		count(v.Category, 3, r.day, int(r.voucher), len(vouchers))
	}
	var out []Drift
	for c := vw.Retail; c < vw.Categories; c++ {
		for of := range driftOf {
			if d, ok := w.compare(counts[key{c, of}]); ok {
				d.Category, d.Of = c.String(), driftOf[of]
				out = append(out, d)
			}
		}
	}
	return out
}

// compare holds each day against the 14 like days before it.
func (w *World) compare(days map[int32][]int) (Drift, bool) {
	var d Drift
	var all []float64
	order := make([]int32, 0, len(days))
	for day := range days {
		order = append(order, day)
	}
	slices.Sort(order)
	for i, day := range order {
		like := make([]int, len(days[day]))
		for j, n := i-1, 0; j >= 0 && n < likeDays; j-- {
			if weekend(order[j]) != weekend(day) {
				continue
			}
			n++
			for b, x := range days[order[j]] {
				like[b] += x
			}
		}
		if total(days[day]) < leastForDrift || total(like) < leastForDrift {
			continue
		}
		index, chance := psi(days[day], like)
		all = append(all, index)
		if index > chance && index >= psiAct {
			d.Act++
		} else if index > chance && index >= psiWatch {
			d.Watch++
		}
		if index > chance && index >= psiWatch && index > d.Worst {
			d.Worst, d.WorstDay = index, vw.Date(int(day))
		}
	}
	d.Days = len(all)
	if d.Days == 0 {
		return d, false
	}
	slices.Sort(all)
	d.Median, d.Worst = round(median(all), 4), round(d.Worst, 4)
	return d, true
}

func total(x []int) (n int) {
	for _, v := range x {
		n += v
	}
	return n
}

// weekend tells whether a day number is a Saturday or Sunday: day 0 was a Thursday.
func weekend(day int32) bool { return (day+3)%7 >= 5 }
