package detectors

import (
	"testing"

	vw "voucherwatch"
)

func TestWrongTime(t *testing.T) {
	detector, _ := rulesDetector(t, "rules_voucher", rulesCampaign())
	d := detector.(*rulesVoucher)
	for _, tt := range []struct {
		name, at, claimed string
		want              int
	}{
		{"in the afternoon of its day", "2022-09-22 15:00:00", "2022-09-22 10:00:01", onTime},
		{"at the second of the claim", "2022-09-22 10:00:01", "2022-09-22 10:00:01", onTime},
		{"by a till 90 seconds slow", "2022-09-22 11:58:30", "2022-09-22 12:00:00", onTime},
		{"by a till 91 seconds slow", "2022-09-22 11:58:29", "2022-09-22 12:00:00", beforeClaim},
		{"claimed and used before release", "2022-09-22 09:30:00", "2022-09-22 09:29:00", beforeRelease},
		{"in the last second of the day", "2022-09-22 23:59:59", "2022-09-22 10:00:01", onTime},
		{"by a till 89 seconds fast at midnight", "2022-09-23 00:01:29", "2022-09-22 10:00:01", onTime},
		{"90 seconds past midnight", "2022-09-23 00:01:30", "2022-09-22 10:00:01", expired},
		{"two days later", "2022-09-24 12:00:00", "2022-09-22 10:00:01", expired},
		{"in the day, its claim unknown", "2022-09-22 15:00:00", "", onTime},
		{"by a slow till at release, its claim unknown", "2022-09-22 09:58:30", "", onTime},
		{"before any release, its claim unknown", "2022-09-22 09:58:29", "", offHours},
		{"just past midnight, its claim unknown", "2022-09-23 00:01:29", "", onTime},
		{"in the night, its claim unknown", "2022-09-23 00:01:30", "", offHours},
		{"the day before the campaign", "2022-09-19 15:00:00", "2022-09-19 14:00:00", offCampaign},
		{"the day after the campaign", "2022-09-30 15:00:00", "2022-09-30 14:00:00", offCampaign},
		{"just past the campaign's last midnight", "2022-09-30 00:01:00", "2022-09-29 14:00:00", onTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claimed := vw.Millis(0)
			if tt.claimed != "" {
				claimed = rulesMoment(t, tt.claimed)
			}
			got, by := d.wrongTime(rulesMoment(t, tt.at), claimed)
			if got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
			if (got != onTime) != (by > 0) {
				t.Errorf("verdict %d by %d ms", got, by)
			}
		})
	}
}

// The redemption comes first and says nothing of its claim; the claim that follows tells that it was
// too early.
func TestClaimThatComesLaterTellsWhatWasWrong(t *testing.T) {
	c := rulesCampaign()
	for _, tt := range []struct {
		name, claimed string
		customer      uint64
		want          string
	}{
		{"claimed before, by the same customer", "2022-09-22 11:00:00", 1<<21 | 3, ""},
		{"claimed after", "2022-09-22 13:00:00", 1<<21 | 3, "C02"},
		{"claimed on another day", "2022-09-21 13:00:00", 1<<21 | 3, "C02"},
		{"claimed by another customer", "2022-09-22 11:00:00", 2<<21 | 3, "C05"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			detector, env := rulesDetector(t, "rules_voucher", c)
			d := detector.(*rulesVoucher)
			v := rulesVisit(c, rulesBatch(), 1, rulesMoment(t, "2022-09-22 12:00:00"))
			v.Event.Has &^= vw.FieldClaimedAt
			d.Visit(v)
			at := rulesMoment(t, tt.claimed)
			claim := &vw.Event{Type: vw.ClaimEvent, At: at, Customer: vw.Ref{Key: tt.customer}, Voucher: v.Event.Voucher}
			d.Apply(v.Batch, claim, at)
			d.Apply(v.Batch, claim, at)
			got := ""
			for _, f := range *env.found {
				got += f.Typology
			}
			if got != tt.want {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRulesVoucherMemoryIsBounded(t *testing.T) {
	c := rulesCampaign()
	c.End += 300 // all days are in the campaign
	detector, _ := rulesDetector(t, "rules_voucher", c)
	d := detector.(*rulesVoucher)
	start := rulesMoment(t, "2022-09-20 12:00:00")
	for day := range 60 {
		now := start + vw.Millis(day)*vw.Day
		for n := range uint64(500) {
			v := rulesVisit(c, rulesBatch(), uint64(day)*500+n+1, now)
			d.Visit(v)
			d.Apply(v.Batch, &vw.Event{Type: vw.RefundEvent, Target: v.Event.ID, Returned: true, At: now}, now)
		}
		learnClaims([]Detector{d}, &Tick{Now: now, Day: vw.DayOf(now, c.Offset()), NewDay: true, Campaign: c})
		d.Sweep(now)
		if live := d.uses.Len() + d.returned.Len() + d.claims.pending.Len(); live > 500*(4+4+4) {
			t.Fatalf("day %d: %d entries", day, live)
		}
	}
}
