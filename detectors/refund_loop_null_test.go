package detectors

import (
	"testing"

	vw "voucherwatch"
)

// A trade in which shops differ allows more of each than one in which all take back alike.
func TestSpreadOfATradeIsLearned(t *testing.T) {
	spread := func(share func(shop int) float64) float64 {
		c := rulesCampaign()
		d := &refundLoop{null: &refundNull{}, env: &Env{Campaign: c}}
		for c := range d.null.spread {
			d.null.spread[c] = 1
		}
		for m := range 40 {
			p, _ := d.shops.Get(uint64(m + 1))
			*p = &refundShop{sales: make([]sale, 100), refunds: int32(100 * share(m)), category: vw.Retail}
		}
		learnRefunds([]Detector{d}, &Tick{NewDay: true, Campaign: c})
		return d.null.spread[vw.Retail]
	}
	alike := spread(func(int) float64 { return .1 })
	differ := spread(func(m int) float64 { return .05 + .1*float64(m%2) })
	if alike != spreadLeast || differ < .8 || differ > 1.1 {
		t.Errorf("shops that are alike spread by %.2f, want %v; between 5 and 15 %% by %.2f, want about 1", alike, spreadLeast, differ)
	}
}
