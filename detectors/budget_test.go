package detectors

import (
	"strings"
	"testing"

	vw "voucherwatch"
)

func TestFindingOfABudgetStaysBounded(t *testing.T) {
	c := rulesCampaign()
	c.Rounds[0].Budget[vw.Fuel] = 4_000 * 10
	detector, env := rulesDetector(t, "budget", c)
	at := rulesMoment(t, "2022-09-22 12:00:00")
	for n := range uint64(1510) {
		v := rulesVisit(c, rulesBatch(), n+1, at)
		detector.Visit(v)
		if over := n >= 10; over != (v.n == 1) {
			t.Fatalf("redemption %d has %d signals", n+1, v.n)
		}
	}
	if len(*env.found) != 1 {
		t.Fatalf("%d findings before the hour, want 1", len(*env.found))
	}
	learnBudget([]Detector{detector}, &Tick{})
	learnBudget([]Detector{detector}, &Tick{}) // nothing new: nothing said
	if len(*env.found) != 2 {
		t.Fatalf("%d findings after the hour, want 2", len(*env.found))
	}
	f := (*env.found)[1].Found
	if len(f.Redemptions) != budgetListed || f.Subsidy != 1500*4_000 || !f.Replace {
		t.Errorf("%d redemptions listed, %s at stake, replace %v", len(f.Redemptions), f.Subsidy.Yuan(), f.Replace)
	}
	if en := f.Reasons[0].Text.En; !strings.Contains(en, "1500 redemption(s) beyond it (the first 1000 are listed)") {
		t.Errorf("the sentence hides that the list is cut: %s", en)
	}
}
