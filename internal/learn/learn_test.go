package learn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	vw "voucherwatch"
)

var near = cmpopts.EquateApprox(0, 1e-6)

func prior(weights ...float64) Prior {
	return Prior{Intercept: -5, InterceptSD: 2, Weights: weights, SD: .5}
}

func TestWithoutVerdictsThePolicyStands(t *testing.T) {
	m, err := Fit(prior(.6, 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Model{-5, 2, []float64{.6, 1}, []float64{.5, .5}}
	if diff := cmp.Diff(want, m, near); diff != "" {
		t.Errorf("model (-want +got):\n%s", diff)
	}
}

// At the mode of one piece of evidence the pull of the prior and of the verdicts cancel; found by hand
// with bisection of precision·(w − mean) = Σ x·(y − p).
func TestTheModeIsWherePriorAndVerdictsBalance(t *testing.T) {
	p := Prior{Intercept: 0, InterceptSD: 1e-6, Weights: []float64{1}, SD: 1}
	m, err := Fit(p, []Example{{[]float64{2}, false, 1}, {[]float64{1}, true, 3}})
	if err != nil {
		t.Fatal(err)
	}
	low, high := 0., 2.
	for range 100 {
		w := (low + high) / 2
		if w-1+2/(1+math.Exp(-2*w))-3/(1+math.Exp(w)) > 0 {
			high = w
		} else {
			low = w
		}
	}
	if math.Abs(m.Weights[0]-low) > 1e-6 {
		t.Errorf("weight %v, want %v", m.Weights[0], low)
	}
}

func TestVerdictsMoveOnlyWhatTheyAreAbout(t *testing.T) {
	var examples []Example
	for range 40 {
		examples = append(examples, Example{[]float64{8, 0}, false, 1})
	}
	m, err := Fit(prior(.6, .6), examples)
	if err != nil {
		t.Fatal(err)
	}
	if m.Weights[0] > .3 || m.SD[0] > .35 {
		t.Errorf("after 40 benign verdicts the weight is %v ± %v", m.Weights[0], m.SD[0])
	}
	if math.Abs(m.Weights[1]-.6) > 1e-9 || math.Abs(m.SD[1]-.5) > 1e-9 {
		t.Errorf("the other weight became %v ± %v", m.Weights[1], m.SD[1])
	}
}

func TestAWeightNeverTurnsNegative(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var examples []Example
		for range 1 + r.IntN(60) {
			examples = append(examples, Example{[]float64{12 * r.Float64(), 12 * r.Float64(), 12 * r.Float64()}, r.IntN(2) == 0, 1})
		}
		m, err := Fit(prior(.6, 0, 1), examples)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Min(m.Weights) < 0 || slices.Min(m.SD) <= 0 {
			t.Fatalf("weights %v ± %v", m.Weights, m.SD)
		}
	}
}

// TestNoOtherModelIsBetter looks around the mode in random directions.
func TestNoOtherModelIsBetter(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		p := prior(.6, .6)
		var examples []Example
		for range 50 {
			x := []float64{10 * r.Float64(), 10 * r.Float64()}
			examples = append(examples, Example{x, r.Float64() < 1/(1+math.Exp(5-x[0])), 1 + r.Float64()})
		}
		m, err := Fit(p, examples)
		if err != nil {
			t.Fatal(err)
		}
		loss := func(b float64, w []float64) float64 {
			sum := (b - p.Intercept) * (b - p.Intercept) / 8
			for i := range w {
				sum += (w[i] - p.Weights[i]) * (w[i] - p.Weights[i]) * 2
			}
			for _, e := range examples {
				z := b + w[0]*e.Evidence[0] + w[1]*e.Evidence[1]
				if e.Fraud {
					z = -z
				}
				sum += e.Weight * math.Log1p(math.Exp(z))
			}
			return sum
		}
		best := loss(m.Intercept, m.Weights)
		for range 200 {
			w := []float64{max(0, m.Weights[0]+.1*r.NormFloat64()), max(0, m.Weights[1]+.1*r.NormFloat64())}
			if other := loss(m.Intercept+.3*r.NormFloat64(), w); other < best-1e-9 {
				t.Fatalf("weights %v lose %v, %v less: %v", m.Weights, best, w, other)
			}
		}
	}
}

func TestWhatCannotBeLearnedFromIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		prior    Prior
		examples []Example
	}{
		"a prior without width":      {Prior{Weights: []float64{1}}, nil},
		"evidence for other weights": {prior(1), []Example{{[]float64{1, 2}, true, 1}}},
		"a verdict of no weight":     {prior(1), []Example{{[]float64{1}, true, 0}}},
		"evidence without measure":   {prior(1), []Example{{[]float64{math.NaN()}, true, 1}}},
	} {
		if _, err := Fit(tt.prior, tt.examples); vw.CodeOf(err) != vw.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
