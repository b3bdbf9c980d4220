package detectors_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// giveBack refunds the last redemption told, after so many minutes.
func (x *told) giveBack(day, minute int, who, shop string, fen int) {
	id := fmt.Sprint("r", len(x.lines)-1)
	at := x.at(day, minute)
	x.lines = append(x.lines, toldLine{at, fmt.Sprintf(`{"type":"refund","id":"x-%s","at":%q,"redemption_id":%q,"merchant_id":%q,"customer_id":%q,"refund_fen":%d,"voucher_returned":false}`, id, at.Format(time.RFC3339), id, shop, who, fen)})
}

// A trade whose shops take back the given share of what they sell, over a month; who is found?
func refundTrade(t *testing.T, seed uint64, share func(shop int) float64) map[string]bool {
	r := rand.New(rand.NewPCG(seed, 41))
	x := &told{c: gaoping(t)}
	for m := range 20 {
		shop := fmt.Sprintf("m%d", m)
		x.shop(shop, "appliance", "")
		for day := range 30 {
			for range 4 {
				who := fmt.Sprintf("u%d", r.IntN(4000))
				minute := 600 + r.IntN(600)
				x.buy(day, minute, 0, who, shop, "appliance-600-120", 61_000+100*r.IntN(900), "")
				if r.Float64() < share(m) {
					x.giveBack(day, minute+30+r.IntN(60), who, shop, 50_000)
				}
			}
		}
	}
	found := map[string]bool{}
	for _, f := range runAll(t, x.c, x.batch(t), only("refund_loop", defaultSettings(t)), 2, 500).last {
		found[f.Subject.ID] = true
	}
	return found
}

func TestReturnsOfATradeAndOfAnArbitrageur(t *testing.T) {
	for _, tt := range []struct {
		name  string
		share func(shop int) float64
		found int // shops
	}{
		{"a trade that takes back two in a hundred", func(int) float64 { return .02 }, 0},
		{"a season in which everybody takes back eight", func(int) float64 { return .08 }, 0},
		{"one shop that takes back twice as much as the others", func(m int) float64 {
			if m == 3 {
				return .06
			}
			return .03
		}, 0},
		{"one shop that takes back half", func(m int) float64 {
			if m == 3 {
				return .5
			}
			return .02
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(5) {
				found := refundTrade(t, seed, tt.share)
				if len(found) != tt.found || tt.found == 1 && !found["m3"] {
					t.Errorf("seed %d: found %v, want %d", seed, found, tt.found)
				}
			}
		})
	}
}

// What a finding of refunds names is what those redemptions cost, each once, and a pair is counted from its first
// redemption, not from its first refund.
func TestRefundsAreCountedByRedemption(t *testing.T) {
	x := &told{c: gaoping(t)}
	x.shop("tv", "appliance", "")
	for i := range 60 {
		x.buy(i/10, 610+i%10*30, 0, fmt.Sprintf("guest%d", i), "tv", "appliance-600-120", 61_000+100*i, "")
	}
	for i := range 3 { // three redemptions that stand
		x.buy(6, 610+i*30, 0, "wu", "tv", "appliance-600-120", 60_000, "")
	}
	for i := range 6 {
		x.buy(7+i, 610, 0, "wu", "tv", "appliance-600-120", 60_000, "")
		x.giveBack(7+i, 640, "wu", "tv", 20_000)
		last := x.lines[len(x.lines)-1]
		last.at = last.at.Add(time.Hour) // the rest of the money, in a refund of its own
		last.text = strings.Replace(last.text, `"id":"x-`, `"id":"y-`, 1)
		x.lines = append(x.lines, last)
	}
	var pairs, shops int
	for _, f := range runAll(t, x.c, x.batch(t), only("refund_loop", defaultSettings(t)), 2, 500).last {
		r := f.Reasons[0]
		switch f.Subject.Kind {
		case "pair":
			pairs++
			if r.Observed != 6 || !strings.Contains(r.Text.En, "6 of this customer's 9 redemptions") {
				t.Errorf("the pair: %s", r.Text.En)
			}
		case "merchant":
			shops++
			if r.Observed != 6 {
				t.Errorf("the shop: %s", r.Text.En)
			}
		}
		if len(f.RedemptionIDs) != 6 || f.SubsidyFen != 6*12_000 {
			t.Errorf("%s %s: %d redemptions, %d fen", f.Subject.Kind, f.Subject.ID, len(f.RedemptionIDs), f.SubsidyFen)
		}
	}
	if pairs != 1 || shops != 1 {
		t.Errorf("%d pairs and %d shops are found, want one each", pairs, shops)
	}
}
