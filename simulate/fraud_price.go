package simulate

import vw "voucherwatch"

// newShop adds a merchant of the fraud's own. Prices run through every receipt of a shop, so a shop
// that raises them cannot be one of the honest world: its honest receipts would have to change. It is
// registered, priced and visited like the others, after a change if there is one.
func (f *fraud) newShop(k kind, change func(m *merchant)) *merchant {
	w := f.g.w
	i := int32(len(w.merchants))
	m := w.newMerchant(i, k)
	m.posts, m.sale = true, false
	m.never &^= noLines | noMCC
	if change != nil {
		change(&m)
	}
	w.merchants = append(w.merchants, m)
	f.g.register(w.merchants[i:])
	f.busy[i] = true
	return &w.merchants[i]
}

// traffic is how many customers the shop gets, and whether each buys what the fraud is about.
func (f *fraud) traffic(m *merchant, n int, from int, about float64, fraudulent, clean func(a *act)) {
	w := f.g.w
	for range n {
		day := w.Start + f.r.below(w.last-w.Start+1)
		if w.RoundOn(day) < 0 {
			continue
		}
		c, ok := f.person(day, 1)
		if !ok {
			continue
		}
		if day >= from && f.r.hit(about) {
			f.buy(c, m, day, fraudulent)
			continue
		}
		if a := f.buy(c, m, day, clean); a != nil {
			a.label = label{filler: true}
		}
	}
}

// dear marks 25–60 % of the goods of a shop as raised by 10–22 % from a day on.
func (f *fraud) dear(m *merchant, day int, low, high float64) {
	w := f.g.w
	m.raise = &raise{day: day}
	share := f.r.between(.25, .6)
	seen := w.watchedBy(m)
	for k := range goods {
		if w.stocks(m, k) && f.r.hit(share) {
			m.raise.factor[k] = 1 + f.r.between(low, high)
		}
	}
	some := 0
	for _, k := range seen {
		if m.raise.factor[k] > 0 {
			some++
		}
	}
	for _, k := range seen { // at least three that somebody reads
		if some < 3 && m.raise.factor[k] == 0 {
			m.raise.factor[k] = 1 + f.r.between(low, high)
			some++
		}
	}
	for k := range goods {
		if m.raise.factor[k] > 0 {
			sku, _ := skuName(k)
			f.skus = append(f.skus, sku)
		}
	}
	f.raisedOn = day
}

// priceRaise (s12): up in days −4 … −1, and the voucher is spent on the rise.
func priceRaise(f *fraud) bool {
	m := f.newShop(supermarket, nil)
	f.dear(m, f.g.w.Start-f.r.among(1, 4), .10, .22)
	m.raise.hidden = f.r.hit(.25)
	f.atTheTill = m.raise.hidden
	f.traffic(m, f.size(45), f.g.w.Start, .85, dearer, fair)
	return true
}

// raiseThenDiscount (T20): up just before, and a price that was never asked is struck through.
func raiseThenDiscount(f *fraud) bool {
	m := f.newShop(supermarket, nil)
	f.dear(m, f.g.w.Start-f.r.among(1, 5), .06, .12)
	m.raise.claimed = true
	f.traffic(m, f.size(45), f.g.w.Start, .8, dearer, fair)
	return true
}

func dearer(a *act) { a.face.basket, a.label.role = raised, "dearer" }

func fair(a *act) { a.face.basket = unraised }

// surcharge (T21): the till asks 5–12 % more of those who show a voucher, and they complain.
func surcharge(f *fraud) bool {
	w := f.g.w
	m := f.newShop(supermarket, nil)
	from, rise := f.first, 1+f.r.between(.05, .12)
	f.atTheTill, f.raisedOn = true, from
	f.traffic(m, f.size(45), from, 1, func(a *act) {
		a.face.unit, a.label.role = rise, "surcharged"
	}, nil)
	for i := range f.r.among(3, 7) {
		day := from + f.r.below(w.last-from+1)
		kind := "surcharge"
		if f.r.hit(.25) {
			kind = "price"
		}
		at := w.midnight(day) + vw.Millis(f.r.between(11, 20)*float64(vw.Hour))
		e := vw.Complaint{Type: "complaint", ID: token('p', hash(w.seed, forComplaint, f.key<<8|uint64(i), 1)), At: w.text(at), MerchantID: m.id, Kind: kind, Text: "用券要加价"}
		f.g.notes[day] = append(f.g.notes[day], note{at, e, omitted})
	}
	return true
}

// fuelCap (T22): a station above the ceiling by 1–5 %, at the pump and on its board.
func fuelCap(f *fraud) bool {
	w := f.g.w
	if len(w.tiers[vw.Fuel]) == 0 {
		return false
	}
	m := f.newShop(petrol, nil)
	m.raise = &raise{day: f.first}
	m.raise.factor[0] = 1 + f.r.between(.012, .05)
	f.raisedOn = f.first
	for i := range grades {
		f.skus = append(f.skus, grades[i].sku)
	}
	f.traffic(m, f.size(50), f.first, 1, func(a *act) { a.label.role = "over-cap" }, nil)
	return true
}
