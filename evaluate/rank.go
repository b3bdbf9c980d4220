package evaluate

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// item is one entry of a ranking.
type item struct {
	score float64
	fraud bool
}

// level is all items of one score: ties are one step, so that their order says nothing.
type level struct {
	score     float64
	good, bad int // fraud and honest
}

// levels are the items by score, highest first.
func levels(items []item) []level {
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(b.score, a.score) })
	var out []level
	for _, x := range items {
		if len(out) == 0 || out[len(out)-1].score != x.score {
			out = append(out, level{score: x.score})
		}
		l := &out[len(out)-1]
		if x.fraud {
			l.good++
		} else {
			l.bad++
		}
	}
	return out
}

// averagePrecision is the sum over levels of precision × gain in recall, 0 to 1; 0 without fraud. A
// ranking that says nothing, all tied, has the prevalence.
func averagePrecision(ls []level) float64 {
	n, found, all, sum := 0, 0, 0, 0.
	for _, l := range ls {
		n += l.good
	}
	for _, l := range ls {
		found, all = found+l.good, all+l.good+l.bad
		if l.good > 0 {
			sum += float64(found) / float64(all) * float64(l.good) / float64(n)
		}
	}
	return min(1, sum) // rounding
}

// leastForBootstrap is how many positives a bootstrap needs: fewer repeat themselves.
const leastForBootstrap = 5

// bootstrap is a 95 % interval of the average precision: 400 samples with a fixed seed. The positives are
// drawn with replacement; of each level's honest items a Poisson number, which is the same for many.
func bootstrap(ls []level) (low, high float64, ok bool) {
	n := 0
	for _, l := range ls {
		n += l.good
	}
	if n < leastForBootstrap {
		return 0, 0, false
	}
	const samples = 400
	r := rand.New(rand.NewPCG(1, 2))
	aps := make([]float64, samples)
	draw := make([]level, len(ls))
	ends := make([]int, len(ls)) // cumulated positives
	sum := 0
	for i, l := range ls {
		sum += l.good
		ends[i] = sum
	}
	for s := range aps {
		for i, l := range ls {
			draw[i] = level{score: l.score, bad: poisson(r, float64(l.bad))}
		}
		for range n {
			i, _ := slices.BinarySearch(ends, r.IntN(n)+1)
			draw[i].good++
		}
		aps[s] = averagePrecision(draw)
	}
	slices.Sort(aps)
	return aps[samples*25/1000], aps[samples-1-samples*25/1000], true
}

func poisson(r *rand.Rand, mean float64) int {
	if mean > 50 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*r.NormFloat64())))
	}
	n := 0
	for p := r.Float64(); p > math.Exp(-mean); p *= r.Float64() {
		n++
	}
	return n
}

// wilson is the 95 % interval of a proportion.
func wilson(k, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959964
	p, m := float64(k)/float64(n), float64(n)
	d := 1 + z*z/m
	c, h := p+z*z/2/m, z*math.Sqrt(p*(1-p)/m+z*z/4/m/m)
	return max(0, (c-h)/d), min(1, (c+h)/d)
}

// curve is recall and precision after each level, thinned to at most so many points.
func curve(ls []level, most int) (points [][2]float64) {
	n, found, all := 0, 0, 0
	for _, l := range ls {
		n += l.good
	}
	if n == 0 {
		return nil
	}
	for _, l := range ls {
		found, all = found+l.good, all+l.good+l.bad
		if l.good == 0 {
			continue
		}
		points = append(points, [2]float64{round(float64(found)/float64(n), 4), round(float64(found)/float64(all), 4)})
	}
	if len(points) > most {
		thin := points[:0]
		for i := range most {
			thin = append(thin, points[i*(len(points)-1)/(most-1)])
		}
		points = thin
	}
	return points
}

func round(x float64, digits int) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	p := math.Pow(10, float64(digits))
	return math.Round(x*p) / p
}
