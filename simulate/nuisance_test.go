package simulate

import (
	"bytes"
	"encoding/json"
	"testing"
)

// labelled is what the labels say of the nuisance parameters.
func labelled(t *testing.T, labels []byte) map[string]float64 {
	t.Helper()
	var l struct{ Nuisance map[string]float64 }
	if err := json.Unmarshal(labels, &l); err != nil {
		t.Fatal(err)
	}
	return l.Nuisance
}

func TestEveryNuisanceParameterIsDrawnAnewByEachSeedFromItsRange(t *testing.T) {
	_, l1, _ := run(t, Options{Seed: 1, Scale: .02, Days: 3})
	_, l2, _ := run(t, Options{Seed: 2, Scale: .02, Days: 3})
	a, b := labelled(t, l1), labelled(t, l2)
	if len(a) != int(parameterCount) {
		t.Errorf("the labels hold %d parameters of %d", len(a), parameterCount)
	}
	for i, p := range parameters {
		if p.name == "" || p.low >= p.high {
			t.Errorf("parameter %d (%s) has no range", i, p.name)
		}
		for _, v := range []float64{a[p.name], b[p.name]} {
			if v < p.low-1e-4 || v > p.high+1e-4 {
				t.Errorf("%s = %v lies outside %v–%v", p.name, v, p.low, p.high)
			}
		}
		if a[p.name] == b[p.name] {
			t.Errorf("%s is %v in both seeds", p.name, a[p.name])
		}
	}
	// Over many seeds both ends of every range are reached.
	for i, p := range parameters {
		least, most := p.high, p.low
		for seed := range uint64(200) {
			v := newNuisance(seed, nil)[i]
			least, most = min(least, v), max(most, v)
		}
		if width := p.high - p.low; least > p.low+.05*width || most < p.high-.05*width {
			t.Errorf("%s stays within %v–%v", p.name, least, most)
		}
	}
}

// A parameter that is drawn and not used would satisfy the test above. Some show in larger worlds only.
func TestEveryNuisanceParameterChangesTheWorld(t *testing.T) {
	for i, p := range parameters {
		world := func(v float64, merchants int) []byte {
			fixed := map[parameter]float64{rainyDays: .25}
			fixed[parameter(i)] = v
			e, _, _ := run(t, Options{Seed: 3, Scale: .1, Merchants: merchants, Days: 20, Typologies: []string{"ring"}, fixed: fixed})
			return e
		}
		if bytes.Equal(world(p.low, 120), world(p.high, 120)) && bytes.Equal(world(p.low, 440), world(p.high, 440)) {
			t.Errorf("%s has no effect", p.name)
		}
	}
}
