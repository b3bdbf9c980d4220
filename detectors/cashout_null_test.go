package detectors

import (
	"fmt"
	"math"
	"testing"

	vw "voucherwatch"
)

// What a shop's arrivals are, against its own pace.
func TestArrivals(t *testing.T) {
	at := rulesMoment(t, "2022-09-22 12:00:00")
	for _, tt := range []struct {
		name  string
		seats int64
		gaps  []vw.Millis // after twelve, twenty minutes apart or so
		want  []int8
	}{
		{"the usual pace", -1, []vw.Millis{21 * vw.Minute, 15 * vw.Minute}, []int8{calm, calm}},
		{"a rush", -1, []vw.Millis{25 * vw.Second, 10 * vw.Second}, []int8{rush, rush}},
		{"a beat", -1, []vw.Millis{3 * vw.Minute, 181 * vw.Second, 3 * vw.Minute}, []int8{calm, beat, beat}},
		{"an hour between them is no beat", -1, []vw.Millis{vw.Hour, vw.Hour}, []int8{calm, calm}},
		{"more than three seats serve in a day", 3, []vw.Millis{21 * vw.Minute, 15 * vw.Minute}, []int8{full, full}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, now := &till{}, at
			arrive := func(gap vw.Millis) int8 {
				now += gap
				s.trade++
				return s.arrival(&Visit{T: now}, &Profile{Seats: tt.seats})
			}
			for i := range 12 {
				arrive(vw.Millis(17+i*5%7) * vw.Minute)
			}
			for i, gap := range tt.gaps {
				if got := arrive(gap); got != tt.want[i] {
					t.Errorf("arrival %d is %d, want %d", i, got, tt.want[i])
				}
			}
		})
	}
}

// Vouchers of care that were used before say nothing of the pace of others.
func TestBalancesAreNoArrivals(t *testing.T) {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "cashout", c)
	d := got.(*cashout)
	for n := range uint64(20) {
		v := rulesVisit(c, rulesBatch(), n+1, rulesMoment(t, "2022-09-22 12:00:00")+vw.Millis(n)*vw.Minute)
		v.Voucher = &c.Vouchers[1]
		d.Visit(v)
	}
	if s := d.till(7<<20 | 1); s.total != 20 || s.trade != 0 || s.last != 0 {
		t.Errorf("after 20 balances the shop has %d redemptions, %d in trade, the last at %d", s.total, s.trade, s.last)
	}
}

// What shows several marks of cash-out teaches the shop's own null a quarter of what others teach, so that a
// fraud is not its own excuse; and what is told of a shop stays told when it goes on.
func TestCashoutIsNotItsOwnExcuse(t *testing.T) {
	c := rulesCampaign()
	got, env := rulesDetector(t, "cashout", c)
	d := got.(*cashout)
	env.settings.Prior = -5.3
	b := rulesBatch()
	n := uint64(0)
	visit := func(day, minute int, customer uint64, fraud bool) *Visit {
		n++
		v := rulesVisit(c, b, customer, rulesMoment(t, "2022-09-20 10:00:00")+vw.Millis(day)*vw.Day+vw.Millis(minute)*vw.Minute)
		v.Event.ID.Key, v.Event.Device.Key = n<<20|1, customer<<9|1
		v.Event.ClaimedAt = v.T - vw.Hour
		v.Over, v.Event.OrderFen = .35, 27_000+vw.Fen(n)
		if fraud {
			v.Over, v.Event.OrderFen = .003, 20_000+vw.Fen(n)
			v.Event.Has &^= vw.FieldLines
			v.Event.ClaimedAt = v.T - vw.Minute
		}
		d.Visit(v)
		return v
	}
	for i := range 60 { // honest first: the shop sends lines
		visit(i/20, i*7%600, uint64(1000+i), false)
	}
	s := d.till(7<<20 | 1)
	before := s.habit.n[byAmount]
	var levels []float64
	for i := range 60 {
		visit(3+i/20, 400+i%20, uint64(10+i%8+100*(i/8%3)), true)
		if i%20 == 19 {
			levels = append(levels, s.level)
		}
	}
	if honest, fraud := before, s.habit.n[byAmount]-before; honest != 60*4 || fraud > 60 {
		t.Errorf("60 honest redemptions teach %v quarters, 60 of cash-out %v", honest, fraud)
	}
	for i, level := range levels {
		if level < d.Alarm || i > 0 && level < levels[i-1]-.01 {
			t.Errorf("evidence after each evening %.1f, alarm at %.1f", levels, d.Alarm)
			break
		}
	}
	if len(*env.found) == 0 {
		t.Error("nothing is found")
	}
}

// Property: a shop whose habit looks like cash-out, and nothing else, is worth no evidence in the long run,
// whatever the habit is, and neither is a large shop of which the nulls are wrong.
func TestAHabitIsItsOwnNull(t *testing.T) {
	for _, ratio := range []float32{1.5, 4, 20} {
		h := habit{}
		for range 4000 {
			h.n[byAmount] += 4
			h.sum[byAmount] += 4 * ratio
		}
		if left := math.Log(float64(ratio)) - h.excuse(byAmount, 40); left > .02 || left < 0 {
			t.Errorf("after 4000 redemptions of ratio %v a further one counts %.3f", ratio, left)
		}
		s := till{}
		s.habit.all = 40_000
		s.habit.ratios[dealSide] = 40_000 * ratio
		if left := math.Log(float64(ratio) / s.mean(dealSide, 1)); left > .03 || left < 0 {
			t.Errorf("of 40000 redemptions of ratio %v a further one counts %.3f", ratio, left)
		}
	}
}

// What the goods look like is the shop's own way until it has shown another.
func TestReceiptsSpeakOnlyAgainstTheShopsOwnWay(t *testing.T) {
	h := habit{}
	fresh := h.excuse(byGoods, 40)
	for range 20 {
		h.n[byGoods] += 4
		h.sum[byGoods] += 4 * .6
	}
	if after := h.excuse(byGoods, 40); fresh != traitHigh[byGoods] || after > .25 {
		t.Errorf("a shop's way excuses %.2f at first, %.2f after twenty full receipts", fresh, after)
	}
}

// Two parts of one bill are no evidence; another customer's is.
func TestPartsOfABillTakeEvidenceBack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(v *Visit)
		back   bool
	}{
		{"the same customer", func(v *Visit) {}, true},
		{"another account on the same device", func(v *Visit) { v.Event.Customer.Key = 99 }, true},
		{"another account with the same card", func(v *Visit) { v.Event.Customer.Key, v.Event.Device.Key, v.Event.Card.Key = 99, 98, 5 }, true},
		{"another account on the device an hour later", func(v *Visit) { v.Event.Customer.Key = 99; v.T += vw.Hour; v.Minute += 60 }, false},
		{"somebody else", func(v *Visit) { v.Event.Customer.Key, v.Event.Device.Key = 99, 98 }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := rulesCampaign()
			got, _ := rulesDetector(t, "cashout", c)
			d := got.(*cashout)
			at := rulesMoment(t, "2022-09-22 12:00:00")
			visit := func(n uint64, change func(v *Visit)) {
				v := rulesVisit(c, rulesBatch(), 1, at+vw.Millis(n)*3*vw.Minute)
				v.Event.ID.Key, v.Event.Device.Key = n, 7
				change(v)
				d.Visit(v)
			}
			visit(1, func(v *Visit) { v.Event.Card.Key = 5 })
			s := d.till(7<<20 | 1)
			one := s.evidence[dealSide][2]
			if one <= 1 {
				t.Fatalf("the first part is worth %.2f, the test shows nothing", one)
			}
			visit(2, tt.change)
			if two := s.evidence[dealSide][2]; tt.back != (two < one) {
				t.Errorf("evidence %.2f after the first, %.2f after the second", one, two)
			}
		})
	}
}

// Property: the evidence against a shop shrinks by half in a week in which nothing happens.
func TestEvidenceOfAShopFades(t *testing.T) {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "cashout", c)
	d := got.(*cashout)
	s := d.till(1)
	for side := range s.evidence {
		for i := range s.evidence[side] {
			s.evidence[side][i] = 1e9
		}
	}
	s.weighEvidence()
	before := s.level
	for day := range 7 {
		learnCashout([]Detector{d}, &Tick{Day: day, NewDay: true, Campaign: c})
		learnCashout([]Detector{d}, &Tick{Day: day, Campaign: c}) // hours change nothing
	}
	if got := before - s.level; fmt.Sprintf("%.3f", got) != "0.693" {
		t.Errorf("a week takes %.3f off the logarithm, want 0.693", got)
	}
}

// Property: guests are found again whatever came between, and forgotten after their time.
func TestGuestsAreRemembered(t *testing.T) {
	var g guests
	for n := range uint64(5000) {
		x, isNew := g.get(guestTag(n))
		if !isNew {
			t.Fatalf("guest %d is taken for another", n)
		}
		x.day, x.n = uint16(n%100), uint8(n)
	}
	for _, oldest := range []uint16{0, 50, 99} {
		g.sweep(oldest)
		live := 0
		for n := range uint64(5000) {
			tag, found := guestTag(n), false
			for _, x := range g.slots {
				if x.tag == tag {
					found = x.n == uint8(n)
				}
			}
			if want := n%100 >= uint64(oldest); found != want {
				t.Fatalf("sweep to day %d: guest of day %d is there: %v", oldest, n%100, found)
			}
			if found {
				live++
			}
		}
		if g.n != live || len(g.slots) > max(guestsMin, 8*live) {
			t.Errorf("sweep to day %d: %d guests counted in %d places, %d there", oldest, g.n, len(g.slots), live)
		}
	}
}

func TestClosedShops(t *testing.T) {
	for _, tt := range []struct {
		name         string
		opens, shuts int
		minute       int
		want         bool
	}{
		{"within the hours", 600, 1320, 700, false},
		{"half an hour of grace", 600, 1320, 1350, false},
		{"long after closing", 600, 1320, 1351, true},
		{"before opening", 600, 1320, 569, true},
		{"open past midnight", 1080, 120, 60, false},
		{"a night bar in the morning", 1080, 120, 600, true},
		{"unknown hours", -1, -1, 200, false},
		{"round the clock", 0, 0, 200, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := closed(&Profile{OpensAt: tt.opens, ClosesAt: tt.shuts}, tt.minute); got != tt.want {
				t.Errorf("closed at minute %d: %v", tt.minute, got)
			}
		})
	}
}
