package simulate

import (
	"math"

	vw "voucherwatch"
)

// tag marks honest look-alikes by bit: H1 to H12 of detection.md §6, and those beyond it.
type tag uint32

const (
	h1 tag = 1 << iota
	h2
	h3
	h4
	h5
	h6
	h7
	h8
	h9
	h10
	h11
	h12
	h13 // a small trader stocks up at one place
	h14 // relatives of the owner
	h15 // flash sale of a giant
	h16 // neighbours helped with a device of the shop
	h17 // shop with two price lists
)

var tagNames = [...]string{"H1", "H2", "H3", "H4", "H5", "H6", "H7", "H8", "H9", "H10", "H11", "H12", "H13", "H14", "H15", "H16", "H17"}

// act is one voucher from claim to payment: who, where, what for. Honest acts are drawn when their day
// comes; fraud, violations and 爱心 are planned before the first day.
type act struct {
	key        uint64 // names the act; all of its ids are hashes of it
	customer   int32
	merchant   int32
	voucher    uint8
	day        int
	claimed    vw.Millis
	at         vw.Millis
	order      vw.Fen
	discount   vw.Fen
	used       bool // false: claimed and never used
	tags       tag
	face       face
	claimBy    int32         // whose claim it is, usually the customer
	voucherKey uint64        // names the voucher; key but for 爱心 and T18
	unclaimed  bool          // no claim event (C05, second use of a voucher)
	refund     vw.Millis     // when it is refunded in full by plan, 0 for chance
	returns    float64       // share of the sum that goes back then, 0 for all
	returned   bool          // that refund gives the voucher back although it is over (T17)
	spoil      func(*record) // violations
	mangle     mangling      // malformed lines
	label      label
}

// face is how an act differs from what customer, merchant and amount imply.
type face struct {
	device, card string
	channel      string
	serial       string  // of the appliance sold
	fee          float64 // a surcharge on its own line, share of the rest
	claimLon     *float64
	claimLat     *float64
	terminal     int // 1-based, 0 by chance
	cashier      int
	ticket       int // order number, 0 by the clock
	basket       basket
	unit         float64 // factor on every price of the receipt; 0 is 1
	billSeed     uint64  // parts of one basket share it
	part         int     // which part
}

// basket is what the receipt shows.
type basket uint8

const (
	usual    basket = iota
	single          // one line for the whole sum
	raised          // holds goods whose price was raised
	unraised        // holds none of them
)

// visit is slot s of a customer in a cycle: a pure function, so that anyone can ask what anyone does.
func (w *world) visit(c int32, cycle, s int) (act, bool) {
	if a, ok := w.invited(c, cycle, s); ok {
		return a, true
	}
	who := &w.customers[c]
	r := w.chance(forSlot, uint64(c), uint64(cycle)<<8|uint64(s))
	if !r.hit(float64(who.rate)) {
		return act{}, false
	}
	u := r.float()
	if s > 0 && u < w.p[forgot]*3 { // a third visit of three often has no first
		if lead, ok := w.visit(c, cycle, s-1); ok && lead.used {
			a := w.follow(&lead, c, cycle, s, .5+r.exp(w.p[forgotMinutes]))
			if r.hit(w.p[forgotExact]) { // and something more, to reach the threshold
				a.order = w.Vouchers[a.voucher].Threshold
			}
			a.tags |= h2
			return a, a.used
		}
	}
	if s > 0 && who.canteen >= 0 && r.hit(w.p[canteenTwice]) { // lunch, and supper at the same table
		if lead, ok := w.visit(c, cycle, s-1); ok && lead.used && lead.tags&h3 != 0 && lead.at < w.midnight(lead.day)+15*vw.Hour {
			a := w.follow(&lead, c, cycle, s, r.between(4.5, 7)*60)
			a.tags |= h3
			return a, a.used
		}
	}
	if who.head != c && (s == 0 && u < w.p[paysBeside] || w.onePhone(who.head) && r.hit(.5)) {
		if lead, ok := w.visit(who.head, cycle, s); ok && lead.used {
			a := w.follow(&lead, c, cycle, s, r.between(20, 180)/60)
			a.tags |= h1
			return a, a.used
		}
	}
	return w.errand(c, cycle, s)
}

// slotKey names the act of a slot.
func (w *world) slotKey(c int32, cycle, s int) uint64 {
	return hash(w.seed, forSlot, uint64(c), 1<<32|uint64(cycle)<<8|uint64(s))
}

// follow is another payment where the lead paid, some minutes later.
func (w *world) follow(lead *act, c int32, cycle, s int, minutes float64) act {
	r := w.chance(forVisit, uint64(c), uint64(cycle)<<8|uint64(s))
	a, ok := w.purchase(&r, c, lead.merchant, lead.day)
	a.key = w.slotKey(c, cycle, s)
	a.at = lead.at + vw.Millis(minutes*float64(vw.Minute))
	a.used = ok && a.at < w.closing(lead.merchant, lead.day)
	if a.claimed > a.at-minClaim {
		a.claimed = w.release(a.day) + vw.Millis(r.float()*float64(max(1, a.at-minClaim-w.release(a.day))))
	}
	a.tags = a.tags&^h6 | lead.tags&(h5|h7|h11)
	return a
}

// minClaim is the shortest time from claim to payment; more than two clocks can differ.
const minClaim = 200 * vw.Second

func (w *world) closing(m int32, day int) vw.Millis {
	expire := w.ExpireMinute
	if expire == 0 {
		expire = 1439
	}
	return w.midnight(day) + vw.Millis(min(w.merchants[m].shut, expire))*vw.Minute - vw.Minute
}

// errand is a visit of one's own.
func (w *world) errand(c int32, cycle, s int) (act, bool) {
	who := &w.customers[c]
	r := w.chance(forVisit, uint64(c), uint64(cycle)<<8|uint64(s))
	day := w.cycles[cycle].from + r.weighted(w.cycles[cycle].weights)
	m, on, at, tags := w.haunted(&r, c, cycle)
	ok := m >= 0
	if on > 0 {
		day = on
	}
	if !ok {
		for _, p := range w.promos {
			if since := day - w.merchants[p].openDay; since >= 0 && since < 3 && r.hit(w.p[openings]/float64(len(w.kinds[w.merchants[p].category]))+.004) {
				m, ok = p, true
				break
			}
		}
	}
	if !ok {
		m, ok = w.choose(&r, vw.Category(r.weighted(w.share)), who.cluster)
	}
	if !ok || !w.merchants[m].trades(day) {
		return act{}, false
	}
	a, ok := w.purchase(&r, c, m, day)
	a.key = w.slotKey(c, cycle, s)
	a.tags |= tags
	a.used = !r.hit(w.p[waste])
	if at > a.claimed+minClaim && at < w.closing(m, day) && ok {
		a.at, a.tags = at, a.tags&^h6
	}
	if tags == h16 {
		a.face.device = w.helperDevice(m)
	}
	return a, ok
}

// purchase draws what a customer buys at a merchant on a day: claim, time, amount, voucher.
func (w *world) purchase(r *chance, c, mi int32, day int) (act, bool) {
	m := &w.merchants[mi]
	tiers := w.tiers[m.category]
	a := act{customer: c, claimBy: c, merchant: mi, day: day, used: true}
	if len(tiers) == 0 {
		return a, false
	}
	a.order = w.amount(r, m)
	if w.customers[c].stocksUp == mi {
		a.order = w.standing(r, c)
	}
	a.voucher = w.best(m.category, a.order)
	if r.hit(w.p[lesser]) {
		if n := w.reach(m.category, a.order); n > 1 {
			a.voucher = tiers[r.below(n-1)]
		}
	}
	a.discount = w.Vouchers[a.voucher].Face
	a.claimed, a.at = w.moments(r, m, day)
	if m.kind == petrol && a.order%5000 == 0 {
		a.tags |= h4
	}
	if m.kind == fixedPrice {
		a.tags |= h5
	}
	if m.openDay > 0 && day < m.openDay+3 {
		a.tags |= h7
	}
	if m.sale && day < w.Start+10 || m.kind == supermarket && w.shelf.dearSince(day) {
		a.tags |= h9
	}
	if m.twoLists {
		a.tags |= h17
		if w.customers[c].stocksUp == mi || r.hit(.2) {
			a.face.unit = w.byTheDozen(m)
		}
	}
	if m.street {
		a.tags |= h11
	}
	if holiday(day) || a.at-w.release(day) < 40*vw.Minute {
		a.tags |= h6
	}
	return a, true
}

// reach is how many tiers of a category an order reaches.
func (w *world) reach(c vw.Category, order vw.Fen) int {
	n := 0
	for _, t := range w.tiers[c] {
		if w.Vouchers[t].Threshold <= order {
			n++
		}
	}
	return n
}

// best is the largest voucher that an order reaches, else the smallest there is.
func (w *world) best(c vw.Category, order vw.Fen) uint8 {
	return w.tiers[c][max(0, w.reach(c, order)-1)]
}

// moments draws when a voucher is claimed and when it is used.
func (w *world) moments(r *chance, m *merchant, day int) (claimed, at vw.Millis) {
	claimed = w.claimTime(r, m.category, day)
	release := w.release(day)
	closing := w.closing(m.index, day)
	if r.hit(w.p[rush]) {
		at = claimed + minClaim + vw.Millis(r.exp(12)*float64(vw.Minute))
	} else {
		s := &w.shops[m.kind]
		for range 6 {
			h := s.peaks[r.below(2)] + s.width*r.norm()
			if r.hit(.12) {
				h = r.between(float64(m.open), float64(m.shut)) / 60
			}
			at = w.midnight(day) + vw.Millis(h*float64(vw.Hour))
			if at > claimed+minClaim && at < closing && at > w.midnight(day)+vw.Millis(m.open)*vw.Minute {
				return claimed, at
			}
		}
		at = claimed + minClaim + vw.Millis(r.exp(60)*float64(vw.Minute))
	}
	if opens := w.midnight(day) + vw.Millis(m.open)*vw.Minute; at < opens {
		at = opens + vw.Millis(r.exp(20)*float64(vw.Minute))
	}
	if at >= closing {
		at = claimed + minClaim + vw.Millis(r.float()*float64(closing-claimed-minClaim))
	}
	return max(claimed, release), at
}

// claimTime follows the release until the stock of the day is out.
func (w *world) claimTime(r *chance, c vw.Category, day int) vw.Millis {
	out := float64(w.stockOut(day, c))
	mean := w.p[claimMinutes] * float64(vw.Minute)
	// Inverse of the exponential cut at the stock-out; the first seconds after the release are human.
	t := -mean * math.Log(1-r.float()*(1-math.Exp(-out/mean)))
	return w.release(day) + vw.Millis(t) + vw.Second
}

// amount draws a basket that reaches some voucher, in fen.
func (w *world) amount(r *chance, m *merchant) vw.Fen {
	tiers := w.tiers[m.category]
	lowest := w.Vouchers[tiers[0]].Threshold
	for range 12 {
		a := w.basketOf(r, m)
		for _, t := range tiers {
			threshold := w.Vouchers[t].Threshold
			if a < threshold && float64(a) >= w.p[topUpFrom]*float64(threshold) && r.hit(w.p[topUp]) {
				a = w.finish(r, m, vw.Fen(float64(threshold)*(1+r.exp(w.p[topUpOver]))))
				break
			}
		}
		if a >= lowest {
			return a
		}
	}
	return w.finish(r, m, vw.Fen(float64(lowest)*(1+r.exp(.15))))
}

func (w *world) basketOf(r *chance, m *merchant) vw.Fen {
	s := &w.shops[m.kind]
	switch m.kind {
	case petrol:
		if r.hit(.7) {
			return []vw.Fen{10000, 15000, 20000, 20000, 20000, 25000, 30000, 30000, 35000, 40000}[r.below(10)]
		}
		return vw.Fen(r.lognormal(s.median, s.sd) * 100)
	case canteen:
		if r.hit(.3) {
			return m.prices[0]
		}
	case fixedPrice:
		return m.prices[r.below(len(m.prices))] * vw.Fen(1+r.below(3))
	case appliances:
		y := r.lognormal(s.median, s.sd)
		step := 100.0
		if y > 2000 && r.hit(.6) {
			step = 500
		}
		y = math.Max(1, math.Round(y/step)) * step
		switch {
		case r.hit(.6):
			y--
		case r.hit(.3):
			y -= 10
		}
		if r.hit(.2) {
			y += math.Round(r.between(20, 300)) // a cable, a case
		}
		return vw.Fen(y) * 100
	}
	return w.finish(r, m, vw.Fen(r.lognormal(s.median, s.sd)*100))
}

// finish rounds a sum as the shop's prices make it, upwards.
func (w *world) finish(r *chance, m *merchant, a vw.Fen) vw.Fen {
	s := &w.shops[m.kind]
	switch u := r.float(); {
	case u < s.whole:
		return (a + 99) / 100 * 100
	case m.kind == dining && u < s.whole+.2:
		return a/100*100 + 90 // x.9
	case m.dime:
		return (a + 9) / 10 * 10
	}
	return a
}
