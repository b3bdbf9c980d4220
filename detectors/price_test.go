package detectors

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
)

func TestPriceSeries(t *testing.T) {
	type reading struct{ day, fen int }
	type want struct{ Lowest, Usual uint32 }
	flat := func(from, to, fen int) (rs []reading) {
		for d := from; d <= to; d++ {
			rs = append(rs, reading{d, fen})
		}
		return rs
	}
	for _, tt := range []struct {
		name string
		in   []reading
		at   uint16
		want want
	}{
		{"the lowest of seven days, today left out", append(flat(100, 106, 500), reading{103, 450}, reading{107, 400}), 107, want{450, 0}},
		{"eight days ago does not count", append([]reading{{100, 450}}, flat(101, 107, 500)...), 108, want{500, 0}},
		{"a weekly reading holds in between", []reading{{100, 500}, {107, 600}}, 110, want{500, 0}},
		{"no price in seven days: the last one", []reading{{100, 500}}, 130, want{500, 0}},
		{"the dearest week is the usual price, not the dearest day", append(append(flat(100, 120, 500), flat(121, 127, 700)...), append([]reading{{128, 9900}}, flat(129, 150, 500)...)...), 150, want{500, 700}},
		{"of several prices of a day the lowest", []reading{{100, 500}, {100, 480}, {100, 520}}, 101, want{480, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var it priceItem
			for _, r := range tt.in {
				it.see(uint32(r.fen), uint16(r.day))
			}
			it.roll(tt.at)
			got := want{Lowest: it.lowest()}
			got.Usual, _ = it.usual()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPriceLabelHoldsForTheNextDay(t *testing.T) {
	it := priceItem{flags: priceLabelled}
	var got []uint32
	for _, r := range [][2]int{{100, 500}, {100, 480}, {101, 450}, {101, 440}} {
		it.see(uint32(r[1]), uint16(r[0]))
		got = append(got, it.shown(uint16(r[0])), it.shown(uint16(r[0])+1), it.shown(uint16(r[0])+2))
	}
	// The dearest label of the day; of the day before, when it has a newer one, the lowest.
	if diff := cmp.Diff([]uint32{500, 500, 0, 500, 500, 0, 480, 450, 0, 480, 450, 0}, got); diff != "" {
		t.Errorf("labels of day, next and the one after (-want +got):\n%s", diff)
	}
}

func TestPriceOfALine(t *testing.T) {
	for _, tt := range []struct {
		name string
		line vw.Line
		want uint32
	}{
		{"the unit price", vw.Line{SKU: vw.Ref{Key: 1}, Quantity: 2, UnitFen: 500, Fen: 1000}, 500},
		{"less when the row was reduced", vw.Line{SKU: vw.Ref{Key: 1}, Quantity: 3, UnitFen: 500, Fen: 1000}, 334},
		{"loose goods have none", vw.Line{SKU: vw.Ref{Key: 1}, Quantity: 1.5, UnitFen: 500, Fen: 750}, 0},
		{"stored value has none", vw.Line{SKU: vw.Ref{Key: 1}, Kind: vw.StoredValue, Quantity: 1, UnitFen: 500, Fen: 500}, 0},
		{"what has no sku has none", vw.Line{Quantity: 1, UnitFen: 500, Fen: 500}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := priceOfLine(&tt.line); got != tt.want {
				t.Errorf("price %d, want %d", got, tt.want)
			}
		})
	}
}

// priceMarket is a market of shops whose honest prices jump now and then, and whose sales end; in some
// six items rise together, the given days after the start. It counts who is alarmed.
func priceMarket(t *testing.T, shops, frauds, after int) (alarms, found int) {
	const skus, history = 20, 40
	c := rulesCampaign()
	got, _ := rulesDetector(t, "price", c)
	d := got.(*priceDetector)
	b := &vw.Batch{Data: []byte("shop")}
	r := rand.New(rand.NewPCG(7, 11))
	price := make([][]float64, shops)
	sale := make([][]int, shops)
	for m := range price {
		price[m], sale[m] = make([]float64, skus), make([]int, skus)
		for s := range price[m] {
			price[m][s] = 500 + 2000*r.Float64()
		}
	}
	for day := c.Start - history; day <= c.End+4; day++ {
		for m := range shops {
			key := uint64(m + 1)
			for s := range skus {
				switch x := r.Float64(); {
				case x < 0.002:
					price[m][s] *= 1 + 0.3*r.Float64()
				case x < 0.02:
					sale[m][s] = 7
				}
				fen := price[m][s]
				if sale[m][s] > 0 {
					sale[m][s]--
					fen *= 0.75
				}
				if m < frauds && s < 6 && day >= c.Start+after {
					fen = price[m][s] * 1.4
				}
				d.Apply(b, &vw.Event{
					Type: vw.PriceEvent, Kind: vw.Shelf, Merchant: vw.Ref{Text: vw.Text{Len: 4}, Key: key}, SKU: vw.Ref{Text: vw.Text{Len: 4}, Key: uint64(s + 1)},
					Amount: vw.Fen(fen),
				}, vw.Millis(day)*vw.Day)
			}
		}
		learnPrices([]Detector{d}, &Tick{Day: day + 1, NewDay: true, Campaign: c})
	}
	for m := range shops {
		switch alarm := d.merchants.Find(uint64(m + 1)).alarm; {
		case alarm && m < frauds:
			found++
		case alarm:
			alarms++
		}
	}
	return alarms, found
}

func TestHonestMarketIsQuietAndRisesAreFound(t *testing.T) {
	alarms, found := priceMarket(t, 200, 20, 2)
	if alarms > 5 { // 180 × 1 % = 1.8; 6 or more has probability 1 %
		t.Errorf("%d of 180 honest shops alarmed", alarms)
	}
	if found < 16 {
		t.Errorf("%d of 20 rises of six items by 40 %% found", found)
	}
	alarms, found = priceMarket(t, 200, 20, 10)
	if found > 2 {
		t.Errorf("%d shops alarmed for rises after the campaign", found)
	}
	if alarms > 5 {
		t.Errorf("%d of 180 honest shops alarmed in a campaign without rises", alarms)
	}
}

func TestPriceMemoryIsBounded(t *testing.T) {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "price", c)
	d := got.(*priceDetector)
	d.p.MaxItems = 10
	b := &vw.Batch{Data: []byte("shop")}
	for i := range 50 {
		at := rulesMoment(t, "2022-09-20 09:00:00")
		d.Apply(b, &vw.Event{Type: vw.PriceEvent, Kind: vw.Shelf, Merchant: vw.Ref{Text: vw.Text{Len: 4}, Key: 5}, SKU: vw.Ref{Key: uint64(i + 1)}, Amount: 500}, at)
	}
	if keys, _ := d.Size(); keys != 10 {
		t.Errorf("%d series of one merchant, want 10", keys)
	}
	d.Sweep(rulesMoment(t, "2022-11-04 09:00:00"))
	if keys, _ := d.Size(); keys != 10 {
		t.Errorf("%d series after 45 days, want 10", keys)
	}
	d.Sweep(rulesMoment(t, "2022-11-05 09:00:00"))
	if keys, _ := d.Size(); keys != 0 || d.merchants.Len() != 0 {
		t.Errorf("%d series and %d merchants after 46 days, want none", keys, d.merchants.Len())
	}
}

func TestHonestReceiptsAllocateNothing(t *testing.T) {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "price", c)
	b := rulesBatch()
	at := rulesMoment(t, "2022-09-20 11:00:00")
	v := rulesVisit(c, b, 1, at)
	got.Visit(v)
	allocs := testing.AllocsPerRun(200, func() { got.Visit(v) })
	if allocs != 0 || v.n != 0 || v.blinds != 0 {
		t.Errorf("%v allocations, %d signals and %d blind, want none", allocs, v.n, v.blinds)
	}
}

func TestPriceParametersOutsideTheirRangeAreRefused(t *testing.T) {
	for name, set := range map[string]func(*priceParams){
		"a budget of all":     func(p *priceParams) { p.FalseAlarms = 1 },
		"a rise of nothing":   func(p *priceParams) { p.Rise = 0 },
		"a single item":       func(p *priceParams) { p.Items = 1 },
		"not a number":        func(p *priceParams) { p.Rounding = math.NaN() },
		"no room for an item": func(p *priceParams) { p.MaxItems = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			env := &Env{Campaign: rulesCampaign(), spec: &Spec{Name: "price"}, settings: &Settings{Params: func(_ string, into any) error {
				set(into.(*priceParams))
				return nil
			}}}
			if _, err := newPrice(env); err == nil {
				t.Error("accepted")
			}
		})
	}
	bad := &Env{spec: &Spec{Name: "price"}, settings: &Settings{Params: func(string, any) error { return fmt.Errorf("no such parameter") }}}
	if _, err := newPrice(bad); err == nil {
		t.Error("parameters that cannot be read are accepted")
	}
}
