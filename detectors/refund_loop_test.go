package detectors_test

import (
	"fmt"
	"math/rand/v2"
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
