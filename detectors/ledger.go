package detectors

import vw "voucherwatch"

// ledger is what the customers of a slot used where: one for all detectors of the customer lane, which
// ask it with visit and get the same answer in turn. A customer is a row of 128 bytes, two cache lines;
// a redemption is 20 bytes in the log.
type ledger struct {
	customers Table[patron]
	// places numbers the slot's merchants from 1; keys are theirs by number. Those beyond the room of a
	// number are not looked at.
	places Small[uint16]
	keys   []uint64
	log    useLog
	days   int // horizon: the longest of the detectors'
	swept  vw.Millis
	// seat is the redemption in hand, and which it is.
	seat seat
	id   uint64
	at   vw.Millis
	who  uint64
}

// patron is a customer: 120 bytes beside the key.
type patron struct {
	device, card uint32 // folded keys, the last seen
	head         uint32 // into the log
	last         uint16 // day
	days         uint16 // redemption days
	count        uint16 // redemptions
	ring         uint16 // 1 + index into ring.rings, 0 none
	used         uint8  // how many of the ring's merchants
	purity       uint8  // percent, of being one of the ring
	oddity       uint8  // see ringOddity
	n            uint8
	uses         [patronPlaces]placeUse
}

// placeUse is what a customer did at a merchant.
type placeUse struct {
	place  uint16
	last   uint16 // day
	days   uint8
	count  uint8 // redemptions
	n      uint8 // further days of the customer, as last counted by pair; 0 never
	amount int8  // sum of Visit.Amount in tenths
}

// patronPlaces are the merchants a row has room for: as many as a campaign gives vouchers. When there are
// more the one with the fewest days, of these the longest ago, makes room.
const patronPlaces = 12

// seat is what the ledger says of a redemption.
type seat struct {
	patron  *patron
	use     *placeUse // nil: not looked at
	newDay  bool      // the customer's first redemption of a day
	newUse  bool      // the first at the merchant
	another bool      // a further day at the merchant
}

func newLedger() *ledger { return &ledger{keys: make([]uint64, 1)} }

// visit takes the redemption in, once however many detectors ask, and tells what it is to the customer.
func (l *ledger) visit(v *Visit, env *Env) *seat {
	e := v.Event
	if e.ID.Key == l.id && v.T == l.at && e.Customer.Key == l.who {
		return &l.seat
	}
	l.id, l.at, l.who = e.ID.Key, v.T, e.Customer.Key
	l.seat = seat{}
	place := l.place(e.Merchant.Key)
	if place == 0 {
		return &l.seat
	}
	p, _ := l.customers.Get(e.Customer.Key)
	if e.Device.Key != 0 {
		p.device = fold(e.Device.Key)
	}
	if e.Card.Key != 0 {
		p.card = fold(e.Card.Key)
	}
	p.head = l.log.add(useOf(v, env, place), p.head)
	p.count += min(1, ^p.count)
	day := uint16(v.Day)
	if day > p.last { // a late redemption of yesterday is no further day
		p.last = day
		p.days++
		l.seat.newDay = true
	}
	u, isNew := p.at(place)
	if isNew || day > u.last { // one day, one visit
		u.last = day
		u.days += min(1, ^u.days)
		l.seat.another = !isNew
	}
	u.count += min(1, ^u.count)
	u.amount = int8(clip(float64(int(u.amount)+int(tenths(v.Amount))), -127, 127))
	l.seat.patron, l.seat.use, l.seat.newUse = p, u, isNew
	return &l.seat
}

// place is the number of a merchant, 0 when there are too many.
func (l *ledger) place(key uint64) uint16 {
	if p := l.places.Find(key); p != nil {
		return *p
	}
	if len(l.keys) > 1<<16-1 {
		return 0
	}
	p, _ := l.places.Get(key)
	*p = uint16(len(l.keys))
	l.keys = append(l.keys, key)
	return *p
}

// at is the customer's use of a merchant.
func (p *patron) at(place uint16) (u *placeUse, isNew bool) {
	least := 0
	for i := range p.n {
		u := &p.uses[i]
		if u.place == place {
			return u, false
		}
		if w := &p.uses[least]; u.days < w.days || u.days == w.days && u.last < w.last {
			least = int(i)
		}
	}
	if int(p.n) < len(p.uses) {
		least = int(p.n)
		p.n++
	}
	p.uses[least] = placeUse{place: place}
	return &p.uses[least], true
}

// sweep drops who has left the horizon; each detector of the lane asks for it, the first one counts.
func (l *ledger) sweep(now vw.Millis, offset int) {
	if now == l.swept {
		return
	}
	l.swept = now
	// Late ones may be older than those logged before them.
	since := now - vw.Millis(l.days)*vw.Day - Lateness
	l.log.drop(since)
	oldest := uint16(max(0, vw.DayOf(since, offset)))
	l.customers.Sweep(func(_ uint64, p *patron) bool { return p.last >= oldest })
	l.forget()
}

// forget lets go of the redemption in hand, whose customer may have moved.
func (l *ledger) forget() { l.seat, l.id, l.at, l.who = seat{}, 0, 0, 0 }

func (l *ledger) size() (keys, bytes int) {
	return l.customers.Len(), l.customers.Bytes() + l.log.bytes() + l.places.Bytes() + 8*cap(l.keys)
}

// fold is a key in 32 bits, never 0.
func fold(key uint64) uint32 { return max(1, uint32(key>>32^key)) }
