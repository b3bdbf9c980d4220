package detectors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	vw "voucherwatch"
)

// scoreEngine has two detectors that never look: what they say is put into the visit by hand.
func scoreEngine(s Settings) *Engine {
	e := &Engine{settings: s, specs: []Spec{{Name: "soft"}, {Name: "strict"}}, campaign: rulesCampaign()}
	sl := &slot{engine: e}
	for id := range e.specs {
		sl.envs = append(sl.envs, &Env{Arena: &sl.arena, settings: &e.settings, spec: &e.specs[id], found: &sl.found, said: &sl.said, cause: &sl.cause, id: uint8(id)})
	}
	e.slots, e.weights = []*slot{sl}, []Setting{s.of("soft"), s.of("strict")}
	return e
}

var scoreKind = &Kind{Code: "soft.sign", Typology: "T01", Text: func(s *Signal) vw.Bilingual {
	return vw.Bilingual{Zh: "迹象", En: fmt.Sprintf("a sign of %g", s.Observed)}
}}

func scoreVisit() *Visit {
	b := &vw.Batch{Data: []byte(`r-1m"一` + "\tliat")}
	return &Visit{Batch: b, Event: &vw.Event{
		ID: vw.Ref{Text: vw.Text{Len: 3}}, Merchant: vw.Ref{Text: vw.Text{Off: 3, Len: 6}}, Customer: vw.Ref{Text: vw.Text{Off: 9, Len: 2}}, AtText: vw.Text{Off: 11, Len: 2},
	}}
}

func TestJudgeAddsEvidenceUnderWeightAndCap(t *testing.T) {
	soft := func(llr float64) Signal { return Signal{LLR: llr} }
	hard := func(llr float64) Signal { return Signal{LLR: llr, hard: true} }
	for _, tt := range []struct {
		name    string
		setting Setting
		signals []Signal
		want    float64 // log-odds above the prior
	}{
		{"nothing was said", Setting{Weight: 1, Cap: 5}, nil, 0},
		{"one sign counts by its weight", Setting{Weight: .5, Cap: 5}, []Signal{soft(3)}, 1.5},
		{"the evidence is cut, then weighed", Setting{Weight: .5, Cap: 5}, []Signal{soft(30)}, 2.5},
		{"signs of one detector are cut together", Setting{Weight: 1, Cap: 5}, []Signal{soft(3), soft(4)}, 5},
		{"evidence of innocence counts", Setting{Weight: 1, Cap: 5}, []Signal{soft(-2)}, -2},
		{"and is cut as well", Setting{Weight: 1, Cap: 5}, []Signal{soft(-20)}, -5},
		{"a broken rule is neither weighed nor cut", Setting{Weight: .5, Cap: 5}, []Signal{hard(7)}, 7},
		{"a broken rule beside signs", Setting{Weight: .5, Cap: 5}, []Signal{soft(30), hard(7), soft(-1)}, 9.5},
		{"a weight of zero silences", Setting{Cap: 5}, []Signal{soft(30)}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := scoreEngine(Settings{Prior: -5, Review: 600, High: 850, Detectors: map[string]Setting{"soft": tt.setting, "strict": {Weight: 1, Cap: 12}}})
			v := scoreVisit()
			for _, s := range tt.signals {
				s.Kind = scoreKind
				hard := s.hard
				v.Say(e.slots[0].envs[0], s)
				e.slots[0].said.signals[v.n-1].hard = hard
			}
			e.judge(v, e.heard(v, nil))
			if math.Abs(v.logit-(-5+tt.want)) > 1e-12 || v.score != int(math.Round(1000/(1+math.Exp(5-tt.want)))) {
				t.Errorf("log-odds %g above the prior, score %d; want %g", v.logit+5, v.score, tt.want)
			}
		})
	}
}

func TestBandsBeginAtTheirScores(t *testing.T) {
	e := scoreEngine(Settings{Review: 600, High: 850})
	for score, want := range map[int]vw.Band{0: vw.Low, 599: vw.Low, 600: vw.Review, 849: vw.Review, 850: vw.High, 1000: vw.High} {
		if got := bandNames[e.band(score)]; got != want {
			t.Errorf("score %d is %s, want %s", score, got, want)
		}
	}
}

// Whatever order detectors speak in and however much they say, a score is one line of the contract, its
// reasons begin with the strongest, and what weighs too little is not told.
func TestScoreIsALineOfTheContract(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	e := scoreEngine(Settings{Version: "v1", Prior: -5, Review: 600, High: 850, MinWeight: .2, Detectors: map[string]Setting{"soft": {Weight: .6, Cap: 8}, "strict": {Weight: 1, Cap: 12}}})
	var ids []IDRef
	for i := range 30 {
		ids = append(ids, e.slots[0].arena.Keep(fmt.Appendf(nil, "e%d", i), 1))
	}
	for range 3000 {
		v := scoreVisit()
		said := r.IntN(20)
		for range said {
			s := Signal{Kind: scoreKind, LLR: 6 * r.NormFloat64(), Observed: 1, Expected: None, P: None, Evidence: ids[:r.IntN(30)]}
			switch r.IntN(6) {
			case 0:
				s.Observed, s.P = math.NaN(), 0
			case 1:
				s.Observed, s.Expected, s.P = math.Inf(1), math.Inf(-1), 1e-320
			}
			v.Say(e.slots[0].envs[r.IntN(2)], s)
		}
		for range r.IntN(20) {
			v.Blind(e.slots[0].envs[r.IntN(2)], vw.FieldLines)
		}
		e.judge(v, e.heard(v, nil))
		line := e.appendScore(nil, v, e.heard(v, nil))
		var got vw.Score
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&got); err != nil || bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
			t.Fatalf("%v: %s", err, line)
		}
		if got.RedemptionID != "r-1" || got.MerchantID != "m\"一\t" || got.CustomerID != "li" || got.PolicyVersion != "v1" || got.Score != v.score {
			t.Fatalf("%+v", got)
		}
		if len(got.Reasons) > min(said, maxShown) || len(got.Blind) > maxBlinds {
			t.Fatalf("%d reasons, %d blind", len(got.Reasons), len(got.Blind))
		}
		if !slices.IsSortedFunc(got.Reasons, func(a, b vw.Reason) int {
			if a.Weight < b.Weight {
				return 1
			}
			return 0
		}) {
			t.Fatalf("reasons are out of order: %s", line)
		}
		for _, reason := range got.Reasons {
			if math.Abs(reason.Weight) < .2-.0005 || len(reason.Evidence) > 20 || reason.Evidence == nil {
				t.Fatalf("weight %g, evidence %v", reason.Weight, reason.Evidence)
			}
			if p := reason.PValue; p != nil && *p < 1e-300 {
				t.Fatalf("p-value %g", *p)
			}
		}
		for _, b := range got.Blind {
			if b.Field != "lines" {
				t.Fatalf("blind by %q", b.Field)
			}
		}
	}
}

// Every sign counts, however many there are; the strongest are told.
func TestAScoreTellsTheStrongestSigns(t *testing.T) {
	e := scoreEngine(Settings{Prior: -5, Detectors: map[string]Setting{"soft": {Weight: 1, Cap: 1000}, "strict": {Weight: 1, Cap: 1000}}})
	v := scoreVisit()
	const n = maxShown + 5
	sum := 0.0
	for i := range n {
		llr := float64(7*i%n) + 1
		sum += llr
		v.Say(e.slots[0].envs[i%2], Signal{Kind: scoreKind, LLR: llr, Observed: llr, Expected: None, P: None})
	}
	heard := e.heard(v, nil)
	for i, s := range heard {
		if want := float64(7*i%n) + 1; s.LLR != want {
			t.Fatalf("sign %d is %g, want %g: the order they came in", i, s.LLR, want)
		}
	}
	e.judge(v, heard)
	if v.logit != sum-5 {
		t.Errorf("log-odds %g, want %g", v.logit, sum-5)
	}
	var got vw.Score
	if err := json.Unmarshal(e.appendScore(nil, v, heard), &got); err != nil {
		t.Fatal(err)
	}
	for i, r := range got.Reasons {
		if r.Weight != float64(n-i) {
			t.Errorf("reason %d weighs %g, want %d", i, r.Weight, n-i)
		}
	}
	if len(got.Reasons) != maxShown {
		t.Errorf("%d reasons, want %d", len(got.Reasons), maxShown)
	}
}

// A detector that the policy does not name is enabled with the weight and cap of its signals; what it
// finds must weigh as much.
func TestFindingsWeighAsMuchAsScores(t *testing.T) {
	for name, settings := range map[string]Settings{
		"a detector that the policy does not name": {Prior: -5},
		"one that it names":                        {Prior: -5, Detectors: map[string]Setting{"soft": {Weight: .6, Cap: 8}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, llr := range []float64{.5, 3, 9, 40} {
				e := scoreEngine(settings)
				env := e.slots[0].envs[0]
				v := scoreVisit()
				s := Signal{Kind: scoreKind, LLR: llr}
				v.Say(env, s)
				e.judge(v, e.heard(v, nil))
				if got := env.LogOdds(-5, llr); math.Abs(got-v.logit) > 1e-12 {
					t.Errorf("evidence of %g: a finding has log-odds %g, a score %g", llr, got, v.logit)
				}
				if got := env.Reason(s).Weight; math.Abs(got-round3(v.logit+5)) > 1e-9 {
					t.Errorf("evidence of %g: a finding's reason weighs %g, a score's %g", llr, got, v.logit+5)
				}
			}
		})
	}
}

func TestADetectorThatThePolicyDoesNotNameIsEnabled(t *testing.T) {
	s := Settings{Detectors: map[string]Setting{"named": {Weight: .5}}}
	if got := s.of("unnamed"); !got.Enabled || got.Weight != 1 || got.Cap != 12 {
		t.Errorf("%+v", got)
	}
	if got := s.of("named"); got.Enabled || got.Weight != .5 {
		t.Errorf("%+v", got)
	}
}

func TestFindingsNeedEvidenceForGuiltOnly(t *testing.T) {
	env := scoreEngine(Settings{Detectors: map[string]Setting{"soft": {Weight: .6, Cap: 8}}}).slots[0].envs[0]
	if got := env.LogOdds(-5, -3); got != -5 {
		t.Errorf("log-odds %g of a finding with evidence of innocence, want the prior", got)
	}
}

func TestRegisteringANameTwicePanics(t *testing.T) {
	before := len(specs)
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "split") || len(specs) != before {
			t.Errorf("panic %q, %d detectors of %d", got, len(specs), before)
		}
	}()
	register(Spec{Name: "split"})
}

func TestSpecsAreListedByName(t *testing.T) {
	list := Specs()
	if !slices.IsSortedFunc(list, func(a, b Spec) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the list is not in order")
	}
	for _, s := range list {
		if s.Title.Zh == "" || s.Title.En == "" || len(s.Typologies) == 0 || s.New == nil || s.Lane >= Lanes {
			t.Errorf("%s: %+v", s.Name, s)
		}
	}
	list[0].Name = "changed"
	if Specs()[0].Name == "changed" {
		t.Error("a caller can change the registration")
	}
}
