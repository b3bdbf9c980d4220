package detectors

import (
	"math"
	"math/big"
	"testing"
)

// The reference values are sums of 60 digits; scipy's agree to 1e-12 where scipy does not give 0.
func TestTailsAgreeWithReferenceValues(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want float64
	}{
		{"poisson, one or more of almost none", poissonTail(1, .001), 0.00099950016662500835},
		{"poisson, an ordinary day", poissonTail(3, 1.5), 0.19115316946194187},
		{"poisson, the mean itself", poissonTail(10, 10), 0.54207028552814779},
		{"poisson, five times the mean", poissonTail(50, 10), 1.8547268838697993e-19},
		{"poisson, where 1-CDF is 0", poissonTail(90, 1), 2.5036177876524682e-139},
		{"poisson, near the end of float64", poissonTail(160, 1), 7.851543950671356e-286},
		{"poisson, a large mean", poissonTail(1000, 900), 0.00054990226571178292},
		{"binomial, one toss", binomialTail(1, 1, .3), 0.3},
		{"binomial, half of ten", binomialTail(5, 10, .5), 0.623046875},
		{"binomial, where 1-CDF is 1e-16", binomialTail(27, 28, .1), 2.5300000000000038e-26},
		{"binomial, an owner's share", binomialTail(40, 200, .05), 6.3880693930224952e-14},
		{"binomial, twenty times the mean", binomialTail(200, 1000, .01), 2.2214826738393918e-188},
		{"binomial, all of them", binomialTail(230, 230, .05), 5.7956346104491699e-300},
		{"negative binomial, one or more of almost none", negBinomialTail(1, .01, .5), 0.009852457023325691},
		{"negative binomial, above the mean", negBinomialTail(5, 2, 4), 0.087943910989178479},
		{"negative binomial, far above", negBinomialTail(60, 3, 4), 6.4165016601889311e-19},
		{"negative binomial, where 1-CDF is 0", negBinomialTail(400, 1, 2), 3.7939569853764938e-189},
		{"beta-binomial, once in three", betaBinomialTail(1, 3, .26, .34), 0.572875},
		{"beta-binomial, half of ten", betaBinomialTail(5, 10, .26, .34), 0.44986552850020513},
		{"beta-binomial, always", betaBinomialTail(20, 20, .26, .34), 0.15478140004081394},
		{"beta-binomial, narrow", betaBinomialTail(12, 30, 2, 40), 6.3092662722768191e-5},
		{"beta-binomial, where scipy says 0", betaBinomialTail(40, 40, 1, 500), 1.8158906472673981e-61},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := math.Abs(tt.got/tt.want - 1); !(diff < 1e-10) {
				t.Errorf("%.17g, want %.17g: off by %.1e", tt.got, tt.want, diff)
			}
		})
	}
}

func TestTailsAtTheirEdges(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want float64
	}{
		{"none or more is certain (poisson)", poissonTail(0, 3), 1},
		{"less than none too (poisson)", poissonTail(-1, 3), 1},
		{"nothing comes of a mean of 0 (poisson)", poissonTail(1, 0), 0},
		{"none or more is certain (binomial)", binomialTail(0, 5, .2), 1},
		{"more than all never happens (binomial)", binomialTail(6, 5, .2), 0},
		{"more than all never happens, even at p = 1", binomialTail(6, 5, 1), 0},
		{"p = 0 (binomial)", binomialTail(1, 5, 0), 0},
		{"p = 1 (binomial)", binomialTail(5, 5, 1), 1},
		{"none of none (binomial)", binomialTail(0, 0, .2), 1},
		{"none or more is certain (negative binomial)", negBinomialTail(0, 2, 3), 1},
		{"nothing comes of a mean of 0 (negative binomial)", negBinomialTail(1, 0, 3), 0},
		{"none or more is certain (beta-binomial)", betaBinomialTail(0, 5, 1, 2), 1},
		{"more than all never happens (beta-binomial)", betaBinomialTail(6, 5, 1, 2), 0},
		{"too small for float64 is 0, not NaN", betaBinomialTail(200, 200, 5, 4000), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("%v, want %v", tt.got, tt.want)
			}
		})
	}
}

// Every binomial tail of up to 40 tosses with a p of eighths, against exact fractions.
func TestBinomialTailAgainstFractions(t *testing.T) {
	for n := 1; n <= 40; n += 3 {
		for eighths := int64(1); eighths < 8; eighths++ {
			sum := new(big.Rat)
			for k := n; k >= 1; k-- {
				// C(n,k) e^k (8-e)^(n-k) / 8^n
				x := new(big.Int).Binomial(int64(n), int64(k))
				x.Mul(x, new(big.Int).Exp(big.NewInt(eighths), big.NewInt(int64(k)), nil))
				x.Mul(x, new(big.Int).Exp(big.NewInt(8-eighths), big.NewInt(int64(n-k)), nil))
				sum.Add(sum, new(big.Rat).SetFrac(x, new(big.Int).Exp(big.NewInt(8), big.NewInt(int64(n)), nil)))
				want, _ := sum.Float64()
				if got := binomialTail(k, n, float64(eighths)/8); math.Abs(got/want-1) > 1e-11 {
					t.Fatalf("P(X >= %d) of %d tosses at %d/8: %v, want %v", k, n, eighths, got, want)
				}
			}
		}
	}
}

func TestBetaBinomialIsADistribution(t *testing.T) {
	for _, ab := range [][2]float64{{.26, .34}, {1, 1}, {.05, 3}, {5, .2}, {200, 300}} {
		for _, n := range []int{1, 2, 7, 40, 300} {
			// The whole of it without the branch for k <= 0: P(0) + P(X >= 1).
			none := 1.0
			for i := range n {
				none *= (ab[1] + float64(i)) / (ab[0] + ab[1] + float64(i))
			}
			if sum := none + betaBinomialTail(1, n, ab[0], ab[1]); math.Abs(sum-1) > 1e-10 {
				t.Errorf("a, b = %v, n = %d: the probabilities sum to %v", ab, n, sum)
			}
			mean, last := 0.0, 1.0
			for k := 1; k <= n; k++ {
				p := betaBinomialTail(k, n, ab[0], ab[1])
				if p < 0 || p > last*(1+1e-12) {
					t.Fatalf("a, b = %v, n = %d: P(X >= %d) = %v after %v", ab, n, k, p, last)
				}
				mean, last = mean+p, p
			}
			if want := float64(n) * ab[0] / (ab[0] + ab[1]); math.Abs(mean/want-1) > 1e-9 {
				t.Errorf("a, b = %v, n = %d: the mean is %v, want %v", ab, n, mean, want)
			}
		}
	}
}

func TestLogAddExpNeitherOverflowsNorForgets(t *testing.T) {
	for _, tt := range [][3]float64{
		{0, 0, math.Ln2}, {math.Inf(-1), 3, 3}, {3, math.Inf(-1), 3}, {1000, 1000, 1000 + math.Ln2}, {-1000, 0, 0}, {1, 2, math.Log(math.E + math.E*math.E)},
	} {
		if got := logAddExp(tt[0], tt[1]); math.Abs(got-tt[2]) > 1e-12 {
			t.Errorf("ln(e^%v + e^%v) = %v, want %v", tt[0], tt[1], got, tt[2])
		}
	}
}

func TestMaximiseFindsTheMaximum(t *testing.T) {
	for _, at := range []float64{-2.9, -1, 0, .123, 4.99} {
		for name, f := range map[string]func(float64) float64{
			"a parabola": func(x float64) float64 { return -(x - at) * (x - at) },
			"a roof":     func(x float64) float64 { return -math.Abs(x - at) },
			"a slope that is steep on one side": func(x float64) float64 {
				if x < at {
					return 100 * (x - at)
				}
				return at - x
			},
		} {
			if got := maximise(f, -3, 5); math.Abs(got-at) > 1e-3 {
				t.Errorf("%s with its top at %v: %v", name, at, got)
			}
		}
	}
	if got := maximise(func(x float64) float64 { return x }, -3, 5); math.Abs(got-5) > 1e-3 {
		t.Errorf("the top of a rising line is at its end: %v", got)
	}
}

// Distances over the county against the haversine formula.
func TestMetresOverACounty(t *testing.T) {
	haversine := func(lon1, lat1, lon2, lat2 float64) float64 {
		r := math.Pi / 180
		a := math.Pow(math.Sin((lat2-lat1)*r/2), 2) + math.Cos(lat1*r)*math.Cos(lat2*r)*math.Pow(math.Sin((lon2-lon1)*r/2), 2)
		return 2 * 6_371_009 * math.Asin(math.Sqrt(a))
	}
	for _, p := range [][4]float64{{112.92, 35.80, 112.93, 35.80}, {112.92, 35.80, 112.92, 35.90}, {112.7, 35.7, 113.1, 36}} {
		got, want := metres(p[0], p[1], p[2], p[3]), haversine(p[0], p[1], p[2], p[3])
		if math.Abs(got/want-1) > 2e-3 {
			t.Errorf("%v: %.1f m, want %.1f", p, got, want)
		}
	}
	if got := metres(112.9, 35.8, 112.9, 35.8); got != 0 {
		t.Errorf("from a place to itself %v m", got)
	}
}
