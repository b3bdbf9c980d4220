package simulate

import (
	"math"
	"slices"

	vw "voucherwatch"
)

// acquaint gives people and shops the ties that honest trade has and fraud has too: relatives of a shop's
// owner, small traders who stock up at one place, neighbours whom the staff of a shop helps with its own
// device.
func (w *world) acquaint() {
	for i := range w.merchants {
		for _, o := range w.merchants[i].owners {
			for c := w.customers[o].head; int(c) < len(w.customers) && w.customers[c].head == w.customers[o].head; c++ {
				if !slices.Contains(w.merchants[i].owners, c) { // owners themselves have no business there
					w.customers[c].kin = int32(i)
				}
			}
		}
	}
	if len(w.kindOf[supermarket]) == 0 {
		return
	}
	for c := range w.customers {
		r := w.chance(forTies, uint64(c), 2)
		if who := &w.customers[c]; r.hit(w.p[wholesalers]) {
			if m, ok := w.choose(&r, vw.Retail, who.cluster); ok && w.merchants[m].kind == supermarket {
				who.stocksUp, who.rate = m, max(who.rate, float32(r.between(.5, 1)))
			}
		}
	}
	for i := range 1 + int(w.p[helpingShops]*float64(len(w.merchants))) {
		r := w.chance(forTies, uint64(i), 3)
		first := r.below(len(w.customers))
		m, ok := w.choose(&r, []vw.Category{vw.Retail, vw.Hospitality}[r.below(2)], w.customers[first].cluster)
		for c, n := first, r.among(4, 10); ok && n > 0 && c < len(w.customers); c++ { // one of each household nearby
			if who := &w.customers[c]; who.cluster == w.customers[first].cluster && who.head == int32(c) {
				who.helped, who.rate = m, max(who.rate, float32(r.between(.3, .6)))
				n--
			}
		}
	}
}

// crown makes one supermarket a giant that holds a flash sale (H15).
func (w *world) crown() {
	all := w.kindOf[supermarket]
	if len(all) == 0 {
		return
	}
	r := w.chance(forTies, 0, 0)
	giant := &w.merchants[all[0]]
	rest := 0.0
	for _, i := range all[1:] {
		rest += w.merchants[i].size
	}
	giant.size = max(1, min(w.p[giantSize], rest/4)) // a fifth of a small county's supermarkets
	giant.giant, giant.openDay, giant.barDay, giant.cashiers = true, 0, 0, 20
	for t := len(giant.terminals); t < 12; t++ {
		giant.terminals = append(giant.terminals, digits(hash(w.seed, forTies, 1, uint64(t)), 8))
	}
	w.flash.merchant, w.flash.day = giant.index, w.Start+r.below(w.last-w.Start+1)
	w.flash.at = w.midnight(w.flash.day) + vw.Millis([]int{12, 15, 20}[r.below(3)])*vw.Hour
	for range 3 {
		t := w.tiers[vw.Retail]
		threshold := w.Vouchers[t[r.below(len(t))]].Threshold
		w.flash.deals = append(w.flash.deals, vw.Fen(float64(threshold)*r.between(1, 1.3))/100*100+90)
	}
}

// helperDevice is the tablet on the counter of a shop whose staff helps its neighbours.
func (w *world) helperDevice(m int32) string {
	return token('d', hash(w.seed, forDevice, uint64(m), 3))
}

// haunted is the shop that one's ties lead to, if they do this time.
func (w *world) haunted(r *chance, c int32, cycle int) (m int32, day int, at vw.Millis, tags tag) {
	who := &w.customers[c]
	u := r.float()
	switch {
	case who.helped >= 0 && u < .85:
		return who.helped, 0, 0, h16
	case who.stocksUp >= 0 && u < .85:
		return who.stocksUp, 0, 0, h13
	case who.canteen >= 0 && u < w.p[canteenShare] && len(w.kindOf[canteen]) > 0:
		return w.kindOf[canteen][int(who.canteen)%len(w.kindOf[canteen])], 0, 0, h3
	case who.kin >= 0 && u < w.p[kinShare]:
		return who.kin, 0, 0, h14
	case who.employer >= 0 && w.block(who.employer) && u < .55:
		if r.hit(w.p[outings]) {
			return w.outing(r, who.employer, cycle)
		}
		if m, ok := w.haunt(who.employer, r.below(3)); ok {
			return m, 0, 0, h10
		}
	}
	return -1, 0, 0, 0
}

// outing (H10): people of one block go out together a few times in a cycle and arrive within minutes.
func (w *world) outing(r *chance, employer int32, cycle int) (m int32, day int, at vw.Millis, tags tag) {
	o := w.chance(forBanquet, uint64(employer), 1<<20|uint64(cycle)<<8|uint64(r.below(4)))
	m, ok := w.haunt(employer, o.below(3))
	if !ok {
		return -1, 0, 0, 0
	}
	day = w.cycles[cycle].from + o.weighted(w.cycles[cycle].weights)
	at = w.midnight(day) + vw.Millis((o.between(11.5, 20)+r.between(0, .25))*float64(vw.Hour))
	return m, day, at, h10
}

// invited is a visit that one does not decide on alone: a banquet of the firm, a flash sale.
func (w *world) invited(c int32, cycle, s int) (act, bool) {
	if a, ok := w.atFlashSale(c, cycle, s); ok {
		return a, true
	}
	if s == 0 && w.customers[c].employer >= 0 {
		return w.atBanquet(c, cycle)
	}
	return act{}, false
}

// atFlashSale (H15): for one hour the giant sells three things at fixed prices, and many buy several.
func (w *world) atFlashSale(c int32, cycle, s int) (act, bool) {
	f := &w.flash
	if len(f.deals) == 0 || f.day < w.cycles[cycle].from || f.day > w.cycles[cycle].to {
		return act{}, false
	}
	who := w.chance(forTies, uint64(c), 4)
	if !who.hit(w.p[flashPull]) {
		return act{}, false
	}
	at := f.at + min(50*vw.Minute, vw.Millis(who.exp(14)*float64(vw.Minute)))
	r := w.chance(forTies, uint64(c), 5+uint64(s))
	if !r.hit([]float64{.9, .55, .4}[min(s, 2)]) {
		return act{}, false
	}
	a, ok := w.purchase(&r, c, f.merchant, f.day)
	a.key = w.slotKey(c, cycle, s)
	a.order = f.deals[r.below(len(f.deals))]
	a.voucher = w.best(vw.Retail, a.order)
	a.discount = w.Vouchers[a.voucher].Face
	a.at = at + vw.Millis(float64(s)*r.between(.7, 4)*float64(vw.Minute))
	a.claimed = min(a.claimed, a.at-minClaim)
	a.tags = a.tags&^h6 | h15
	return a, ok && a.claimed >= w.release(f.day) && a.at < w.closing(f.merchant, f.day)
}

// atBanquet (H8): 5 to 12 colleagues eat together and each pays with an own voucher within 20 minutes.
func (w *world) atBanquet(c int32, cycle int) (act, bool) {
	e := w.customers[c].employer
	r := w.chance(forBanquet, uint64(e), uint64(cycle))
	if !r.hit(w.p[banquets]) || !w.among(&r, c, w.staff[e]) {
		return act{}, false
	}
	halls := w.kindOf[hotel]
	if r.hit(.5) {
		halls = w.kindOf[dining]
	}
	if len(halls) == 0 {
		return act{}, false
	}
	m := halls[r.below(len(halls))]
	day := w.cycles[cycle].from + r.weighted(w.cycles[cycle].weights)
	at := w.midnight(day) + vw.Millis([]float64{12.6, 19.2}[r.below(2)]*float64(vw.Hour)) + vw.Millis(r.norm()*float64(20*vw.Minute))
	if !w.merchants[m].trades(day) {
		return act{}, false
	}
	evenly := r.hit(.4) // the bill is divided by heads
	share := w.amount(&r, &w.merchants[m])
	own := w.chance(forVisit, uint64(c), uint64(cycle)<<8|200)
	a, ok := w.purchase(&own, c, m, day)
	if evenly {
		a.order = share
		a.voucher = w.best(w.merchants[m].category, share)
		a.discount = w.Vouchers[a.voucher].Face
	}
	a.key = w.slotKey(c, cycle, 0)
	a.at = at + vw.Millis(own.between(0, 20)*float64(vw.Minute))
	a.tags = a.tags&^h6 | h8
	return a, ok && a.at > a.claimed+minClaim && a.at < w.closing(m, day)
}

// among tells whether c is one of 5 to 12 who are drawn from a list.
func (w *world) among(r *chance, c int32, all []int32) bool {
	if len(all) == 0 {
		return false
	}
	in := false
	for range r.among(5, 12) {
		in = all[r.below(len(all))] == c || in
	}
	return in
}

// standing is the sum that a small trader stocks up for, much the same each time.
func (w *world) standing(r *chance, c int32) vw.Fen {
	who := w.chance(forTies, uint64(c), 9)
	sum := who.lognormal(320, .4) * math.Exp(.06*r.norm())
	step := []float64{1, 10, 50}[who.below(3)]
	return max(w.Vouchers[w.tiers[vw.Retail][0]].Threshold, vw.Fen(math.Round(sum/step)*step*100))
}

// byTheDozen is the factor on the prices of those who pay a shop's second list.
func (w *world) byTheDozen(m *merchant) float64 {
	r := w.chance(forTies, uint64(m.index), 10)
	return r.between(.5, .85)
}
