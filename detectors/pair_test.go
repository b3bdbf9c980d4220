package detectors_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	vw "voucherwatch"
	"voucherwatch/detectors"
	"voucherwatch/rules"
)

// stream of purchases that a test tells one by one, as NDJSON in order of time.
type told struct {
	c     *vw.Campaign
	lines []toldLine
}

type toldLine struct {
	at   time.Time
	text string
}

// day and minute count from the campaign's first day at midnight.
func (x *told) at(day, minute int) time.Time {
	return time.Unix(int64(x.c.Start+day)*86400, 0).UTC().Add(time.Duration(minute)*time.Minute - 8*time.Hour).In(x.c.Zone)
}

func (x *told) shop(id, category, more string) {
	at := x.at(-1, 540)
	x.lines = append(x.lines, toldLine{at, fmt.Sprintf(`{"type":"merchant","id":"reg-%s","at":%q,"merchant_id":%q,"name":%q,"category":%q,"status":"active","dishonest":false,"district":"140581"%s}`, id, at.Format(time.RFC3339), id, id, category, more)})
}

// buy tells a redemption of the voucher type by its order in fen; more are further fields.
func (x *told) buy(day, minute, second int, who, shop, voucher string, order int, more string) {
	at := x.at(day, minute).Add(time.Duration(second) * time.Second)
	face := int(x.c.Vouchers[x.c.VoucherIndex(voucher)].Face)
	id := fmt.Sprint("r", len(x.lines))
	x.lines = append(x.lines, toldLine{at, fmt.Sprintf(`{"type":"redemption","id":%q,"at":%q,"voucher_id":"v-%s","voucher_type":%q,"customer_id":%q,"merchant_id":%q,"order_fen":%d,"discount_fen":%d,"paid_fen":%d%s}`,
		id, at.Format(time.RFC3339), id, voucher, who, shop, order, face, order-face, more)})
}

func (x *told) batch(t testing.TB) vw.Batch {
	t.Helper()
	slices.SortStableFunc(x.lines, func(a, b toldLine) int { return a.at.Compare(b.at) })
	var b strings.Builder
	for _, l := range x.lines {
		b.WriteString(l.text + "\n")
	}
	all := decode(t, x.c, []byte(b.String()))
	for _, d := range all.Dead {
		t.Fatalf("the test has a line that is %s: %s\n%s", d.Code, d.Reason, d.Raw)
	}
	return all
}

// defaultSettings are those of the policy that the program ships with.
func defaultSettings(t testing.TB) detectors.Settings {
	t.Helper()
	p, err := rules.Load("default")
	if err != nil {
		t.Fatal(err)
	}
	s := detectors.Settings{Version: p.Version, Prior: p.Score.PriorLogOdds, Review: p.Score.Review, High: p.Score.High, Detectors: map[string]detectors.Setting{}, Hard: map[string]float64{}, Params: p.Params, Severity: p.Severity}
	for name, d := range p.Detectors {
		s.Detectors[name] = detectors.Setting{Enabled: d.Enabled, Weight: d.Weight, Cap: d.Cap}
	}
	return s
}

// pairTown is five weeks of a town: people go out now and then, mostly somewhere else; two of forty
// shops are canteens with a dozen regulars each; and one customer of an ordinary restaurant comes back every time.
func pairTown(t testing.TB, seed uint64) vw.Batch {
	r := rand.New(rand.NewPCG(seed, 21))
	x := &told{c: gaoping(t)}
	for m := range 40 {
		x.shop(fmt.Sprintf("m%d", m), "hospitality", "")
	}
	for u := range 500 {
		often := .1 + .4*r.Float64()
		canteen := 20 * r.IntN(2)
		regular := u%20 == 0
		for day := range 35 {
			if r.Float64() > often {
				continue
			}
			m := r.IntN(40)
			if regular && r.Float64() < .8 {
				m = canteen
			} else if m%20 == 0 {
				m++
			}
			x.buy(day, 660+r.IntN(600), r.IntN(60), fmt.Sprintf("u%d", u), fmt.Sprintf("m%d", m), "hospitality-50-10", 5200+r.IntN(6000), "")
		}
	}
	for day := range 35 {
		if day%3 != 2 {
			x.buy(day, 1200, 0, "partner", "m7", "hospitality-50-10", 5600, "")
		}
	}
	return x.batch(t)
}

func TestAFixedPartnerStandsOutAndCanteenRegularsDoNot(t *testing.T) {
	for seed := range uint64(3) {
		all := pairTown(t, seed)
		c := gaoping(t)
		settings := only("pair", defaultSettings(t))
		r := runAll(t, c, all, settings, 2, 1000)
		found := false
		for _, f := range r.last {
			if f.Subject.With == "partner" && f.Subject.ID == "m7" && f.Typology == "P01" && f.Subject.Kind == "pair" {
				found = true
				continue
			}
			t.Errorf("seed %d: %s and %s are found: %s", seed, f.Subject.ID, f.Subject.With, f.Reasons[0].Text.En)
		}
		if !found {
			t.Errorf("seed %d: the partner of m7 is not found: %s", seed, lastOf(t, r, "partner"))
		}
		// An indicator: alone it puts nobody before an investigator.
		if r.stats.Bands[1]+r.stats.Bands[2] != 0 {
			t.Errorf("seed %d: %v redemptions in low, review, high by repetition alone", seed, r.stats.Bands)
		}
	}
}

// Property: whatever pair says, under the shipped policy it stays below review.
func TestARepeatedPairAloneNeverReachesReview(t *testing.T) {
	s := defaultSettings(t)
	d := s.Detectors["pair"]
	if most := 1000 / (1 + math.Exp(-(s.Prior + d.Weight*d.Cap))); most >= float64(s.Review) {
		t.Errorf("a pair can reach %.0f, review begins at %d", most, s.Review)
	}
	// Every k of every n, in a town where hardly anybody comes back.
	for _, n := range []int{3, 4, 6, 10, 20, 35} {
		for k := 2; k <= n; k++ {
			x := &told{c: gaoping(t)}
			for u := range 60 {
				for day := range 4 {
					x.buy(day, 660+u, 0, fmt.Sprintf("u%d", u), fmt.Sprintf("m%d", (u+day*(1+u%7))%50), "hospitality-50-10", 7000, "")
				}
			}
			for day := range n + 1 {
				shop := "m99"
				if day > k {
					shop = fmt.Sprintf("m%d", day)
				}
				x.buy(4+day, 800, 0, "partner", shop, "hospitality-50-10", 5600, "")
			}
			r := runAll(t, x.c, x.batch(t), only("pair", defaultSettings(t)), 1, 5000)
			if r.stats.Bands[1]+r.stats.Bands[2] != 0 {
				t.Fatalf("%d of %d further days: %v redemptions in low, review, high", k, n, r.stats.Bands)
			}
		}
	}
}

// lastOf is the last that was said of a customer's redemptions.
func lastOf(t *testing.T, r *ran, customer string) (said string) {
	for _, s := range scoresOf(t, r.scores) {
		if s.CustomerID == customer {
			said = "nothing"
			if len(s.Reasons) > 0 {
				said = fmt.Sprintf("%d, %s", s.Score, s.Reasons[0].Text.En)
			}
		}
	}
	return said
}
