package detectors_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"voucherwatch/simulate"
)

const bowlLine = `,"lines":[{"sku":"bowl","name":"刀削面","quantity":1,"unit_price_fen":1800,"amount_fen":1800}]`

// evenings is a town of restaurants that send receipt lines, with guests who come now and then, over
// twelve days; the case adds its own shop, "here".
func evenings(t testing.TB, seed uint64) (*told, *rand.Rand) {
	r := rand.New(rand.NewPCG(seed, 31))
	x := &told{c: gaoping(t)}
	x.shop("here", "hospitality", `,"opens_at":"09:00","closes_at":"23:00"`)
	for m := range 12 {
		x.shop(fmt.Sprintf("m%d", m), "hospitality", "")
		for day := range 12 {
			for range 6 + r.IntN(8) {
				x.dine(r, day, 660+r.IntN(570), fmt.Sprintf("u%d", r.IntN(1500)), fmt.Sprintf("m%d", m), bill(r))
			}
		}
	}
	return x, r
}

// bill is what a table has eaten, in fen, at least ¥50.
func bill(r *rand.Rand) int { return max(5000, int(8500*math.Exp(.6*r.NormFloat64()))) }

// dine redeems the dearest voucher that the bill allows, four in five times, with lines, some time after
// the claim.
func (x *told) dine(r *rand.Rand, day, minute int, who, shop string, order int) {
	voucher := "hospitality-50-10"
	if r.IntN(5) > 0 {
		switch {
		case order >= 50_000:
			voucher = "hospitality-500-100"
		case order >= 20_000:
			voucher = "hospitality-200-40"
		}
	}
	x.buy(day, minute, r.IntN(60), who, shop, voucher, order, bowlLine+x.claimed(day, minute-20-r.IntN(200))+device(who))
}

func device(who string) string { return fmt.Sprintf(`,"device_id":"phone-of-%s"`, who) }

func (x *told) claimed(day, minute int) string {
	return fmt.Sprintf(`,"claimed_at":%q`, x.at(day, minute).Format(time.RFC3339))
}

func TestCashoutAndWhatLooksLikeIt(t *testing.T) {
	for _, tt := range []struct {
		name  string
		found bool
		shop  func(x *told, r *rand.Rand)
	}{
		{"a kitchen that stays cold: evenings of the dearest vouchers, a dozen faces, no receipts", true, func(x *told, r *rand.Rand) {
			for day := range 12 {
				for range 3 {
					x.dine(r, day, 700+r.IntN(300), fmt.Sprintf("guest%d", r.IntN(400)), "here", bill(r))
				}
				if day < 4 {
					continue
				}
				for i := range 12 {
					who := fmt.Sprintf("face%d", (i+day)%14)
					x.buy(day, 1200+i*2, r.IntN(60), who, "here", "hospitality-500-100", 50_000+r.IntN(3)*1000, x.claimed(day, 1195+i*2)+fmt.Sprintf(`,"device_id":"phone%d"`, i%3))
				}
			}
		}},
		{"a canteen with twenty-five regulars", false, func(x *told, r *rand.Rand) {
			for day := range 12 {
				for u := range 25 {
					if r.IntN(5) > 0 {
						x.dine(r, day, 700+r.IntN(60), fmt.Sprintf("regular%d", u), "here", 5000+100*r.IntN(12))
					}
				}
			}
		}},
		{"a shop with one price at the threshold, which never sent a receipt line", false, func(x *told, r *rand.Rand) {
			for day := range 12 {
				for i := range 15 {
					who := fmt.Sprintf("bather%d", r.IntN(900))
					x.buy(day, 600+i*45, 0, who, "here", "hospitality-50-10", 5000, x.claimed(day, 590+r.IntN(9))+device(who))
				}
			}
		}},
		{"a banquet: ten guests with the dearest voucher within twenty minutes", false, func(x *told, r *rand.Rand) {
			for day := range 12 {
				for range 6 {
					x.dine(r, day, 700+r.IntN(500), fmt.Sprintf("guest%d", r.IntN(400)), "here", bill(r))
				}
			}
			for i := range 10 {
				who := fmt.Sprintf("colleague%d", i)
				x.buy(8, 1180+i*2, 0, who, "here", "hospitality-500-100", 51_000+r.IntN(9000), bowlLine+x.claimed(8, 900+i)+device(who))
			}
		}},
		{"an opening promotion: a crowd from the first day, real goods", false, func(x *told, r *rand.Rand) {
			for day := 5; day < 12; day++ {
				for i := range 70 {
					who := fmt.Sprintf("curious%d", r.IntN(3000))
					x.buy(day, 660+i*8, r.IntN(60), who, "here", "hospitality-50-10", 5500+100*r.IntN(30), bowlLine+x.claimed(day, 640+i*8)+device(who))
				}
			}
		}},
		{"a restaurant like any other", false, func(x *told, r *rand.Rand) {
			for day := range 12 {
				for range 10 {
					x.dine(r, day, 660+r.IntN(570), fmt.Sprintf("guest%d", r.IntN(800)), "here", bill(r))
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(4) {
				x, r := evenings(t, seed)
				tt.shop(x, r)
				got := runAll(t, x.c, x.batch(t), only("cashout", defaultSettings(t)), 2, 1000)
				found := false
				for _, f := range got.last {
					if f.Subject.ID != "here" {
						t.Errorf("seed %d: honest %s is found: %s", seed, f.Subject.ID, f.Reasons[0].Text.En)
						continue
					}
					found = true
					if !tt.found {
						t.Errorf("seed %d: found, score %d: %s", seed, f.Score, f.Reasons[0].Text.En)
					}
					if f.Typology != "T06" || f.Subject.Kind != "merchant" || f.Score < 600 || len(f.RedemptionIDs) < 20 {
						t.Errorf("seed %d: %s of %s, score %d, rests on %d", seed, f.Typology, f.Subject.Kind, f.Score, len(f.RedemptionIDs))
					}
				}
				if tt.found && !found {
					t.Errorf("seed %d: not found", seed)
				}
				if !tt.found && got.stats.Bands[1]+got.stats.Bands[2] != 0 {
					t.Errorf("seed %d: %v redemptions in low, review, high", seed, got.stats.Bands)
				}
			}
		})
	}
}

// On worlds without fraud but with every look-alike, H13 to H17 included, no merchant comes to review, and
// leads below it stay under one in ten thousand redemptions.
func TestCashoutOnHonestCampaigns(t *testing.T) {
	leads, scored := 0, int64(0)
	for seed := uint64(11); seed < 15; seed++ {
		c := gaoping(t)
		r := runAll(t, c, worldOf(t, simulate.Options{Campaign: c, Seed: seed, Scale: .15, NoFraud: true}), only("cashout", defaultSettings(t)), 2, 4096)
		for _, f := range r.last {
			if leads++; f.Score >= 600 {
				t.Errorf("seed %d: %s %s, score %d: %s", seed, f.Typology, f.Subject.ID, f.Score, f.Reasons[0].Text.En)
			}
		}
		scored += r.stats.Scored
	}
	if int64(leads) > scored/10_000 {
		t.Errorf("%d findings in %d honest redemptions", leads, scored)
	}
}

// Property: a shop with one price raises no alarm, whatever the price, however many come for it, and even
// when now and then somebody pays for two.
func TestAFixedPriceNeverAlarms(t *testing.T) {
	for _, price := range []int{5000, 5001, 5100, 5500, 6800, 9900, 15_000, 19_900, 20_000, 20_100, 30_000, 50_000} {
		for _, crowd := range []int{5, 25} {
			x, r := evenings(t, uint64(price))
			voucher := "hospitality-50-10"
			if price >= 20_000 {
				voucher = "hospitality-200-40"
			}
			for day := range 12 {
				today := r.Perm(900) // nobody comes twice on a day, but for those who pay for two
				for i := range crowd {
					who, minute := fmt.Sprintf("bather%d", today[i]), 600+i*(700/crowd)
					more := bowlLine + x.claimed(day, minute-30) + device(who)
					x.buy(day, minute, 0, who, "here", voucher, price, more)
					if day > 3 && r.IntN(20) == 0 {
						x.buy(day, minute+2, 0, who, "here", voucher, price, more)
					}
				}
			}
			all := x.batch(t)
			for _, detector := range []string{"cashout", "split"} {
				got := runAll(t, x.c, all, only(detector, defaultSettings(t)), 2, 1000)
				for _, f := range got.last {
					t.Errorf("%d customers a day pay %d fen: %s finds %s with %q, score %d: %s", crowd, price, detector, f.Subject.ID, f.Subject.With, f.Score, f.Reasons[0].Text.En)
				}
			}
		}
	}
}
