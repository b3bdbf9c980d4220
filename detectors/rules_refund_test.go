package detectors

import (
	"testing"

	vw "voucherwatch"
)

func TestRefundsAreForgottenAfterTheHorizon(t *testing.T) {
	c := rulesCampaign()
	detector, _ := rulesDetector(t, "rules_refund", c)
	d := detector.(*rulesRefund)
	start := rulesMoment(t, "2022-09-22 12:00:00")
	for day := range 90 {
		now := start + vw.Millis(day)*vw.Day
		for n := range uint64(100) {
			v := rulesVisit(c, rulesBatch(), uint64(day)*100+n+1, now)
			d.Visit(v)
			stray := &vw.Event{Type: vw.RefundEvent, Merchant: v.Event.Merchant, Target: vw.Ref{Key: n<<30 | 9}, Amount: 1}
			d.Apply(v.Batch, stray, now)
		}
		learnRulesRefund([]Detector{d}, &Tick{Now: now})
		d.Sweep(now)
		if keys, _ := d.Size(); keys > 31*100+3*100 {
			t.Fatalf("day %d: %d redemptions and refunds held", day, keys)
		}
	}
}
