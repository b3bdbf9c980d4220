package evaluate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// because gives the last redemption's score a reason.
func (s *small) because(code, typology string, weight, p float64) {
	i := len(s.scores) - 1
	s.scores[i] = strings.Replace(s.scores[i], `"reasons":[]`, fmt.Sprintf(`"reasons":[{"typology":%q,"code":%q,"weight":%v,"p_value":%v}]`, typology, code, weight, p), 1)
}

// precisions are the average precisions on the boards of a unit, in order.
func precisions(r *Report, unit string) (out []float64) {
	for _, b := range r.Boards {
		if b.Unit == unit {
			for _, k := range b.Rankings {
				out = append(out, k.AP)
			}
		}
	}
	return out
}

func TestFixedPairsAreRankedByTheirFindingsThenByTheirOwnEvidence(t *testing.T) {
	s := &small{}
	pay := func(m, c string, days ...int) {
		for _, d := range days {
			s.pay(fmt.Sprintf("%s%s%d", m, c, d), m, c, fmt.Sprintf("%d 10:00", d), 5000, 5)
		}
	}
	pay("m1", "c1", 20, 21) // a finding about it, honest
	pay("m1", "c2", 20, 21, 22)
	s.because("pair.repeat", "P01", 3, .0004) // evidence without a finding: fraud
	pay("m1", "c3", 20, 21)
	s.because("pair.repeat", "P01", 2, .0009) // less, honest
	pay("m1", "c4", 20, 21)
	pay("m1", "c5", 20) // once: no pair
	pay("m1", "c6", 20)
	s.pay("again", "m1", "c6", "20 11:00", 5000, 5) // a pair, but on one day
	s.find("P01", "pair m1 c1", "22 10:00", 300, "m1c120 m1c121", "m1")
	s.fraud("pair", "pair", "pair_ring", "P01", "m1", "c2", "20 10:00", "m1c220:1 m1c221:1 m1c222:1")
	r, err := s.report(t)
	if err != nil {
		t.Fatal(err)
	}
	// c1, c2 (fraud), c3, c4; by number of redemptions c2 is alone in front.
	if diff := cmp.Diff([]float64{.5, 1}, precisions(r, "pair")); diff != "" {
		t.Errorf("average precision of pairs (-want +got):\n%s", diff)
	}
	// Of the honest pairs c1, c3 and c4 only c3 has p < .001.
	if diff := cmp.Diff([]PairNull{{"all", ratio(1, 3)}}, r.Pairs); diff != "" {
		t.Errorf("honest pairs (-want +got):\n%s", diff)
	}
	if b := r.Boards[0]; b.Unit != "pair" || b.Items != 5 {
		t.Errorf("%d %ss, want the five with two redemptions", b.Items, b.Unit)
	}
	if len(r.Rings) != 0 {
		t.Errorf("a pair is no ring: %+v", r.Rings)
	}
}

func TestAnEntityCountsOnceInTheBudget(t *testing.T) {
	s := &small{}
	s.pay("a", "m1", "c1", "20 10:00", 5000, 700)
	s.pay("b", "m1", "c1", "21 10:00", 5000, 700)
	s.pay("c", "m2", "c2", "21 10:00", 5000, 5)
	s.fraud("x", "split", "split", "T01", "m1", "c1", "20 10:00", "a:1 b:1")
	r, err := s.report(t)
	if err != nil {
		t.Fatal(err)
	}
	// One of the first twenty on the first day, none on the second.
	if diff := cmp.Diff(Budget{20, .025, .025, ratio(1, 1)}, r.Budget[0]); diff != "" {
		t.Errorf("budget (-want +got):\n%s", diff)
	}
}

func TestFindingsBelowReviewAccuseNobody(t *testing.T) {
	s := twoSplits()
	s.find("P01", "ring x", "21 10:00", 599, "r5", "m2")
	s.find("T01", "pair m2 c3", "20 11:00", 599, "r5", "m2")
	s.find("T06", "merchant m2", "20 11:00", 599, "r5", "m2")
	s.find("T02", "merchant m1", "20 10:01", 599, "r1 r2", "m1")
	s.find("T02", "merchant m3", "20 12:40", 599, "r8 r9", "m3")
	r, err := s.report(t)
	if err != nil {
		t.Fatal(err)
	}
	if y := r.Typologies[0]; y.Delay.Hours[0] != .033 || y.Money.BeforeFen != 2500 {
		t.Errorf("found after %v h, %d fen before settlement: want what the findings at review give", y.Delay.Hours, y.Money.BeforeFen)
	}
	if len(r.Rings) != 0 || r.PerDay.False != 0 || r.PerDay.Review != 2 || r.PerDay.Merchants != 0 || r.False.After != ratio(2, 3) {
		t.Errorf("rings %v, findings %+v, false alarms %+v", r.Rings, r.PerDay, r.False)
	}
	s.find("T06", "merchant m2", "20 11:00", 850, "r5 r6", "m2") // that r6 breaks a rule makes it no cash-out
	if r, err = s.report(t); err != nil {
		t.Fatal(err)
	}
	if r.PerDay.False != 1 || r.PerDay.Merchants != 1 || r.PerDay.Innocent != 1 || r.False.AfterHigh != ratio(1, 3) {
		t.Errorf("findings %+v, false alarms %+v", r.PerDay, r.False)
	}
}

func TestAnExactFindingFindsNoFraudButItsOwn(t *testing.T) {
	s := twoSplits()
	s.findings = nil
	s.find("C03", "merchant m1", "20 10:02", 900, "r1 r2", "m1")
	r, err := s.report(t)
	if err != nil {
		t.Fatal(err)
	}
	if r.Typologies[0].Cases != ratio(0, 2) || r.Typologies[0].After != ratio(3, 4) || r.Typologies[0].Delay.LostFen != 3000 || r.Exact[0].Precision != ratio(0, 2) {
		t.Errorf("%+v, exact %+v", r.Typologies[0], r.Exact)
	}
	s.fraud("fuel", "fuel-cap", "price", "T22", "m2", "c3", "20 11:00", "r5:10")
	s.find("T22", "merchant m2", "20 11:00", 700, "r5", "m2")
	if r, err = s.report(t); err != nil {
		t.Fatal(err)
	}
	if r.Typologies[0].Name != "fuel-cap" || r.Typologies[0].Cases != ratio(1, 1) {
		t.Errorf("a fraud with the code of an exact rule: %+v", r.Typologies[0])
	}
}

func TestOtherFraudIsNeitherFoundNorHonest(t *testing.T) {
	s := &small{}
	s.pay("a", "m1", "c1", "20 10:00", 5000, 700)
	s.pay("b", "m2", "c2", "20 10:00", 5000, 900)
	s.pay("c", "m3", "c3", "20 10:00", 5000, 5)
	s.pay("d", "m4", "c4", "20 10:00", 5000, 668)
	s.fraud("x", "split", "split", "T01", "m1", "c1", "20 10:00", "a:1")
	s.fraud("y", "fuel-cap", "price", "T22", "m2", "c2", "20 10:00", "b:1")
	s.labels["violations"] = map[string]string{"d": "T22"}
	s.find("T22", "merchant m2", "20 10:00", 668, "b", "m2")
	s.find("T22", "merchant m4", "20 10:00", 700, "d", "m4")
	r, err := s.report(t)
	if err != nil {
		t.Fatal(err)
	}
	// Ours on baskets; then ours on merchants, where that with the labelled breach is left out.
	for unit, items := range map[string]int{"basket": 2, "merchant": 3} {
		i := slices.IndexFunc(r.Boards, func(b Board) bool { return b.Unit == unit })
		if b := r.Boards[i]; b.Items != items || b.Rankings[0].AP != 1 || b.Review.Precision != ratio(1, 1) {
			t.Errorf("%s: %d items, AP %v, precision %v", unit, b.Items, b.Rankings[0].AP, b.Review.Precision)
		}
	}
}

// TestTheFalseBudgetWeighsEvidenceAgainstSubjects: on the 20th six customer-merchants and three merchants
// were active, so exp(6) = 403 passes 9/.1; on the 22nd nobody was, and one finding is one test.
func TestTheFalseBudgetWeighsEvidenceAgainstSubjects(t *testing.T) {
	s := twoSplits()
	s.findings[0] = strings.Replace(s.findings[0], `"weight":6`, `"weight":4`, 1) // 54.6
	s.find("T01", "pair m1 c2", "20 10:20", 700, "r3 r4", "m1")                   // 403, false
	r, err := s.report(t)
	if err != nil {
		t.Fatal(err)
	}
	want := []FalseBudget{
		{"count", .1, 2, ratio(1, 2), 1, ratio(1, 2)}, // 403 on the 20th (≥ 90) and on the 22nd (≥ 10)
		{"count", 1, 3, ratio(1, 3), 1, ratio(2, 2)},
		{"count", 5, 3, ratio(1, 3), 1, ratio(2, 2)},
		{"share", .05, 2, ratio(1, 2), 1, ratio(1, 2)}, // the first alone passes 180, with the second 90 is needed
		{"share", .2, 3, ratio(1, 3), 1, ratio(2, 2)},  // the second passes 9/(.2·2)
	}
	if diff := cmp.Diff(want, r.FalseBudget); diff != "" {
		t.Errorf("false budget (-want +got):\n%s", diff)
	}
}

func TestDaysAreHeldAgainstDaysLikeThem(t *testing.T) {
	// Working days all alike, weekends all alike but otherwise; day 19253 was a Sunday.
	days := map[int32][]int{}
	for d := int32(19245); d < 19275; d++ {
		days[d] = []int{300, 100}
		if weekend(d) {
			days[d] = []int{100, 300}
		}
	}
	w := &World{}
	d, ok := w.compare(days)
	if !ok || d.Watch+d.Act > 0 || d.Days != 28 {
		t.Errorf("without drift: %+v, %v", d, ok)
	}
	days[19270] = []int{230, 170}
	days[19271] = []int{20, 380}
	d, _ = w.compare(days)
	if d.Watch != 1 || d.Act != 1 || d.WorstDay != "2022-10-06" {
		t.Errorf("with drift: %+v", d)
	}
	days[19274] = []int{0, 5} // too few to say
	if d, _ = w.compare(days); d.Days != 27 {
		t.Errorf("with a quiet day: %+v", d)
	}
}

// worldOfCases has a detector that tells and one that does not.
func worldOfCases(seed uint64) *Report {
	r := rand.New(rand.NewPCG(seed, 1))
	out := &Report{weights: map[string]float64{"tells": .6, "noise": .6}, prior: -5.3}
	for i := range 250 {
		x := exhibit{right: i%8 == 0, evidence: map[string]float64{"noise": 10 * r.Float64()}}
		x.evidence["tells"] = 5 * r.Float64()
		if x.right {
			x.evidence["tells"] += 4
		}
		out.subjects = append(out.subjects, x)
	}
	return out
}

func TestVerdictsTeachWhatTells(t *testing.T) {
	var reports []*Report
	for seed := range uint64(5) {
		reports = append(reports, worldOfCases(seed))
	}
	table := learning(reports)
	var aps []float64
	for _, l := range table {
		aps = append(aps, l.AP)
	}
	if len(table) != 4 || slices.Min(aps[1:]) < aps[0]+.1 {
		t.Fatalf("average precision with 0, 20, 60 and 120 verdicts: %v", aps)
	}
	last := table[3]
	if last.Given != 120 || last.Weights["noise"] > .2 || last.Weights["tells"] < .6 {
		t.Errorf("after 120 verdicts: %+v", last)
	}
	// Twelve of 120 are drawn from what the queue left at the time, which is mostly honest.
	if last.Random.N != 60 || last.Cases != ratio(160, 1250) || last.Left.N != 5*130 || last.Random.Value > .1 || last.Left.Value > .01 {
		t.Errorf("random %+v, left %+v", last.Random, last.Left)
	}
	if again := learning(reports); !cmp.Equal(table, again) {
		t.Errorf("again it is otherwise:\n%s", cmp.Diff(table, again))
	}
	// What is learned where one detector tells is of no use where the other does.
	other := worldOfCases(7)
	for _, x := range other.subjects {
		x.evidence["tells"], x.evidence["noise"] = x.evidence["noise"], x.evidence["tells"]
	}
	if l := learning([]*Report{reports[0], other}); l[3].AP > .3 {
		t.Errorf("average precision where it does not hold: %v", l[3].AP)
	}
	if learning(reports[:1]) != nil {
		t.Error("one world cannot be held out")
	}
}
