package detectors

import (
	"testing"

	vw "voucherwatch"
)

// priceShopUnderTest is one merchant with labels and receipts.
type priceShopUnderTest struct {
	d   *priceDetector
	env *Env
	b   *vw.Batch
	n   uint64
}

func newPriceShop(t *testing.T) *priceShopUnderTest {
	t.Helper()
	got, env := rulesDetector(t, "price", rulesCampaign())
	return &priceShopUnderTest{d: got.(*priceDetector), env: env, b: &vw.Batch{Data: []byte("shoprice"), Lines: make([]vw.Line, 1)}}
}

func (s *priceShopUnderTest) event(kind vw.EventType) *vw.Event {
	s.n++
	return &vw.Event{Type: kind, Merchant: vw.Ref{Text: vw.Text{Len: 4}, Key: 7}, Customer: vw.Ref{Key: s.n << 33}}
}

func (s *priceShopUnderTest) price(kind vw.Kind, sku uint64, fen vw.Fen, day int) {
	e := s.event(vw.PriceEvent)
	e.Kind, e.SKU, e.Amount = kind, vw.Ref{Text: vw.Text{Off: 4, Len: 4}, Key: sku}, fen
	s.d.Apply(s.b, e, vw.Millis(day)*vw.Day)
}

func (s *priceShopUnderTest) receipt(sku uint64, fen vw.Fen, day int) *Visit {
	e := s.event(vw.RedemptionEvent)
	e.LineCount = 1
	s.b.Lines[0] = vw.Line{SKU: vw.Ref{Text: vw.Text{Off: 4, Len: 4}, Key: sku}, Quantity: 1, UnitFen: fen, Fen: fen}
	v := &Visit{Batch: s.b, Event: e, T: vw.Millis(day) * vw.Day, Day: day}
	s.d.Visit(v)
	return v
}

func (s *priceShopUnderTest) complaint(day int) {
	e := s.event(vw.ComplaintEvent)
	e.Kind = vw.Surcharge
	s.d.Apply(s.b, e, vw.Millis(day)*vw.Day)
}

// score is of the merchant's finding of a typology; 0 when there is none.
func (s *priceShopUnderTest) score(typology string) int {
	best := 0
	for _, p := range *s.env.found {
		if p.Typology == typology {
			best = max(best, probability(p.LogOdds))
		}
	}
	return best
}

func TestSurchargesCountByTheDay(t *testing.T) {
	start := rulesCampaign().Start
	for _, tt := range []struct {
		name string
		days []int // of receipts dearer than the label
		low  int
		high int
	}{
		{"one slip", []int{1}, 0, 0},
		{"an afternoon after the price was changed, before the label was read", []int{1, 1, 1, 1}, 1, 599},
		{"two days", []int{1, 2}, 600, 849},
		{"four days", []int{1, 2, 3, 4}, 850, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newPriceShop(t)
			for day := range 6 {
				s.price(vw.Shelf, 1, 1000, start+day)
				for _, d := range tt.days {
					if d == day {
						s.receipt(1, 1100, start+day)
					}
				}
			}
			if got := s.score("T21"); got < tt.low || got > tt.high {
				t.Errorf("score %d, want %d to %d", got, tt.low, tt.high)
			}
		})
	}
}

func TestComplaintsAreWeighedByTheNumberOfCustomers(t *testing.T) {
	start := rulesCampaign().Start
	for _, tt := range []struct {
		name      string
		receipts  int
		low, high int
	}{
		{"four complaints of a hundred redemptions", 100, 600, 849},
		{"four of ten thousand", 10_000, 1, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newPriceShop(t)
			s.d.complaining = 0.0003
			for range tt.receipts {
				s.receipt(1, 1000, start)
			}
			for day := range 4 {
				s.complaint(start + day)
			}
			if got := s.score("T21"); got < tt.low || got > tt.high {
				t.Errorf("score %d, want %d to %d", got, tt.low, tt.high)
			}
		})
	}
}

func TestAnOriginalPriceThatWasIsLessThanOneThatNeverWas(t *testing.T) {
	start := rulesCampaign().Start
	for _, tt := range []struct {
		name      string
		tag       vw.Fen
		items     int
		low, high int
	}{
		{"the price of the last seven days", 1000, 1, 0, 0},
		{"a rounding above it", 1009, 1, 0, 0},
		{"the price before the sale, one item", 1300, 1, 1, 599},
		{"the price before the sale, three items", 1300, 3, 1, 599},
		{"a price never asked", 1500, 1, 600, 849},
		{"three such", 1500, 3, 850, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newPriceShop(t)
			for sku := range uint64(tt.items) {
				for day := start - 20; day <= start; day++ {
					fen := vw.Fen(1300)
					if day >= start-8 {
						fen = 1000
					}
					s.price(vw.Shelf, sku+1, fen, day)
				}
				s.price(vw.Reference, sku+1, tt.tag, start)
			}
			if got := s.score("T20"); got < tt.low || got > tt.high {
				t.Errorf("score %d, want %d to %d", got, tt.low, tt.high)
			}
		})
	}
}

func TestWhatCountsAsARise(t *testing.T) {
	start := rulesCampaign().Start
	type stretch struct {
		from int
		fen  vw.Fen
	}
	for _, tt := range []struct {
		name   string
		prices []stretch
		cap    bool
		base   uint32 // of the rise that stands on the third day of the campaign
		since  int
	}{
		{"a price that rose", []stretch{{-35, 1000}, {1, 1200}}, false, 1000, 1},
		{"a sale that ended", []stretch{{-35, 1000}, {-10, 800}, {1, 1000}}, false, 0, 0},
		{"a sale that ended above the price before it", []stretch{{-35, 1000}, {-10, 800}, {1, 1200}}, false, 1000, 1},
		{"a price of three days is no regular one", []stretch{{-35, 1000}, {-20, 1500}, {-17, 1000}, {1, 1200}}, false, 1000, 1},
		{"four per cent", []stretch{{-35, 1000}, {1, 1040}}, false, 0, 0},
		{"two small steps within the week", []stretch{{-35, 1000}, {-2, 1040}, {1, 1080}}, false, 1000, 1},
		{"a second step on one that stands", []stretch{{-35, 1000}, {-12, 1200}, {1, 1400}}, false, 1200, 1},
		{"it rose and fell again", []stretch{{-35, 1000}, {0, 1200}, {2, 1000}}, false, 0, 0},
		{"too short a history", []stretch{{-12, 1000}, {1, 1200}}, false, 0, 0},
		{"under a ceiling", []stretch{{-35, 1000}, {1, 1200}}, true, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newPriceShop(t)
			for day := tt.prices[0].from; day <= 2; day++ {
				for i := len(tt.prices) - 1; i >= 0; i-- {
					if day >= tt.prices[i].from {
						s.price(vw.Shelf, 1, tt.prices[i].fen, start+day)
						break
					}
				}
				if tt.cap && day == 0 {
					e := s.event(vw.PriceEvent)
					e.Kind, e.SKU.Key = vw.Cap, 1
					s.d.Apply(s.b, e, 0)
				}
				learnPrices([]Detector{s.d}, &Tick{Day: start + day + 1, NewDay: true, Campaign: s.env.Campaign})
			}
			var base uint32
			since := 0
			if r := s.d.rises.Find(pairKey(7, 1)); r != nil && r.base > 0 {
				base, since = r.base, int(r.since)-start
			}
			if base != tt.base || since != tt.since {
				t.Errorf("rise above %d since day %d, want %d since %d", base, since, tt.base, tt.since)
			}
		})
	}
}

func TestWhatExplainsARise(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cost  priceCost
		peers []pricePeer
		want  float64 // of a rise from 1000 to 1200, in per cent
	}{
		{"nothing", priceCost{}, nil, 20},
		{"its cost", priceCost{first: 600, last: 680}, nil, 0},
		{"too little cost", priceCost{first: 600, last: 610}, nil, 20},
		{"the others' cost", priceCost{}, []pricePeer{{merchant: 2, fen: 1000, cost: 0.12, costKnown: true}}, 0},
		{"the market's price", priceCost{}, []pricePeer{{merchant: 2, fen: 1250}, {merchant: 3, fen: 1300}}, 0},
		{"the market's rise", priceCost{}, []pricePeer{{merchant: 2, fen: 900, change: 0.18}, {merchant: 3, fen: 900, change: 0.18}, {merchant: 4, fen: 900, change: 0.18}, {merchant: 5, fen: 900, change: 0.18}}, 0},
		{"an uneasy market", priceCost{}, []pricePeer{{merchant: 2, fen: 900, change: 0.3}, {merchant: 3, fen: 900, change: -0.3}, {merchant: 4, fen: 900, change: 0.2}, {merchant: 5, fen: 900, change: -0.2}}, 0},
		{"a quiet market", priceCost{}, []pricePeer{{merchant: 2, fen: 900}, {merchant: 3, fen: 900}, {merchant: 4, fen: 900}, {merchant: 5, fen: 900}}, 20},
		{"itself", priceCost{}, []pricePeer{{merchant: 1, fen: 1200, change: 0.18}}, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := priceRise{merchant: 1, base: 1000, legal: 1000, now: 1200}
			r.judge(tt.cost, tt.peers)
			if got := 100 * priceGrowth(float64(r.net)); got < tt.want-0.5 || got > tt.want+0.5 {
				t.Errorf("%.1f %% remain, want %.0f", got, tt.want)
			}
		})
	}
}
