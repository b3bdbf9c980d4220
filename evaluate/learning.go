package evaluate

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"voucherwatch/internal/learn"
)

// exhibit is what speaks against a merchant: by detector, the most that the reasons of one score or one
// finding say, as log likelihood ratio (the contribution over the policy's weight). Right tells whether
// there is any fraud: what a verdict on the merchant's case would say.
type exhibit struct {
	evidence map[string]float64
	right    bool
}

// most is the log likelihood ratio beyond which more says nothing more.
const most = 12

// testify adds the statistical reasons of one score or finding to what speaks against a merchant.
func (w *World) testify(m int32, weights []weight) {
	sums := map[string]float64{}
	for _, x := range weights {
		if k := w.o.Weights[x.detector]; k > 0 {
			sums[x.detector] += x.value / k
		}
	}
	for d, v := range sums {
		if v <= 0 {
			continue
		}
		if w.against[m] == nil {
			w.against[m] = map[string]float64{}
		}
		w.against[m][d] = max(w.against[m][d], min(v, most))
	}
}

// exhibits are the merchants against which anything speaks, by id.
func (w *World) exhibits() []exhibit {
	right := map[int32]bool{}
	for i := range w.rows {
		if r := &w.rows[i]; r.kase >= 0 {
			right[r.merchant] = true
		}
	}
	for id := range w.guilty() {
		if m, ok := w.merchant[id]; ok {
			right[m] = true
		}
	}
	var out []exhibit
	byID := func(a, b int32) int { return cmp.Compare(w.merchants[a].id, w.merchants[b].id) }
	for _, m := range slices.SortedFunc(maps.Keys(w.against), byID) {
		out = append(out, exhibit{w.against[m], right[m]})
	}
	return out
}

// Learning is what verdicts do to the order of cases: weights are learned on the worlds before and held
// against those left out. Verdicts are the labels', so nobody errs; people do. A case is a merchant.
type Learning struct {
	Verdicts int `json:"verdicts"` // asked for; fewer when there are fewer cases
	Given    int `json:"given"`    // mean
	// AP and P15 are means over held-out worlds, sd over the ways of choosing the world learned from.
	AP    float64 `json:"ap"`
	APSD  float64 `json:"ap_sd"`
	P15   float64 `json:"p15"`
	P15SD float64 `json:"p15_sd"`
	// Cases are all merchants that anything speaks against, of the worlds learned from. Random is the share
	// confirmed among the tenth that was drawn from what the queue had left, Left the truth about what
	// nobody looked at: the random tenth is the one unbiased view of what the queue misses.
	Cases  Share `json:"cases"`
	Random Share `json:"random"`
	Left   Share `json:"left"`
	// Weights are the means of what was learned, by detector.
	Weights map[string]float64 `json:"weights"`
}

// batchOfVerdicts is after how many verdicts the queue is ordered anew.
const batchOfVerdicts = 20

// learning learns from each world in turn, and tests on the others.
func learning(reports []*Report) []Learning {
	names := map[string]bool{}
	for _, r := range reports {
		for _, e := range r.subjects {
			for d := range e.evidence {
				names[d] = true
			}
		}
	}
	detectors := slices.Sorted(maps.Keys(names))
	if len(reports) < 2 || len(detectors) == 0 {
		return nil
	}
	prior := learn.Prior{Intercept: reports[0].prior, InterceptSD: 2, SD: .5}
	for _, d := range detectors {
		prior.Weights = append(prior.Weights, reports[0].weights[d])
	}
	examples := make([][]learn.Example, len(reports))
	for i, r := range reports {
		for _, e := range r.subjects {
			x := learn.Example{Fraud: e.right, Weight: 1, Evidence: make([]float64, len(detectors))}
			for j, d := range detectors {
				x.Evidence[j] = e.evidence[d]
			}
			examples[i] = append(examples[i], x)
		}
	}
	var out []Learning
	for _, n := range []int{0, 20, 60, 120} {
		l := Learning{Verdicts: n, Weights: map[string]float64{}}
		var aps, ps []float64
		var random, left, all [2]int
		given := 0
		for from := range reports {
			seen, drawn, rest := investigate(prior, examples[from], n, uint64(from))
			given += len(seen)
			m, err := learn.Fit(prior, seen)
			if err != nil {
				continue // only evidence that is no number, which findings do not hold
			}
			for j, d := range detectors {
				l.Weights[d] += m.Weights[j] / float64(len(reports))
			}
			for _, group := range []struct {
				of   []learn.Example
				into *[2]int
			}{{drawn, &random}, {rest, &left}, {examples[from], &all}} {
				for _, x := range group.of {
					group.into[1]++
					if x.Fraud {
						group.into[0]++
					}
				}
			}
			ap, p := 0., 0.
			for to := range reports {
				if to == from {
					continue
				}
				items := make([]item, len(examples[to]))
				for i, x := range examples[to] {
					items[i] = item{m.LogOdds(x.Evidence), x.Fraud}
				}
				ls := levels(items)
				ap += averagePrecision(ls) / float64(len(reports)-1)
				p += precisionAt(ls, 15) / float64(len(reports)-1)
			}
			aps, ps = append(aps, ap), append(ps, p)
		}
		l.Given = int(math.Round(float64(given) / float64(len(reports))))
		l.AP, l.APSD = meanSD(aps)
		l.P15, l.P15SD = meanSD(ps)
		l.Cases, l.Random, l.Left = share(all[0], all[1]), share(random[0], random[1]), share(left[0], left[1])
		for d, v := range l.Weights {
			l.Weights[d] = round(v, 3)
		}
		out = append(out, l)
	}
	return out
}

// investigate gives verdicts on so many cases: nine of ten from the top of the queue, which is ordered
// anew after every batch, one of ten at random from the rest. drawn are those, rest are never looked at.
func investigate(p learn.Prior, cases []learn.Example, n int, seed uint64) (seen, drawn, rest []learn.Example) {
	r := rand.New(rand.NewPCG(seed, 10))
	rest = slices.Clone(cases)
	for len(seen) < n && len(rest) > 0 {
		m, err := learn.Fit(p, seen)
		if err != nil {
			return seen, drawn, rest
		}
		slices.SortStableFunc(rest, func(a, b learn.Example) int {
			x, y := m.LogOdds(a.Evidence), m.LogOdds(b.Evidence)
			switch {
			case x > y:
				return -1
			case x < y:
				return 1
			}
			return 0
		})
		for k := range min(batchOfVerdicts, n-len(seen), len(rest)) {
			i := 0
			if k%10 == 9 {
				i = r.IntN(len(rest))
				drawn = append(drawn, rest[i])
			}
			seen = append(seen, rest[i])
			rest = slices.Delete(rest, i, i+1)
		}
	}
	return seen, drawn, rest
}

// precisionAt is the mean share of fraud among the first k, over all orders of what is tied.
func precisionAt(ls []level, k int) float64 {
	left, found := k, 0.
	for _, l := range ls {
		n := l.good + l.bad
		if n >= left {
			return (found + float64(l.good)*float64(left)/float64(n)) / float64(k)
		}
		left -= n
		found += float64(l.good)
	}
	return found / float64(k)
}

func meanSD(x []float64) (mean, sd float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		sd += (v - mean) * (v - mean)
	}
	return round(mean, 4), round(math.Sqrt(sd/float64(max(1, len(x)-1))), 4)
}
