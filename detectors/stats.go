package detectors

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Upper tails. distuv's Survival is 1-CDF and loses every small tail, so the incomplete gamma and beta
// functions are used directly; they agree with scipy to 1e-12 relative down to 1e-300.

// poissonTail is P(X >= k) for X ~ Poisson(mean).
func poissonTail(k int, mean float64) float64 {
	if k <= 0 {
		return 1
	}
	if mean <= 0 {
		return 0
	}
	return mathext.GammaIncReg(float64(k), mean)
}

// binomialTail is P(X >= k) for X ~ Binomial(n, p).
func binomialTail(k, n int, p float64) float64 {
	switch {
	case k <= 0:
		return 1
	case k > n || p <= 0:
		return 0
	case p >= 1:
		return 1
	}
	return mathext.RegIncBeta(float64(k), float64(n-k+1), p)
}

// negBinomialTail is P(X >= k) for a negative binomial with the given mean and size r (variance
// mean + mean²/r).
func negBinomialTail(k int, mean, r float64) float64 {
	if k <= 0 {
		return 1
	}
	if mean <= 0 {
		return 0
	}
	return mathext.RegIncBeta(float64(k), r, mean/(r+mean))
}

// betaBinomialTail is P(X >= k) for X ~ BetaBinomial(n, a, b), by summing at most n-k+1 terms.
func betaBinomialTail(k, n int, a, b float64) float64 {
	if k <= 0 {
		return 1
	}
	if k > n {
		return 0
	}
	// The term for i, then each next one from the last.
	term := math.Exp(lchoose(n, k) + mathext.Lbeta(a+float64(k), b+float64(n-k)) - mathext.Lbeta(a, b))
	sum := term
	for i := k; i < n; i++ {
		term *= float64(n-i) / float64(i+1) * (a + float64(i)) / (b + float64(n-i-1))
		sum += term
	}
	return min(sum, 1)
}

func lchoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

func clip(x, low, high float64) float64 { return max(low, min(high, x)) }

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// logAddExp is ln(e^a + e^b).
func logAddExp(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// metres is the distance between two points by the equirectangular approximation, exact to 0.1 % over
// a county.
func metres(lon1, lat1, lon2, lat2 float64) float64 {
	const perDegree = 111_320.0
	dx := (lon1 - lon2) * math.Cos((lat1+lat2)/2*math.Pi/180) * perDegree
	dy := (lat1 - lat2) * perDegree
	return math.Hypot(dx, dy)
}
