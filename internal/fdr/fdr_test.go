package fdr

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestByShareAndByCountPick(t *testing.T) {
	for _, tt := range []struct {
		name  string
		e     []float64
		tests int
		share []int // at .5
		count []int // at 2
	}{
		{"nothing", nil, 10, nil, []int{}},
		// share .5 of 10 tests: the k-th must be at least 20/k: 20, 10, 6.67. Count 2: at least 5.
		{"the third is let in by being third", []float64{21, 6.7, 10}, 10, []int{0, 2, 1}, []int{0, 2, 1}},
		{"alone it is not enough", []float64{19.9}, 10, nil, []int{0}},
		{"a later one carries an earlier one", []float64{12, 11}, 10, []int{0, 1}, []int{0, 1}},
		{"equals keep their order", []float64{30, 40, 40, 4}, 10, []int{1, 2, 0}, []int{1, 2, 0}},
		{"fewer tests than e-values are as many", []float64{8, 8}, 1, []int{0, 1}, []int{0, 1}},
		{"infinite counts, what is no number does not", []float64{math.NaN(), math.Inf(1)}, 10, []int{1}, []int{1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.share, ByShare(tt.e, tt.tests, .5)); diff != "" {
				t.Errorf("by share (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.count, ByCount(tt.e, tt.tests, 2)); diff != "" {
				t.Errorf("by count (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFalseOnesAreAsSetUnderDependence draws days whose tests share a common cause, some of them real, and
// counts what is picked wrongly. The e-values are likelihood ratios against the right null.
func TestFalseOnesAreAsSetUnderDependence(t *testing.T) {
	const tests, real, days, shift = 200, 10, 3000, 3.
	for _, common := range []float64{0, .5, .9} {
		r := rand.New(rand.NewPCG(7, uint64(common*10)))
		var wrongShare, wrongCount, found float64
		for range days {
			cause := r.NormFloat64()
			e := make([]float64, tests)
			for i := range e {
				z := math.Sqrt(common)*cause + math.Sqrt(1-common)*r.NormFloat64()
				if i < real {
					z += shift
				}
				e[i] = math.Exp(shift*z - shift*shift/2)
			}
			picked := ByShare(e, tests, .2)
			bad := 0
			for _, i := range picked {
				if i >= real {
					bad++
				}
			}
			if len(picked) > 0 {
				wrongShare += float64(bad) / float64(len(picked))
			}
			found += float64(len(picked) - bad)
			for _, i := range ByCount(e, tests, 1) {
				if i >= real {
					wrongCount++
				}
			}
		}
		// Both are bounds on means; three standard errors of 3,000 days are below .03 and, with a common
		// cause that lifts a whole day, .4.
		if got := wrongShare / days; got > .2+.03 {
			t.Errorf("common cause %v: %.3f of those picked at .2 are false", common, got)
		}
		if got := wrongCount / days; got > 1+.4 {
			t.Errorf("common cause %v: %.3f false a day at 1", common, got)
		}
		if got := found / days / real; got < .1 {
			t.Errorf("common cause %v: %.3f of the real ones are picked: it picks nothing", common, got)
		}
	}
}

// TestARunningMaximumIsNoEValue shows what the package comment warns of.
func TestARunningMaximumIsNoEValue(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const tests, days = 50, 500
	now, ever := 0, 0
	for range days {
		last, most := make([]float64, tests), make([]float64, tests)
		for i := range last {
			log := 0.
			for range 60 {
				log += r.NormFloat64() - .5
				most[i] = max(most[i], math.Exp(log))
			}
			last[i] = math.Exp(log)
		}
		now += len(ByCount(last, tests, 5))
		ever += len(ByCount(most, tests, 5))
	}
	if float64(now) > 5*days || ever < 10*max(1, now) {
		t.Errorf("at their end %d are picked, at their maximum %d: they should differ", now, ever)
	}
}

func TestFromPIsAnEValue(t *testing.T) {
	// Its mean over evenly spread p-values is the integral of 1/(2√p), which is 1.
	sum, n := 0., 1_000_000
	for i := range n {
		sum += FromP((float64(i) + .5) / float64(n))
	}
	if mean := sum / float64(n); mean < .998 || mean > 1 {
		t.Errorf("mean %v, want 1", mean)
	}
	if got := FromP(1e-4); math.Abs(got-50) > 1e-9 {
		t.Errorf("of .0001 it is %v, want 50", got)
	}
	if got := FromP(0); math.IsInf(got, 1) || got < FromP(1e-200) {
		t.Errorf("of 0 it is %v", got)
	}
}
