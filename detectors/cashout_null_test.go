package detectors

import (
	"fmt"
	"testing"

	vw "voucherwatch"
)

// A shop at which vouchers of 爱心 were used first is not a shop that has been open for fifty years.
func TestBurstIsMeasuredFromTheFirstPurchase(t *testing.T) {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "cashout", c)
	d := got.(*cashout)
	at := rulesMoment(t, "2022-09-22 12:00:00")
	ratio := func(balances int) float64 {
		s := &till{}
		last := 0.0
		for i := range 12 {
			s.total++
			if i < balances {
				continue
			}
			last = d.burst(&Visit{T: at + vw.Millis(i)*20*vw.Minute}, s)
		}
		return last
	}
	if with, without := ratio(10), ratio(0); with > without {
		t.Errorf("twenty minutes after the last are %.2f for a burst after balances, %.2f without", with, without)
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
		v.Over = .35
		if fraud {
			v.Over = 0
			v.Event.Has &^= vw.FieldLines
			v.Event.ClaimedAt = v.T - vw.Minute
			v.Event.Device.Key = 77
		}
		d.Visit(v)
		return v
	}
	for i := range 60 { // honest first: the shop sends lines
		visit(i/20, i*7%600, uint64(1000+i), false)
	}
	s := d.states[7<<20|1]
	before := s.n
	var levels []float64
	for i := range 60 {
		visit(3+i/20, 400+i%20, uint64(10+i%8), true)
		if i%20 == 19 {
			levels = append(levels, s.level)
		}
	}
	if honest, fraud := before, s.n-before; honest != 60*4 || fraud > 48 {
		t.Errorf("60 honest redemptions teach %d quarters, 60 of cash-out %d", honest, fraud)
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

// Property: the evidence against a shop shrinks by half in a week in which nothing happens.
func TestEvidenceOfAShopFades(t *testing.T) {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "cashout", c)
	d := got.(*cashout)
	s := &till{}
	for i := range s.evidence {
		s.evidence[i] = 1e9
	}
	s.weigh(3e9)
	d.states[1] = s
	before := s.level
	for day := range 7 {
		learnCashout([]Detector{d}, &Tick{Day: day, NewDay: true, Campaign: c})
		learnCashout([]Detector{d}, &Tick{Day: day, Campaign: c}) // hours change nothing
	}
	if got := before - s.level; fmt.Sprintf("%.3f", got) != "0.693" {
		t.Errorf("a week takes %.3f off the logarithm, want 0.693", got)
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
