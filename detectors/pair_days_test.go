package detectors

import (
	"testing"

	vw "voucherwatch"
)

// A redemption that comes a little late, after midnight has passed, is not a further day out.
func TestLateRedemptionsAroundMidnightAreNoFurtherDays(t *testing.T) {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "pair", c)
	d := got.(*pair)
	var v *Visit
	for _, at := range []string{"2022-09-22 23:50:00", "2022-09-23 00:05:00", "2022-09-22 23:55:00", "2022-09-23 00:10:00", "2022-09-22 23:58:00", "2022-09-23 00:15:00"} {
		v = rulesVisit(c, rulesBatch(), 1, rulesMoment(t, at))
		d.Visit(v)
	}
	p := d.env.Ledger.customers.Find(v.Event.Customer.Key)
	if days := p.uses[0].days; days != 2 || p.days != 2 {
		t.Errorf("%d days at the shop of %d days out, want 2 of 2", days, p.days)
	}
}

// Of the further days of a shop's customers those spent there are a part, whoever comes in which order.
func TestFurtherDaysAreCountedPerMerchant(t *testing.T) {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "pair", c)
	d := got.(*pair)
	told := uint64(0)
	visit := func(customer, merchant uint64, day int) {
		v := rulesVisit(c, rulesBatch(), customer, rulesMoment(t, "2022-09-20 12:00:00")+vw.Millis(day)*vw.Day)
		v.Event.Merchant.Key = merchant
		v.Merchant.Key = merchant
		told++
		v.Event.ID.Key = told
		d.Visit(v)
	}
	for day := range 5 { // customer 1 alternates: days 0, 2, 4 at shop 7, days 1, 3 at shop 8
		visit(1, uint64(7+day%2), day)
	}
	visit(1, 7, 4) // twice a day is one day
	visit(2, 7, 5) // a newcomer has no further days
	for merchant, want := range map[uint64]returns{7: {further: 4, here: 2}, 8: {further: 4, here: 1}} {
		if got := d.count[*d.env.Ledger.places.Find(merchant)]; got.further != want.further || got.here != want.here {
			t.Errorf("shop %d: %+v, want %+v", merchant, got, want)
		}
	}
	if n := d.histogram[vw.Fuel]; n[4][2] != 1 || n[3][1] != 1 || n[2][1] != 0 {
		t.Errorf("pairs by further days and days here: %v", n)
	}
}

// Without a registry a merchant's line of business is what a voucher says, which differs from customer to
// customer: what is counted for it must not depend on which slot has which customers.
func TestCountsOfAnUnregisteredMerchantDoNotDependOnSlots(t *testing.T) {
	c := rulesCampaign()
	c.Vouchers[1] = vw.Voucher{Code: "retail-50-10", Category: vw.Retail, Threshold: 5000, Face: 1000}
	counted := func(slots int) (further, here [vw.Categories]int64) {
		var peers []Detector
		for range slots {
			d, _ := rulesDetector(t, "pair", c)
			peers = append(peers, d)
		}
		told := uint64(0)
		for day := range 4 {
			for customer := range uint64(6) {
				told++
				v := rulesVisit(c, rulesBatch(), 1+customer, rulesMoment(t, "2022-09-20 12:00:00")+vw.Millis(day)*vw.Day)
				v.Event.ID.Key, v.Merchant.Category, v.Voucher = told, vw.NoCategory, &c.Vouchers[customer%2]
				peers[customer%uint64(slots)].Visit(v)
			}
		}
		learnPair(peers, &Tick{NewDay: true})
		r := peers[0].(*pair).rates
		return r.further, r.here
	}
	further, here := counted(1)
	for _, slots := range []int{2, 3} {
		if f, h := counted(slots); f != further || h != here {
			t.Errorf("%d slots count %v and %v, one slot %v and %v", slots, f, h, further, here)
		}
	}
}
