package detectors

import (
	vw "voucherwatch"
)

// trait is one thing that a redemption shows. Each is sorted into bins; a bin that is likelier under cash-out
// than by the shop's habit speaks against the redemption.
type trait uint8

const (
	byGoods   trait = iota // the receipt: none where the till sends them, one line, more
	byAmount               // how far above the threshold (贴线, T02), by voucher type
	byTier                 // which voucher: the dearer, the more a fraud earns
	byBasket               // the very sum of one of the last 32, other than the threshold
	byCustom               // how often the customer has been here, and anywhere else
	byDevice               // how many accounts the device has shown here
	byOwner                // whether it is the registered owner
	byClaim                // how long after the claim
	byArrival              // how soon after the last one, against the shop's own pace
	byClock                // the hour, and whether the shop is closed
	byPlace                // whether the code was shown far from the shop
	traits
)

// deal tells the traits of what was sold from those of who, when and where.
func (t trait) deal() bool { return t <= byBasket }

// ofTill tells the traits that depend on the till or the goods of the shop more than on its trade.
func (t trait) ofTill() bool { return t == byGoods || t == byBasket }

// slow tells the traits that a shop is taught more slowly by what shows several marks at once.
func (t trait) slow() bool { return t == byAmount || t == byTier || t == byCustom }

// marks tells the traits that count as marks for that: a crowd or an hour is no sign by itself, and the way of a
// till none of fraud.
func (t trait) marks() bool { return t < byClaim && !t.ofTill() }

const (
	visitBins = 4
)

// binsOf is how many bins a trait has, firstBin where they begin among all.
var (
	binsOf = [traits]int{
		byGoods: 3, byAmount: overBins, byTier: 1, byBasket: 2, byCustom: 2 * visitBins, byDevice: 3, byOwner: 2, byClaim: 5, byArrival: 4, byClock: 25, byPlace: 2,
	}
	firstBin = func() (first [traits]int) {
		n := 0
		for t := range traits {
			first[t] = n
			n += binsOf[t]
		}
		return first
	}()
)

const allBins = 3 + overBins + 1 + 2 + 2*visitBins + 3 + 2 + 5 + 4 + 25 + 2

// bounds of what a trait may add to the log likelihood ratio.
var traitLow, traitHigh = [traits]float64{
	byGoods: -.6, byAmount: -1.5, byTier: -.7, byBasket: -.4, byCustom: -1.2, byDevice: -.3, byOwner: -.2, byClaim: -.2, byArrival: -.3, byClock: -.2, byPlace: -.1,
}, [traits]float64{
	byGoods: 2, byAmount: 2.5, byTier: 2, byBasket: 1.5, byCustom: 2.5, byDevice: 2.5, byOwner: 2, byClaim: 1.5, byArrival: 1.2, byClock: 2, byPlace: 1.5,
}

// listPrices is the mean ratio of byBasket from which a shop is taken to sell at a few prices: half of its sums
// are of the latest before.
const listPrices = 2.4

// timeHigh bounds what claim, arrival, clock and place add together.
const timeHigh = 3

// look is a redemption sorted into bins; -1 is not seen.
type look struct {
	bin          [traits]int8
	ratio        [traits]float32 // of cash-out against the trade
	customer     uint32          // tag
	device, card uint32          // tags, 0 unknown
	accounts     uint8           // that the device has shown here
	alike        int8            // how many of the last 32 were for the same sum
	price        bool            // so many that the sum is taken for a price of the shop
	again        bool            // the customer has redeemed here today
}

// look sorts a redemption into bins and remembers the guest.
func (d *cashout) look(v *Visit, s *till) (l look) {
	e, m := v.Event, v.Merchant
	for t := range l.bin {
		l.bin[t] = -1
	}
	day := uint16(v.Day)
	l.customer = guestTag(e.Customer.Key)
	g, newcomer := s.guests.get(l.customer)
	l.again = !newcomer && g.day == day
	if !l.again {
		g.n = min(g.n, 254) + 1
		g.day = day
	}
	k := min(int8(g.n), visitBins) - 1
	if int(d.null.outings[outing(e.Customer.Key)]) >= int(g.n) {
		k += visitBins // known elsewhere
	}
	l.bin[byCustom] = k

	// What is known of the goods, the device and the claim is said to be missing whoever the customer is.
	hasLines := e.Has&vw.FieldLines != 0
	s.lines = s.lines || hasLines
	switch {
	case !s.lines:
		v.Blind(d.env, vw.FieldLines)
	case !hasLines:
		l.bin[byGoods] = 0
	default:
		l.bin[byGoods] = int8(min(e.LineCount, 2))
	}
	if e.Device.Key == 0 {
		v.Blind(d.env, vw.FieldDevice)
	} else {
		who := uint8(l.customer)
		l.device = deviceTag(e.Device.Key)
		p, isNew := s.guests.get(l.device)
		if isNew || p.who != who && newcomer {
			p.n = min(p.n, 254) + 1
			p.who = who
		}
		p.day = day
		l.accounts = p.n
		l.bin[byDevice] = int8(min(p.n, 3)) - 1
	}
	if e.Has&vw.FieldClaimedAt == 0 {
		v.Blind(d.env, vw.FieldClaimedAt)
	} else if wait := v.T - e.ClaimedAt; wait >= 0 {
		l.bin[byClaim] = claimBin(wait)
	}
	if e.Card.Key != 0 {
		l.card = guestTag(e.Card.Key)
	}
	bin := overBin(v.Over)
	l.bin[byAmount] = int8(bin)
	if l.again {
		return l
	}

	l.bin[byTier] = 0
	seen := int(min(s.bills, int32(len(s.sums))))
	for _, sum := range s.sums[:seen] {
		if sum == uint32(e.OrderFen) {
			l.alike++
		}
	}
	if bin > 0 {
		l.bin[byBasket] = min(l.alike, 1)
		l.price = l.alike >= 2
	} else {
		l.price = seen >= 4 && 4*int(l.alike) >= 3*seen
	}
	if len(m.Owners) > 0 {
		l.bin[byOwner] = 0
		if m.OwnedBy(e.Customer.Key) {
			l.bin[byOwner] = 1
		}
	}
	l.bin[byArrival] = s.arrival(v, m)
	l.bin[byClock] = int8(v.Minute / 60)
	if closed(m, v.Minute) {
		l.bin[byClock] = 24
	}
	if e.Has&vw.FieldLocation != 0 && m.Located {
		l.bin[byPlace] = 0
		if metres(e.Lon, e.Lat, m.Lon, m.Lat) > d.Far {
			l.bin[byPlace] = 1
		}
	}
	return l
}

func claimBin(wait vw.Millis) int8 {
	for i, edge := range [...]vw.Millis{2 * vw.Minute, 10 * vw.Minute, 40 * vw.Minute, 3 * vw.Hour} {
		if wait < edge {
			return int8(i)
		}
	}
	return 4
}

// weigh is the log likelihood ratio by trait.
func (d *cashout) weigh(v *Visit, s *till, l *look) (f [traits]float64) {
	c, n, kind := s.category, d.null, v.Event.VoucherType
	for t := range traits {
		if l.bin[t] < 0 {
			continue
		}
		i := firstBin[t] + int(l.bin[t])
		log := n.log[c][i]
		l.ratio[t] = n.ratio[c][i]
		switch t {
		case byAmount:
			l.ratio[t], log = n.overRatio[kind][l.bin[t]], n.overLog[kind][l.bin[t]]
		case byTier:
			l.ratio[t], log = n.faceRatio[kind], n.faceLog[kind]
		}
		x := float64(log)
		if x > 0 || !t.ofTill() {
			x -= s.habit.excuse(t, d.Shrink)
		}
		if t.ofTill() && log > 0 {
			x = max(x, 0) // the way of the till is no sign of honesty either
		}
		f[t] = clip(x, traitLow[t], traitHigh[t])
	}
	// That a price of the shop lies just above a threshold says nothing more each time it is paid. The threshold
	// itself is taken for one when hardly anything else is paid.
	if s.raised == 0 && f[byAmount] > 0 {
		switch {
		case l.price:
			f[byAmount] = 0
		case s.habit.mean(byBasket, d.Shrink) > listPrices: // a shop of few prices has few sums to choose from
			f[byAmount] /= 2
		}
	}
	// A crowd is no sign by itself: a sale, a rush, a tour. It is one of what shows another mark.
	if f[byArrival] > 0 && max(f[byGoods], f[byAmount], f[byTier], f[byBasket], f[byCustom], f[byDevice], f[byOwner]) < d.Mark {
		f[byArrival] = 0
	}
	if over := f[byClaim] + f[byArrival] + f[byClock] + f[byPlace] - timeHigh; over > 0 {
		f[byArrival] -= over
	}
	return f
}

// closed tells whether a minute of the day lies more than half an hour outside the opening hours.
func closed(m *Profile, minute int) bool {
	const grace = 30
	if m.OpensAt < 0 || m.ClosesAt < 0 || m.OpensAt == m.ClosesAt {
		return false
	}
	if m.OpensAt < m.ClosesAt {
		return minute < m.OpensAt-grace || minute > m.ClosesAt+grace
	}
	return minute < m.OpensAt-grace && minute > m.ClosesAt+grace // open past midnight
}
