package detectors

import (
	"math"
	"math/rand/v2"
	"testing"

	vw "voucherwatch"
)

func TestReceiptsOfTwoPriceListsAreNoRise(t *testing.T) {
	var it priceItem
	for i, fen := range []uint32{125, 125, 251, 125, 251, 251, 125} {
		it.pay(fen, 100+uint16(i), uint64(2*i+1)<<32, 0.05)
	}
	if it.run != 0 || it.level[tillTop] != 251 || it.receipts != 7 {
		t.Errorf("run %d above %d after %d receipts, want none above 251 after 7", it.run, it.level[tillTop], it.receipts)
	}
	for i := range 4 {
		it.pay(251, 110, uint64(101+2*i)<<32, 0.05)
	}
	if it.run != 0 {
		t.Errorf("a run of %d at a price asked before", it.run)
	}
	for range 4 {
		it.pay(300, 111, 501<<32, 0.05) // one customer
	}
	it.pay(310, 112, 503<<32, 0.05)
	if it.run != 2 || it.level[tillLow] != 300 || it.level[tillHigh] != 310 || it.day != 111 {
		t.Errorf("run of %d from day %d at %d to %d, want 2 from day 111 at 300 to 310", it.run, it.day, it.level[tillLow], it.level[tillHigh])
	}
	it.pay(251, 113, 505<<32, 0.05)
	if it.run != 0 || it.level[tillTop] != 310 {
		t.Errorf("an old price came again: run %d above %d, want none above 310", it.run, it.level[tillTop])
	}
}

func TestTillTail(t *testing.T) {
	// The last three of ten above all others: 3!·7!/10! = 1/120, for eight places to begin.
	if got, want := tillTail(7, 3), 8.0/120; math.Abs(got/want-1) > 1e-9 {
		t.Errorf("p = %g, want %g", got, want)
	}
}

// tillMarket lets customers of shops without shelf prices buy six items each; wholesale customers pay half. In some
// shops prices rise in the middle: of the same goods everywhere, or each shop has its own. It counts the leads.
func tillMarket(t *testing.T, seed uint64, rise float64, own bool) (leads int) {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "price", c)
	d := got.(*priceDetector)
	r := rand.New(rand.NewPCG(seed, 5))
	const shops, skus = 50, 12
	b := &vw.Batch{Data: []byte("shop"), Lines: make([]vw.Line, 6)}
	for day := c.Start; day <= c.End; day++ {
		for m := range shops {
			for range 4 {
				list := 1.0
				if r.Float64() < 0.4 {
					list = 0.5
				}
				if day > c.Start+4 {
					list *= rise
				}
				for i := range b.Lines {
					s := r.IntN(skus)
					fen := vw.Fen(float64(500+100*s) * list)
					key := uint64(s + 1)
					if own {
						key += uint64(skus * m)
					}
					b.Lines[i] = vw.Line{SKU: vw.Ref{Text: vw.Text{Len: 4}, Key: key}, Quantity: 1, UnitFen: fen, Fen: fen}
				}
				e := &vw.Event{Type: vw.RedemptionEvent, LineCount: 6, Merchant: vw.Ref{Text: vw.Text{Len: 4}, Key: uint64(m + 1)}, Customer: vw.Ref{Key: r.Uint64()}}
				d.Visit(&Visit{Batch: b, Event: e, T: vw.Millis(day) * vw.Day, Day: day})
			}
		}
		learnPrices([]Detector{d}, &Tick{Day: day + 1, NewDay: true, Campaign: c})
	}
	for m := range shops {
		if x := d.merchants.Find(uint64(m + 1)); x.till > 0 {
			leads++
			if f := d.finding("T19", uint64(m+1), x, 0, nil, nil, ""); probability(f.LogOdds) >= 600 {
				t.Errorf("receipts alone: score %d", probability(f.LogOdds))
			}
		}
	}
	return leads
}

func TestReceiptsAloneAreALeadWhenNobodyPaysTheOldPrice(t *testing.T) {
	honest, raised, everywhere := 0, 0, 0
	for seed := range uint64(4) {
		honest += tillMarket(t, seed, 1, true)
		raised += tillMarket(t, seed, 2.5, true) // above both lists
		everywhere += tillMarket(t, seed, 2.5, false)
	}
	if everywhere != 0 {
		t.Errorf("%d of 200 shops are leads because goods have become dearer everywhere", everywhere)
	}
	if honest > 6 { // 200 × 1 % = 2; 7 or more has probability 0.5 %
		t.Errorf("%d of 200 honest shops with two price lists are leads", honest)
	}
	if raised < 150 {
		t.Errorf("%d of 200 shops that left their price lists behind are leads, want three in four", raised)
	}
}
