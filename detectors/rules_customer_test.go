package detectors

import (
	"errors"
	"math/rand/v2"
	"testing"

	vw "voucherwatch"
)

// Whatever the order of arrival, the place of a voucher that was counted last of all is its place by the
// time of its claim.
func TestPlaceOfAClaimDoesNotDependOnArrival(t *testing.T) {
	c := rulesCampaign()
	at := rulesMoment(t, "2022-09-22 10:00:00")
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		detector, _ := rulesDetector(t, "rules_customer", c)
		d := detector.(*rulesCustomer)
		n := 1 + random.IntN(12)
		event := func(k int) *vw.Event { return &vw.Event{Customer: vw.Ref{Key: 5}, Voucher: vw.Ref{Key: uint64(k + 1)}} }
		for _, k := range random.Perm(n) {
			if random.IntN(2) == 0 { // redeemed before its claim is known
				d.count(event(k), at+vw.Hour+vw.Millis(k)*vw.Second)
			}
			d.count(event(k), at+vw.Millis(k)*vw.Second)
		}
		for k := range n {
			got, _ := d.count(event(k), at+vw.Millis(k)*vw.Second)
			if want := min(k+1, cycleVouchers+1); got != want {
				t.Fatalf("claim %d of %d has place %d, want %d", k+1, n, got, want)
			}
		}
	}
}

func TestCyclesAreForgotten(t *testing.T) {
	c := rulesCampaign()
	detector, _ := rulesDetector(t, "rules_customer", c)
	d := detector.(*rulesCustomer)
	at := rulesMoment(t, "2022-09-22 12:00:00")
	for n := range uint64(1000) {
		d.Visit(rulesVisit(c, rulesBatch(), n+1, at))
	}
	d.Sweep(at + 10*vw.Day) // the round ended three days before
	if d.cycles.Len() != 1000 {
		t.Errorf("%d cycles three days after the round, want 1000", d.cycles.Len())
	}
	d.Sweep(at + 11*vw.Day)
	if d.cycles.Len() != 0 {
		t.Errorf("%d cycles left", d.cycles.Len())
	}
}

func TestLimitThatCannotBeToldIsRefused(t *testing.T) {
	c := rulesCampaign()
	c.ClaimLimit = cycleVouchers
	_, err := New(Options{Campaign: c})
	if e, ok := errors.AsType[*vw.Error](err); !ok || e.Code != vw.Invalid {
		t.Errorf("got %v, want an Invalid error", err)
	}
}
