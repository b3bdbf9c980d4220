package evaluate

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// draw is a random ranking with many ties.
func draw(r *rand.Rand) []item {
	items := make([]item, 1+r.IntN(60))
	for i := range items {
		items[i] = item{float64(r.IntN(8)), r.IntN(4) == 0}
	}
	items[r.IntN(len(items))].fraud = true
	return items
}

func prevalence(items []item) float64 {
	n := 0.
	for _, x := range items {
		if x.fraud {
			n++
		}
	}
	return n / float64(len(items))
}

func TestAveragePrecisionByHand(t *testing.T) {
	for _, tt := range []struct {
		name  string
		items []item
		want  float64
	}{
		{"perfect", []item{{3, true}, {2, true}, {1, false}}, 1},
		{"reversed", []item{{3, false}, {2, false}, {1, true}}, 1. / 3},
		{"all tied is the prevalence", []item{{1, true}, {1, false}, {1, false}, {1, false}}, .25},
		{"a tie is one step", []item{{2, true}, {2, false}, {1, true}, {0, false}}, .5*.5 + .5*2/3},
		{"no fraud", []item{{1, false}}, 0},
		{"nothing", nil, 0},
	} {
		if got := averagePrecision(levels(tt.items)); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestAveragePrecisionProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 500 {
		items := draw(r)
		ap := averagePrecision(levels(items))
		if ap <= 0 || ap > 1 {
			t.Fatalf("AP %v of %v", ap, items)
		}
		r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		if again := averagePrecision(levels(items)); again != ap {
			t.Fatalf("%v in another order, %v before", again, ap)
		}
		perfect := append([]item(nil), items...)
		for i := range perfect {
			perfect[i].score /= 100
			if perfect[i].fraud {
				perfect[i].score++
			}
		}
		if best := averagePrecision(levels(perfect)); math.Abs(best-1) > 1e-12 {
			t.Fatalf("fraud first gives %v", best)
		}
		// A floor lifted from the bottom, or any other change that keeps the order, keeps AP.
		for i := range items {
			items[i].score = math.Exp(items[i].score) - 7
		}
		if kept := averagePrecision(levels(items)); kept != ap {
			t.Fatalf("%v after a monotone change, %v before", kept, ap)
		}
	}
}

func TestARandomRankingHasThePrevalence(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	items := make([]item, 20000)
	for i := range items {
		items[i] = item{r.Float64(), r.IntN(20) == 0}
	}
	if ap, p := averagePrecision(levels(items)), prevalence(items); math.Abs(ap-p) > .01 {
		t.Errorf("AP %v, prevalence %v", ap, p)
	}
}

func TestBootstrapHoldsTheTruth(t *testing.T) {
	// The AP of a large sample lies within the interval of a small one, nearly always.
	r := rand.New(rand.NewPCG(8, 8))
	sample := func(n int) []level {
		items := make([]item, n)
		for i := range items {
			items[i].fraud = i%10 == 0
			items[i].score = math.Round(4 * r.NormFloat64())
			if items[i].fraud {
				items[i].score += 6
			}
		}
		return levels(items)
	}
	truth, in := averagePrecision(sample(200_000)), 0
	const tries = 100
	for range tries {
		ls := sample(600)
		low, high, ok := bootstrap(ls)
		if again, _, _ := bootstrap(ls); !ok || again != low || low > high {
			t.Fatalf("[%v, %v] %v, then %v", low, high, ok, again)
		}
		if low <= truth && truth <= high {
			in++
		}
	}
	if in < 88 {
		t.Errorf("%d of %d intervals hold the truth, want about 95", in, tries)
	}
	if _, _, ok := bootstrap([]level{{1, 4, 0}}); ok {
		t.Error("an interval of four")
	}
}

func TestWilson(t *testing.T) {
	for _, tt := range []struct {
		k, n      int
		low, high float64
	}{{0, 10, 0, .2775}, {10, 10, .7225, 1}, {45, 53, .7290, .9210}, {1, 1, .2065, 1}, {0, 0, 0, 1}} {
		if low, high := wilson(tt.k, tt.n); math.Abs(low-tt.low) > 6e-4 || math.Abs(high-tt.high) > 6e-4 {
			t.Errorf("%d of %d: [%.4f, %.4f], want [%.4f, %.4f]", tt.k, tt.n, low, high, tt.low, tt.high)
		}
	}
}

func TestPrecisionAtSharesOutTies(t *testing.T) {
	ls := []level{{3, 1, 0}, {2, 1, 3}, {1, 5, 0}}
	for k, want := range map[int]float64{1: 1, 2: 1.25 / 2, 3: 1.5 / 3, 5: 2. / 5, 10: .7, 20: 7. / 20} {
		if got := precisionAt(ls, k); math.Abs(got-want) > 1e-12 {
			t.Errorf("at %d: %v, want %v", k, got, want)
		}
	}
}

func TestACurveKeepsItsEndsWhenThinned(t *testing.T) {
	var ls []level
	for i := range 1000 {
		ls = append(ls, level{float64(-i), 1, 1})
	}
	c := curve(ls, 50)
	if len(c) != 50 || c[0] != [2]float64{.001, .5} || c[49] != [2]float64{1, .5} {
		t.Errorf("%d points from %v to %v", len(c), c[0], c[len(c)-1])
	}
}

func TestPSI(t *testing.T) {
	// By hand: with half a redemption added to each bin, 60.5/101 against 40.5/101 and the reverse.
	want := 2 * (60.5 - 40.5) / 101 * math.Log(60.5/40.5)
	if got, _ := psi([]int{60, 40}, []int{40, 60}); math.Abs(got-want) > 1e-12 {
		t.Errorf("index %v, want %v", got, want)
	}
	// Days drawn from the same distribution exceed what chance does once in a thousand about that often.
	r := rand.New(rand.NewPCG(9, 9))
	sample := func(n int) []int {
		x := make([]int, 9)
		for range n {
			x[int(9*math.Sqrt(r.Float64()))]++
		}
		return x
	}
	over := 0
	const days = 5000
	for range days {
		if index, chance := psi(sample(150), sample(1500)); index > chance {
			over++
		}
	}
	if over > 20 {
		t.Errorf("%d of %d days without any drift exceed chance, want about 5", over, days)
	}
	if index, chance := psi([]int{10, 90}, []int{900, 100}); index < psiAct || index < chance {
		t.Errorf("a turned distribution has index %v, chance %v", index, chance)
	}
}

func TestWeekend(t *testing.T) {
	// 2022-09-24 was a Saturday: day 19259.
	got := map[int32]bool{}
	for d := int32(19258); d < 19263; d++ {
		got[d] = weekend(d)
	}
	if diff := cmp.Diff(map[int32]bool{19258: false, 19259: true, 19260: true, 19261: false, 19262: false}, got); diff != "" {
		t.Errorf("weekends (-want +got):\n%s", diff)
	}
}
