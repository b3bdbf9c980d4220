// Package learn weighs evidence by what investigators found: Bayesian logistic regression with few
// verdicts, a prior that is the policy, and weights that never turn negative.
//
// It proposes weights and applies none. In: a prior, and examples of evidence with their verdict. Out: a
// Model with the uncertainty of each weight. The same examples in any order give the same model, to
// rounding.
package learn

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	vw "voucherwatch"
)

// Prior is what is believed before any verdict: independent normal distributions.
type Prior struct {
	Intercept   float64 // log-odds without evidence
	InterceptSD float64 // > 0
	Weights     []float64
	SD          float64 // of each weight, > 0
}

// Example is one subject that was looked into. Evidence are log likelihood ratios, one for each weight.
type Example struct {
	Evidence []float64
	Fraud    bool
	// Weight is how many subjects it stands for: 1, or one over the chance of being drawn. > 0.
	Weight float64
}

// Model is the mode of what is believed after the verdicts, and its standard deviations by the curvature
// there (Laplace). A weight that stands at 0 has the prior's.
type Model struct {
	Intercept   float64
	InterceptSD float64
	Weights     []float64
	SD          []float64
}

// LogOdds are those of fraud, given evidence.
func (m *Model) LogOdds(evidence []float64) float64 {
	x := m.Intercept
	for i, w := range m.Weights {
		x += w * evidence[i]
	}
	return x
}

// Fit gives the most probable model with weights of 0 and more. The problem is strictly convex, so there is
// one, and Newton's method with the bound held finds it. Errors are vw.Invalid.
func Fit(p Prior, examples []Example) (*Model, error) {
	n := len(p.Weights)
	if err := check(p, examples); err != nil {
		return nil, &vw.Error{Op: "learn.Fit", Code: vw.Invalid, Err: err}
	}
	// Parameter 0 is the intercept.
	mean, precision := append([]float64{p.Intercept}, p.Weights...), make([]float64, n+1)
	for i := range precision {
		precision[i] = 1 / (p.SD * p.SD)
	}
	precision[0] = 1 / (p.InterceptSD * p.InterceptSD)
	x := append([]float64(nil), mean...)
	for i := 1; i <= n; i++ {
		x[i] = max(0, x[i])
	}
	loss := func(x []float64) float64 {
		sum := 0.
		for i := range x {
			sum += precision[i] * (x[i] - mean[i]) * (x[i] - mean[i]) / 2
		}
		for _, e := range examples {
			z := dot(x, e.Evidence)
			if e.Fraud {
				z = -z
			}
			sum += e.Weight * softplus(z)
		}
		return sum
	}
	var gradient []float64
	var curvature *mat.SymDense
	now := loss(x)
	for range 200 {
		gradient, curvature = slope(x, mean, precision, examples)
		free := freeOf(x, gradient)
		step, err := newton(gradient, curvature, free)
		if err != nil {
			return nil, &vw.Error{Op: "learn.Fit", Code: vw.Invalid, Hint: "the evidence is too large to be computed with; it is log likelihood ratios", Err: err}
		}
		// Halve the step until it helps; a bound cuts it off.
		better := false
		for scale := 1.; scale > 1e-10 && !better; scale /= 2 {
			next := append([]float64(nil), x...)
			for i, f := range free {
				next[f] -= scale * step[i]
				if f > 0 {
					next[f] = max(0, next[f])
				}
			}
			if then := loss(next); then < now-1e-13*math.Abs(now) {
				x, now, better = next, then, true
			}
		}
		if !better {
			break
		}
	}
	m := &Model{Intercept: x[0], InterceptSD: p.InterceptSD, Weights: x[1:], SD: make([]float64, n)}
	for i := range m.SD {
		m.SD[i] = p.SD
	}
	gradient, curvature = slope(x, mean, precision, examples)
	free := freeOf(x, gradient)
	inverse, err := invert(curvature, free)
	if err != nil {
		return nil, &vw.Error{Op: "learn.Fit", Code: vw.Invalid, Err: err}
	}
	for i, f := range free {
		sd := math.Sqrt(inverse.At(i, i))
		if f == 0 {
			m.InterceptSD = sd
		} else {
			m.SD[f-1] = sd
		}
	}
	return m, nil
}

func check(p Prior, examples []Example) error {
	var errs []error
	if !(p.SD > 0) || !(p.InterceptSD > 0) {
		errs = append(errs, errors.New("prior: standard deviations must be above 0"))
	}
	for i, e := range examples {
		if len(e.Evidence) != len(p.Weights) {
			errs = append(errs, fmt.Errorf("example %d: %d pieces of evidence for %d weights", i, len(e.Evidence), len(p.Weights)))
		}
		if !(e.Weight > 0) {
			errs = append(errs, fmt.Errorf("example %d: weight must be above 0", i))
		}
		for _, v := range e.Evidence {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				errs = append(errs, fmt.Errorf("example %d: evidence must be finite", i))
			}
		}
	}
	return errors.Join(errs...)
}

// slope is the gradient and the curvature of the loss.
func slope(x, mean, precision []float64, examples []Example) ([]float64, *mat.SymDense) {
	n := len(x)
	g, h := make([]float64, n), mat.NewSymDense(n, nil)
	for i := range x {
		g[i] = precision[i] * (x[i] - mean[i])
		h.SetSym(i, i, precision[i])
	}
	at := func(e *Example, i int) float64 {
		if i == 0 {
			return 1
		}
		return e.Evidence[i-1]
	}
	for k := range examples {
		e := &examples[k]
		p := 1 / (1 + math.Exp(-dot(x, e.Evidence)))
		miss := p
		if e.Fraud {
			miss--
		}
		for i := range n {
			g[i] += e.Weight * miss * at(e, i)
			for j := i; j < n; j++ {
				h.SetSym(i, j, h.At(i, j)+e.Weight*p*(1-p)*at(e, i)*at(e, j))
			}
		}
	}
	return g, h
}

// freeOf are the parameters that no bound holds: a weight at 0 that wants to be less stays there.
func freeOf(x, gradient []float64) []int {
	var free []int
	for i := range x {
		if i == 0 || x[i] > 0 || gradient[i] < 0 {
			free = append(free, i)
		}
	}
	return free
}

func part(h *mat.SymDense, free []int) *mat.SymDense {
	out := mat.NewSymDense(len(free), nil)
	for i, f := range free {
		for j := i; j < len(free); j++ {
			out.SetSym(i, j, h.At(f, free[j]))
		}
	}
	return out
}

func newton(gradient []float64, h *mat.SymDense, free []int) ([]float64, error) {
	g := mat.NewVecDense(len(free), nil)
	for i, f := range free {
		g.SetVec(i, gradient[f])
	}
	var c mat.Cholesky
	if !c.Factorize(part(h, free)) {
		return nil, errors.New("the curvature is not positive")
	}
	var step mat.VecDense
	if err := c.SolveVecTo(&step, g); err != nil {
		return nil, fmt.Errorf("solve: %w", err)
	}
	return step.RawVector().Data, nil
}

func invert(h *mat.SymDense, free []int) (*mat.SymDense, error) {
	var c mat.Cholesky
	if !c.Factorize(part(h, free)) {
		return nil, errors.New("the curvature is not positive")
	}
	var out mat.SymDense
	if err := c.InverseTo(&out); err != nil {
		return nil, fmt.Errorf("invert: %w", err)
	}
	return &out, nil
}

// dot is the intercept and the weighted evidence.
func dot(x, evidence []float64) float64 {
	sum := x[0]
	for i, v := range evidence {
		sum += x[i+1] * v
	}
	return sum
}

// softplus is ln(1 + e^z).
func softplus(z float64) float64 {
	if z > 35 {
		return z
	}
	return math.Log1p(math.Exp(z))
}
