package detectors

import (
	"math"
	"testing"
)

func TestPriceNullIsAProbabilityThatFalls(t *testing.T) {
	for _, tt := range []struct {
		name         string
		null, others priceNull
	}{
		{"nothing known", priceNull{}, priceNull{}},
		{"quiet days", priceNull{items: 100_000, rose: priceCounts{500, 300, 200, 100, 50, 20, 10, 5}}, priceNull{items: 6000}},
		{"a day of repricing", priceNull{items: 100_000, rose: priceCounts{500, 300, 200, 100, 50, 20, 10, 5}}, priceNull{items: 6000, rose: priceCounts{120, 80, 60, 40, 20, 10, 5, 2}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			last := 1.0
			for k := range int64(12) {
				p := tt.null.tail(40, &priceCounts{k}, 3, &tt.others)
				if p <= 0 || p > last {
					t.Fatalf("p of %d items %g, of one less %g", k, p, last)
				}
				larger := tt.null.tail(40, &priceCounts{k, k, k, k}, 3, &tt.others)
				if larger > p {
					t.Errorf("p of %d items by 15 %% %g, by 5 %% %g", k, larger, p)
				}
				last = p
			}
		})
	}
}

// What the other merchants do in the same days is no sign, however rare it is in the long run.
func TestPriceNullForgivesADayOnWhichAllReprice(t *testing.T) {
	null := priceNull{items: 100_000, rose: priceCounts{500}}
	five := &priceCounts{5}
	quiet := null.tail(40, five, 3, &priceNull{items: 6000})
	busy := null.tail(40, five, 3, &priceNull{items: 6000, rose: priceCounts{600}})
	if quiet > 1e-4 || busy < 0.1 {
		t.Errorf("p of five of 40 items on a quiet day %g, where a tenth of all rise %g; want below 1e-4 and above 0.1", quiet, busy)
	}
}

func TestPriceNullLearnsHowMerchantsDiffer(t *testing.T) {
	var alike, unlike priceNull
	others := priceNull{items: 60_000, rose: priceCounts{6000}} // a tenth of the items of each window
	for i := range 4000 {
		alike.spread(20, int64(i%3)+1, &others) // 1, 2, 3: less than chance
		k := int64(0)
		if i%10 == 0 {
			k = 20
		}
		unlike.spread(20, k, &others)
	}
	var none priceNull
	if alike.shape() != 4 || none.shape() != 1 || unlike.shape() != 0.5 {
		t.Errorf("shape of merchants alike %g, unknown %g, unlike %g; want 4, 1, 0.5", alike.shape(), none.shape(), unlike.shape())
	}
}

// The calibrator's mean over p-values of honest merchants is 1: what it gives is worth its name.
func TestPToLLRIsALikelihoodRatio(t *testing.T) {
	sum := 0.0
	const n = 2_000_000
	for i := range n {
		u := (float64(i) + 0.5) / n
		sum += math.Exp(pToLLR(u*u)) * 2 * u / n // substitution p = u², so that the pole at 0 is flat enough to sum
	}
	if math.Abs(sum-1) > 0.08 {
		t.Errorf("mean likelihood ratio %g, want 1", sum)
	}
}

func TestPriceLooksSpendOneBudget(t *testing.T) {
	c := rulesCampaign()
	for _, days := range priceSpans {
		spent := 0.0
		for end := c.Start - 60; end < c.End+60; end++ {
			if looks := priceLooks(end, c, days); looks > 0 {
				spent += 1 / looks / float64(days)
			}
		}
		if spent > 1.45 || spent < 0.8 {
			t.Errorf("windows of %d days spend %.2f of the budget, want about 1", days, spent)
		}
	}
}

// Where a few gouge, the others' null must not learn it.
func TestAFewGougersAreNotTheMarket(t *testing.T) {
	d := &priceDetector{p: priceParams{Items: 3}}
	var list []*priceShown
	add := func(rose int64) *priceShown {
		d.shops = append(d.shops, priceShop{judged: 40})
		s := &priceShown{d: d, m: &priceMerchant{}}
		s.rose[0][0] = rose
		list = append(list, s)
		return s
	}
	for range 50 {
		d.shops = append(d.shops, priceShop{judged: 40})
	}
	gouger := add(12)
	for range 7 {
		add(12)
	}
	add(1)
	for i, s := range list {
		s.shop = &d.shops[50+i]
	}
	w := priceWindowOf([]*priceDetector{d}, list, 0)
	if w.items != 59*40 || w.rose[0] != 8*2+1 {
		t.Errorf("%d of %d items, want 17 of 2360: a gouger counts as one item less than accuse", w.rose[0], w.items)
	}
	others := w.without(gouger)
	var null priceNull
	if p := null.tail(40, &gouger.rose[0], 3, &others); p > 1e-4 {
		t.Errorf("p of a gouger among eight %g", p)
	}
	for range 50 { // now half of the shops raise twelve: that is the market
		add(12)
	}
	for i, s := range list {
		s.shop = &d.shops[50+i]
	}
	w = priceWindowOf([]*priceDetector{d}, list, 0)
	if w.rose[0] < 50*12 {
		t.Errorf("%d items of a market in which half of the shops raise twelve, want them all", w.rose[0])
	}
}
