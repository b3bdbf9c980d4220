package detectors

import (
	"testing"

	vw "voucherwatch"
)

func TestOutside(t *testing.T) {
	for _, tt := range []struct {
		name, code string
		want       bool
	}{
		{"the county itself", "140581", false},
		{"a township of the county", "140581102", false},
		{"the next county", "140525", true},
		{"the prefecture that the county is in", "140500", false},
		{"the province that the county is in", "140000", false},
		{"another prefecture", "140400", true},
		{"another province", "410000", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := outside([]string{"140581"}, []byte(tt.code)); got != tt.want {
				t.Errorf("outside(%s) = %v", tt.code, got)
			}
		})
	}
	if outside(nil, []byte("140525")) {
		t.Error("a campaign that names no county has no outside")
	}
}

func TestRegistryWithGapsAccusesNobody(t *testing.T) {
	for _, tt := range []struct {
		name              string
		rows, seen, known int64
		want              bool
	}{
		{"no registry", 0, 0, 0, false},
		{"a registry, no trade so far", 5, 0, 0, true},
		{"few redemptions", 5, 49, 0, true},
		{"one in ten is of a stranger", 5, 1000, 900, true},
		{"more are strangers", 5, 1000, 899, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, _ := rulesDetector(t, "rules_merchant", rulesCampaign())
			b, _ := rulesDetector(t, "rules_merchant", rulesCampaign())
			d := a.(*rulesMerchant)
			d.rows, d.seen, d.known = tt.rows, tt.seen, tt.known
			learnRulesMerchant([]Detector{b, a}, &Tick{})
			if d.whole != tt.want || b.(*rulesMerchant).whole != tt.want {
				t.Errorf("whole is %v and %v, want %v", d.whole, b.(*rulesMerchant).whole, tt.want)
			}
		})
	}
}

// Rows of the lists may come in any order; what holds at a moment is what their own dates say.
func TestListRowsThatComeLateHoldFromTheirOwnTime(t *testing.T) {
	c := rulesCampaign()
	detector, _ := rulesDetector(t, "rules_merchant", c)
	d := detector.(*rulesMerchant)
	row := func(status, at string) {
		d.Apply(nil, &vw.Event{Type: vw.CreditListEvent, At: rulesMoment(t, at), Detail: &vw.CreditList{USCC: "X", Status: status, Basis: "列表"}}, 0)
	}
	row("removed", "2022-09-25 00:00:00")
	row("listed", "2022-09-22 00:00:00")
	for at, want := range map[string]uint8{"2022-09-24 12:00:00": 1, "2022-09-26 12:00:00": 0} {
		v := rulesVisit(c, rulesBatch(), 1, rulesMoment(t, at))
		v.Merchant.USCC = vw.HashString("X")
		d.Visit(v)
		if v.n != want {
			t.Errorf("%s: %d breaches, want %d", at, v.n, want)
		}
	}
}
