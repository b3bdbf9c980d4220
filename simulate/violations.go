package simulate

import (
	vw "voucherwatch"
)

// violation is a breach of a hard rule of the campaign. Each is an otherwise honest purchase, so that
// nothing but the rule tells it.
type violation struct {
	// rule is the label: a code of the contract, or X-threshold and X-discount (C01), X-early and
	// X-expired (C02), X-sum (C03).
	rule string
	plan func(g *generator, r *chance, key uint64) *act
}

func violations() []violation {
	ordinary := func(spoil func(g *generator, r *chance, a *act) bool) func(*generator, *chance, uint64) *act {
		return func(g *generator, r *chance, key uint64) *act {
			for range 60 {
				a, ok := g.extra(r, key)
				if ok && spoil(g, r, &a) {
					g.take(a.customer, a.day)
					return &a
				}
			}
			return nil
		}
	}
	return []violation{
		{"X-threshold", ordinary(func(g *generator, r *chance, a *act) bool {
			a.order = vw.Fen(float64(g.w.Vouchers[a.voucher].Threshold) * r.between(.5, .97))
			return a.order > a.discount
		})},
		{"X-discount", ordinary(func(g *generator, r *chance, a *act) bool {
			a.discount += a.discount / 2
			return a.discount < a.order
		})},
		{"X-sum", ordinary(func(g *generator, r *chance, a *act) bool {
			short := int64(r.among(20, 500))
			a.spoil = func(e *record) { e.PaidFen = max(0, e.PaidFen-short) }
			return true
		})},
		{"X-early", ordinary(func(g *generator, r *chance, a *act) bool {
			a.claimed, a.at = a.at, max(g.w.release(a.day)+vw.Minute, a.at-vw.Millis(r.between(15, 90)*float64(vw.Minute)))
			return a.claimed > a.at+5*vw.Minute
		})},
		{"X-expired", ordinary(func(g *generator, r *chance, a *act) bool {
			a.at = g.w.midnight(a.day+1) + vw.Millis(r.between(2, 50)*float64(vw.Minute))
			return true
		})},
		{"C05", ordinary(func(g *generator, r *chance, a *act) bool {
			a.unclaimed = true
			a.spoil = func(e *record) { e.ClaimedAt = "" }
			return true
		})},
		{"T17", ordinary(func(g *generator, r *chance, a *act) bool {
			a.refund, a.returned = g.w.midnight(a.day+1)+vw.Millis(r.between(9, 20)*float64(vw.Hour)), true
			return true
		})},
		{"T11", ordinary(func(g *generator, r *chance, a *act) bool {
			lon, lat := round6(centreX+r.between(-.1, .1)), round6(centreY-.4+r.between(-.05, .05))
			other := neighbour(g.w.Districts)
			a.spoil = func(e *record) {
				e.Lon, e.Lat, e.District = &lon, &lat, other
			}
			return true
		})},
		{"T12", ordinary(func(g *generator, r *chance, a *act) bool {
			id := digits(hash(g.w.seed, forViolation, 1<<40, uint64(r.below(3))), 15)
			a.spoil = func(e *record) { e.MerchantID = id }
			return true
		})},
		{"T13", ordinary(func(g *generator, r *chance, a *act) bool {
			for range 20 {
				v := r.below(len(g.w.Vouchers))
				if t := &g.w.Vouchers[v]; !t.Balance && t.Category != g.w.merchants[a.merchant].category {
					a.voucher, a.discount = uint8(v), t.Face
					a.order = max(a.order, t.Threshold+vw.Fen(r.below(5000)))
					return true
				}
			}
			return false
		})},
		{"T15", ordinary(func(g *generator, r *chance, a *act) bool {
			m := &g.w.merchants[a.merchant]
			if m.never&noLines != 0 || m.kind == petrol {
				return false
			}
			a.spoil = func(e *record) {
				e.Lines = []vw.ReceiptLine{{SKU: "CZK", Name: "储值卡充值", Quantity: 1, UnitPriceFen: e.OrderFen, AmountFen: e.OrderFen, Kind: "stored_value"}}
			}
			return true
		})},
		{"T22", ordinary(func(g *generator, r *chance, a *act) bool {
			if g.w.merchants[a.merchant].kind != petrol {
				return false
			}
			unit := int64(float64(g.w.capOn(0, a.day)) * r.between(1.01, 1.06))
			a.spoil = func(e *record) {
				e.Lines = []vw.ReceiptLine{{SKU: grades[0].sku, Name: grades[0].name, Quantity: float64(e.OrderFen*100/unit) / 100, UnitPriceFen: unit, AmountFen: e.OrderFen, Kind: "goods"}}
			}
			return true
		})},
		{"T14", ordinary(func(g *generator, r *chance, a *act) bool {
			w := g.w
			var barred []*merchant
			for i := range w.merchants[:w.honest] {
				if w.merchants[i].barDay > 0 {
					barred = append(barred, &w.merchants[i])
				}
			}
			if len(barred) == 0 {
				return false
			}
			m := barred[r.below(len(barred))]
			if a.day < m.barDay || w.RoundOn(a.day) < 0 {
				return false
			}
			b, ok := w.purchase(r, a.customer, m.index, a.day)
			b.key, b.voucherKey = a.key, a.key
			*a = b
			return ok
		})},
		{"T03", overClaim},
		{"T18", secondUse},
		{"T24", notListed},
	}
}

// violate plans some of each breach, more in larger worlds.
func (g *generator) violate() {
	for i, v := range violations() {
		for n := range max(3, int(22*g.o.Scale*g.w.portion())) {
			key := hash(g.w.seed, forViolation, uint64(i), uint64(n))
			r := chance(key)
			a := v.plan(g, &r, mix(key+9))
			if a == nil {
				continue
			}
			a.tags, a.label.violation = 0, v.rule
			g.plan(a)
		}
	}
}

// spareOf is how many claims a customer has left in a cycle.
func (g *generator) spareOf(c int32, cycle int) int {
	n := g.w.ClaimLimit - g.taken[uint64(c)<<8|uint64(cycle)]
	for s := range g.w.ClaimLimit {
		if _, ok := g.w.visit(c, cycle, s); ok {
			n--
		}
	}
	return n
}

func (g *generator) take(c int32, day int) {
	g.taken[uint64(c)<<8|uint64(g.w.cycleOn(day))]++
}

// extra is a purchase beside the honest ones, by somebody with a claim left.
func (g *generator) extra(r *chance, key uint64) (act, bool) {
	w := g.w
	day := w.Start + r.below(w.last-w.Start+1)
	cycle := w.cycleOn(day)
	if cycle < 0 || w.RoundOn(day) < 0 {
		return act{}, false
	}
	c := int32(r.below(len(w.customers)))
	if g.spareOf(c, cycle) < 1 {
		return act{}, false
	}
	m, ok := w.choose(r, vw.Category(r.weighted(w.share)), w.customers[c].cluster)
	if !ok || !w.merchants[m].trades(day) {
		return act{}, false
	}
	a, ok := w.purchase(r, c, m, day)
	a.key = key
	return a, ok
}

// overClaim (T03) is one claim more than the limit, later than the others.
func overClaim(g *generator, r *chance, key uint64) *act {
	w := g.w
	for range 400 {
		cycle := r.below(len(w.cycles))
		c := int32(r.below(len(w.customers)))
		if g.taken[uint64(c)<<8|uint64(cycle)] > 0 || g.spareOf(c, cycle) != 0 {
			continue
		}
		last := w.cycles[cycle].from
		for s := range w.ClaimLimit {
			if a, ok := w.visit(c, cycle, s); ok {
				last = max(last, a.day)
			}
		}
		if last >= w.cycles[cycle].to {
			continue
		}
		day := last + 1 + r.below(w.cycles[cycle].to-last)
		m, ok := w.choose(r, vw.Category(r.weighted(w.share)), w.customers[c].cluster)
		if !ok || !w.merchants[m].trades(day) || w.RoundOn(day) < 0 {
			continue
		}
		if a, ok := w.purchase(r, c, m, day); ok {
			a.key = key
			g.taken[uint64(c)<<8|uint64(cycle)]++
			return &a
		}
	}
	return nil
}

// secondUse (T18) shows a used voucher again; the first use is planned with it and is honest.
func secondUse(g *generator, r *chance, key uint64) *act {
	for range 60 {
		first, ok := g.extra(r, mix(key))
		if !ok {
			continue
		}
		first.tags = 0
		second := first
		second.key, second.voucherKey, second.unclaimed = key, first.key, true
		second.at += vw.Millis(r.between(3, 50) * float64(vw.Minute))
		if second.at >= g.w.closing(second.merchant, second.day) {
			continue
		}
		g.take(first.customer, first.day)
		g.plan(&first)
		return &second
	}
	return nil
}

// notListed (T24) is an 爱心 balance in the hands of somebody who is not on the list.
func notListed(g *generator, r *chance, key uint64) *act {
	w := g.w
	if w.balance < 0 {
		return nil
	}
	v := w.Vouchers[w.balance]
	for range 200 {
		a, ok := g.extra(r, key)
		from, until := max(v.From, w.Start+1), min(v.Until, w.last)
		if !ok || g.listed[a.customer] || a.day < from || a.day > until {
			continue
		}
		a.voucher, a.discount = uint8(w.balance), min(a.order, v.Limit)
		a.claimed = w.midnight(from) + vw.Millis(r.between(9, 9.9)*float64(vw.Hour))
		g.listed[a.customer] = true // one label each
		return &a
	}
	return nil
}

// neighbour is a code of the same prefecture that the campaign does not cover.
func neighbour(districts []string) string {
	if len(districts) == 0 || len(districts[0]) != 6 {
		return "999999"
	}
	for _, tail := range []string{"25", "24", "21", "99"} {
		code := districts[0][:4] + tail
		found := false
		for _, d := range districts {
			found = found || d == code
		}
		if !found {
			return code
		}
	}
	return "999999"
}
