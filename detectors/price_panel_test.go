package detectors

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	vw "voucherwatch"
)

// pricePanel is the hard panel of the detection notes: 60 shops with most of 80 skus, whose prices are rigid or, a
// quarter of them, uneasy; costs that jump and are passed on in part and late; sales that end when the campaign begins; and eight
// shops that raise 6 to 20 % of their items by 7 to 18 %.
type pricePanel struct {
	price [panelShops][panelSKUs][panelDays]float64 // logarithms; NaN when not sold
	fraud [panelShops]bool
}

const (
	panelShops, panelSKUs, panelDays = 60, 80, 49
	panelStart                       = 35 // day of the campaign's start
	panelFrauds                      = 8
)

// drift is how much the uneasy prices wander off instead of coming back.
func newPricePanel(seed uint64, drift float64) *pricePanel {
	r := rand.New(rand.NewPCG(seed, 4))
	p := &pricePanel{}
	between := func(a, b float64) float64 { return a + (b-a)*r.Float64() }
	type shock struct {
		day  int
		size float64
	}
	var shocks [panelSKUs][]shock
	var base, unease [panelSKUs]float64
	for s := range panelSKUs {
		base[s] = math.Log(800) + 0.7*r.NormFloat64()
		if r.Float64() < 0.25 {
			unease[s] = between(0.015, 0.04)
		}
		if r.Float64() < 0.2 {
			shocks[s] = append(shocks[s], shock{panelStart - 9 + r.IntN(14), between(0.05, 0.2)})
		}
	}
	for m := range panelShops {
		p.fraud[m] = m < panelFrauds
		level := 0.06 * r.NormFloat64()
		sale := r.Float64() < 0.3
		saleEnd := panelStart - 6 + r.IntN(8)
		saleFrom := saleEnd - 8 - r.IntN(12)
		raiseDay, share := panelStart-4+r.IntN(7), between(0.06, 0.2)
		var raisedItems []int
		for s := range panelSKUs {
			sold := r.Float64() < 0.8
			own, noise, through, lag := 0.05*r.NormFloat64(), 0.0, between(0.5, 1.1), r.IntN(5)
			inSale, depth := sale && r.Float64() < 0.35, between(0.08, 0.25)
			promoted, promoDay, promoDepth := r.Float64() < 0.25, r.IntN(panelDays), between(0.08, 0.22)
			for day := range panelDays {
				x := base[s] + level + own
				for _, k := range shocks[s] {
					if day >= k.day+lag {
						x += k.size * through
					}
				}
				if r.Float64() < 0.001 {
					own += 0.05 * r.NormFloat64()
				}
				if unease[s] > 0 && day%3 == (m+s)%3 {
					step := unease[s] * r.NormFloat64()
					own, noise = own+drift*step, step
				}
				x += noise
				if inSale && day >= saleFrom && day < saleEnd {
					x -= depth
				}
				if promoted && day >= promoDay && day < promoDay+7 {
					x -= promoDepth
				}
				p.price[m][s][day] = math.Log(math.Round(math.Exp(x)/10) * 10)
				if !sold {
					p.price[m][s][day] = math.NaN()
				}
			}
			if sold {
				raisedItems = append(raisedItems, s)
			}
		}
		if !p.fraud[m] {
			continue
		}
		r.Shuffle(len(raisedItems), func(i, j int) { raisedItems[i], raisedItems[j] = raisedItems[j], raisedItems[i] })
		for _, s := range raisedItems[:int(math.Ceil(share*float64(len(raisedItems))))] {
			up := math.Log1p(between(0.07, 0.18))
			for day := raiseDay; day < panelDays; day++ {
				p.price[m][s][day] = math.Log(math.Round(math.Exp(p.price[m][s][day]+up)/10) * 10)
			}
		}
	}
	return p
}

// ours is the evidence that the detector has of each shop.
func (p *pricePanel) ours(t *testing.T) []float64 {
	c := rulesCampaign()
	c.End = c.Start + panelDays - panelStart - 1
	got, env := rulesDetector(t, "price", c)
	d := got.(*priceDetector)
	b := &vw.Batch{Data: []byte("nameless")}
	for day := range panelDays {
		for m := range panelShops {
			for s := range panelSKUs {
				if x := p.price[m][s][day]; x == x {
					at := vw.Millis(c.Start-panelStart+day) * vw.Day
					d.Apply(b, &vw.Event{
						Type: vw.PriceEvent, Kind: vw.Shelf, Merchant: vw.Ref{Text: vw.Text{Len: 4}, Key: uint64(m+1) << 32}, SKU: vw.Ref{Text: vw.Text{Len: 4}, Key: uint64(s + 1)},
						Amount: vw.Fen(math.Round(math.Exp(x))),
					}, at)
				}
			}
		}
		learnPrices([]Detector{d}, &Tick{Day: c.Start - panelStart + day + 1, NewDay: true, Campaign: c})
		*env.found = (*env.found)[:0]
	}
	scores := make([]float64, panelShops)
	for m := range scores {
		scores[m] = float64(d.merchants.Find(uint64(m+1) << 32).llr)
	}
	return scores
}

// naive counts the items that were ever 15 % over the lowest price of the seven days before the campaign.
func (p *pricePanel) naive() []float64 {
	return p.each(func(x []float64, m, s int) float64 {
		if slices.Max(x[panelStart:]) > slices.Min(x[panelStart-7:panelStart])+math.Log(1.15) {
			return 1
		}
		return 0
	}, false)
}

// own is the sum over items of clip(z) / √n of the change against the shop's own regular price.
func (p *pricePanel) own() []float64 {
	return p.each(func(x []float64, m, s int) float64 {
		return clip((slices.Max(x[panelStart:panelStart+5])-panelMedian(x[7:panelStart-7]))/0.02, -3, 5)
	}, true)
}

// minDiD is the statistic of the notes: the smaller of the changes against legal base and regular price, against peers.
func (p *pricePanel) minDiD() []float64 {
	var z [2][panelShops][panelSKUs]float64
	for s := range panelSKUs {
		for k := range z {
			var all []float64
			for m := range panelShops {
				x := p.price[m][s][:]
				base := slices.Min(x[panelStart-7 : panelStart])
				if k == 1 {
					base = panelMedian(x[7 : panelStart-7])
				}
				if raised := x[panelStart-4]; k == 0 { // the legal base is that before the rise
					base = min(slices.Min(x[panelStart-11:panelStart-4]), raised)
				}
				z[k][m][s] = x[panelStart+3] - base
				if x[0] == x[0] {
					all = append(all, z[k][m][s])
				}
			}
			middle := panelMedian(all)
			var away []float64
			for _, a := range all {
				away = append(away, math.Abs(a-middle))
			}
			scale := max(1.4826*panelMedian(away), 0.02) * math.Sqrt(1+1.57/float64(len(all)))
			for m := range panelShops {
				z[k][m][s] = (z[k][m][s] - middle) / scale
			}
		}
	}
	return p.each(func(_ []float64, m, s int) float64 { return clip(min(z[0][m][s], z[1][m][s]), -3, 5) }, true)
}

func (p *pricePanel) each(f func(x []float64, m, s int) float64, root bool) []float64 {
	sums := make([]float64, panelShops)
	for m := range sums {
		n := 0.0
		for s := range panelSKUs {
			if x := p.price[m][s][:]; x[0] == x[0] {
				sums[m] += f(x, m, s)
				n++
			}
		}
		if root {
			sums[m] /= math.Sqrt(n)
		}
	}
	return sums
}

func panelMedian(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// ap is the average precision of a ranking; ties count by the whole of them.
func (p *pricePanel) ap(scores []float64) float64 {
	order := make([]int, panelShops)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	sum, hits := 0.0, 0
	for i := 0; i < len(order); {
		j, here := i, 0
		for ; j < len(order) && scores[order[j]] == scores[order[i]]; j++ {
			if p.fraud[order[j]] {
				here++
			}
		}
		hits += here
		sum += float64(hits) / float64(j) * float64(here)
		i = j
	}
	return sum / panelFrauds
}

func TestPricesOfTheHardPanel(t *testing.T) {
	for _, tt := range []struct {
		name  string
		drift float64
	}{{"uneasy prices come back", 0}, {"uneasy prices wander", 0.6}} {
		t.Run(tt.name, func(t *testing.T) {
			const seeds = 8
			var sum [4]float64
			worst, honest, alarms := 1.0, 0, 0
			for seed := range uint64(seeds) {
				p := newPricePanel(seed+1, tt.drift)
				ours := p.ours(t)
				for m, x := range ours {
					if !p.fraud[m] {
						honest++
						if x > 0 {
							alarms++
						}
					}
				}
				ap := [4]float64{p.ap(ours), p.ap(p.minDiD()), p.ap(p.own()), p.ap(p.naive())}
				t.Logf("seed %d: AP %.2f, min-DiD %.2f, own history %.2f, 15 %% over seven days %.2f", seed+1, ap[0], ap[1], ap[2], ap[3])
				for i := range ap {
					sum[i] += ap[i] / seeds
				}
				worst = min(worst, ap[0])
			}
			t.Logf("mean: AP %.3f (worst %.2f), min-DiD %.3f, own history %.3f, 15 %% over seven days %.3f; %d of %d honest shops alarmed", sum[0], worst, sum[1], sum[2], sum[3], alarms, honest)
			if sum[0] < 0.80 || sum[0] < sum[1] || sum[0] < sum[2] || sum[0] < sum[3] {
				t.Errorf("AP %.2f, of the others %.2f; want 0.80 and better than they", sum[0], sum[1:])
			}
			if alarms > 12 { // 416 × 1 % = 4.2; 13 or more has probability 0.1 %
				t.Errorf("%d of %d honest shops alarmed", alarms, honest)
			}
		})
	}
}
