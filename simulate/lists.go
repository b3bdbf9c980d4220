package simulate

import (
	vw "voucherwatch"
)

// register writes the registry: everybody the afternoon before, new shops on their first morning, and
// the changes that bar a merchant in mid-campaign.
func (g *generator) register(merchants []merchant) {
	w := g.w
	for i := range merchants {
		m := &merchants[i]
		r := w.chance(forRegistry, uint64(m.index), 0)
		e := w.registryRow(m)
		day, at := w.Start-1, w.midnight(w.Start-1)+vw.Millis(r.between(14, 15)*float64(vw.Hour))
		if m.openDay > 0 {
			day, at = m.openDay, w.midnight(m.openDay)+vw.Millis(r.between(7, 9)*float64(vw.Hour))
		}
		e.ID, e.At = token('m', hash(w.seed, forRegistry, uint64(m.index), 1)), w.text(at)
		g.notes[day] = append(g.notes[day], note{at, e, m.gone})
		if m.barDay == 0 {
			continue
		}
		at = w.midnight(m.barDay) + vw.Millis(r.between(8, 9.5)*float64(vw.Hour))
		if m.bar == creditListed {
			row := vw.CreditList{Type: "credit_list", ID: token('l', hash(w.seed, forCredit, uint64(m.index), 0)), At: w.text(at), USCC: m.uscc, Status: "listed", Basis: "严重违法失信名单"}
			g.notes[m.barDay] = append(g.notes[m.barDay], note{at, row, omitted})
			continue
		}
		e.ID, e.At = token('m', hash(w.seed, forRegistry, uint64(m.index), 2)), w.text(at)
		e.Status = [...]string{notBarred: "active", suspended: "suspended", removed: "removed", dishonest: "active"}[m.bar]
		e.Dishonest = m.bar == dishonest
		g.notes[m.barDay] = append(g.notes[m.barDay], note{at, e, m.gone})
	}
}

// list writes a credit list of others: firms that take no part, some of which were repaired.
func (g *generator) list() {
	w := g.w
	for i := range 24 + int(8*g.o.Scale) {
		r := w.chance(forCredit, uint64(i), 1)
		day := w.Start - r.among(2, 8)
		at := w.midnight(day) + vw.Millis(r.between(0, 20)*float64(vw.Hour))
		row := vw.CreditList{Type: "credit_list", ID: token('l', hash(w.seed, forCredit, uint64(i), 2)), At: w.text(at), USCC: uscc(&r, w.district()), Status: "listed", Basis: "严重违法失信名单"}
		if i == 0 { // one whitelisted merchant was listed and repaired before the start: it may trade
			for j := range w.merchants {
				if m := &w.merchants[j]; m.barDay == 0 && m.never&noUSCC == 0 {
					row.USCC = m.uscc
					break
				}
			}
		}
		g.notes[day] = append(g.notes[day], note{at, row, omitted})
		if i%8 == 0 {
			at = w.midnight(w.Start-1) + vw.Millis(r.between(9, 20)*float64(vw.Hour))
			row.ID, row.At, row.Status = token('l', hash(w.seed, forCredit, uint64(i), 3)), w.text(at), "removed"
			g.notes[w.Start-1] = append(g.notes[w.Start-1], note{at, row, omitted})
		}
	}
}

// love plans the 爱心 stream: a list, a credited balance each, and a few purchases that draw on it.
func (g *generator) love() {
	w := g.w
	if w.balance < 0 {
		return
	}
	v := w.Vouchers[w.balance]
	from, until := max(v.From, w.Start+1), min(v.Until, w.last)
	if from > until {
		return
	}
	n := min(len(w.customers)/4, max(8, int(160*g.o.Scale)))
	for i := range n {
		r := w.chance(forLove, uint64(i), 0)
		c := int32(i * len(w.customers) / n)
		g.listed[c] = true
		at := w.midnight(w.Start-1) + vw.Millis(r.between(10, 13.9)*float64(vw.Hour))
		row := vw.Beneficiary{Type: "beneficiary", ID: token('b', hash(w.seed, forLove, uint64(i), 1)), At: w.text(at), CustomerID: w.customerID(c), Status: "listed", LimitFen: int64(v.Limit)}
		if r.hit(.24) {
			row.AgentCustomerIDs = []string{w.customerID(w.customers[c].head)}
			if w.customers[c].head == c {
				row.AgentCustomerIDs[0] = w.customerID((c + 1) % int32(len(w.customers)))
			}
		}
		g.notes[w.Start-1] = append(g.notes[w.Start-1], note{at, row, empty})
		credited := w.midnight(from) + vw.Millis(r.between(9, 9.98)*float64(vw.Hour))
		key := hash(w.seed, forLove, uint64(i), 2)
		left, first := v.Limit, true
		day := from
		for range r.among(1, 5) {
			if day > until || left <= 0 {
				break
			}
			category := []vw.Category{vw.Retail, vw.Retail, vw.Retail, vw.Hospitality, vw.Appliance}[r.below(5)]
			m, ok := w.choose(&r, category, w.customers[c].cluster)
			if ok && w.merchants[m].trades(day) {
				if a, ok := w.purchase(&r, c, m, day); ok {
					a.key, a.voucherKey, a.voucher = mix(key+uint64(day)), key, uint8(w.balance)
					if w.merchants[m].kind != petrol {
						a.order = max(1000, a.order*vw.Fen(r.among(3, 11))/10)
					}
					a.discount = min(left, a.order)
					a.claimed, a.unclaimed = credited, !first
					a.at = max(a.at, credited+minClaim)
					a.tags &= h5 | h11
					left -= a.discount
					first = false
					g.plan(&a)
				}
			}
			day += r.among(1, 12)
		}
		if first { // credited and never used
			a := act{key: key, voucherKey: key, customer: c, claimBy: c, voucher: uint8(w.balance), day: from, claimed: credited}
			g.plan(&a)
		}
	}
}

// complain files the rare honest grievance; those about fraud are planned notes.
func (g *generator) complain(a *act, m *merchant) {
	r := g.w.chance(forComplaint, a.key, 0)
	if !r.hit(g.w.p[grievances]) {
		return
	}
	kinds := []string{"other", "other", "no_goods", "voucher_refused", "price", "surcharge"}
	g.complaint(a.key, m, kinds[r.below(len(kinds))], a.at, &r)
}

func (g *generator) complaint(key uint64, m *merchant, kind string, after vw.Millis, r *chance) {
	w := g.w
	at := after + vw.Millis((2+r.exp(30))*float64(vw.Hour))
	texts := map[string]string{"no_goods": "没有拿到商品", "surcharge": "用券要加价", "price": "价格太高", "voucher_refused": "不让用券", "other": "服务不满意"}
	e := vw.Complaint{Type: "complaint", ID: token('p', mix(key+5)), At: w.text(at), MerchantID: m.id, Kind: kind}
	if r.hit(.5) {
		e.Text = texts[kind]
	}
	g.note(note{at, e, absence(r.below(3))})
}

// note writes an event at once; it arrives when it happened.
func (g *generator) note(n note) {
	s := g.stage
	from := len(s.lines)
	switch e := n.event.(type) {
	case vw.Merchant:
		s.lines = appendMerchant(s.lines, n.gone, &e)
		s.put(vw.MerchantEvent, vw.HashString(e.ID), n.at, from, -1)
	case vw.CreditList:
		s.lines = appendCreditList(s.lines, &e)
		s.put(vw.CreditListEvent, vw.HashString(e.ID), n.at, from, -1)
	case vw.Beneficiary:
		s.lines = appendBeneficiary(s.lines, &e)
		s.put(vw.BeneficiaryEvent, vw.HashString(e.ID), n.at, from, -1)
	case vw.Complaint:
		s.lines = appendComplaint(s.lines, n.gone, &e)
		s.put(vw.ComplaintEvent, vw.HashString(e.ID), n.at, from, -1)
	case vw.Price:
		s.lines = appendPrice(s.lines, &e)
		s.put(vw.PriceEvent, vw.HashString(e.ID), n.at, from, -1)
	}
}

// post writes a day's prices: caps when they change, what stations and shelves show, and now and then
// a purchase price after a cost shock or an inspector's reading.
func (g *generator) post(day int) {
	w := g.w
	if day > w.last {
		return
	}
	step := (day-w.shelf.from)%14 == 0
	if step && len(w.tiers[vw.Fuel]) > 0 {
		for i := range grades {
			at := w.midnight(day)
			g.quote(-1, i, day, "*", grades[i].sku, grades[i].name, "cap", w.capOn(i, day), at)
		}
	}
	for i := range w.merchants {
		m := &w.merchants[i]
		if !m.posts || m.openDay > day || m.barDay > 0 && day >= m.barDay {
			continue
		}
		r := w.chance(forPriceRow, uint64(m.index), uint64(day))
		at := w.midnight(day) + vw.Millis(r.between(7, 8.5)*float64(vw.Hour))
		switch m.kind {
		case petrol:
			if step {
				for k := range grades {
					g.quote(int(m.index), k, day, m.id, grades[k].sku, grades[k].name, "shelf", w.litre(m, k, day), at)
				}
			}
		case supermarket:
			g.shelves(m, day, at, &r)
		}
	}
}

func (g *generator) shelves(m *merchant, day int, at vw.Millis, r *chance) {
	w := g.w
	for _, k := range w.watchedBy(m) {
		_, shown := w.price(m, k, day)
		sku, name := skuName(k)
		g.quote(int(m.index), k, day, m.id, sku, name, "shelf", shown, at+vw.Millis(k)*vw.Second)
		u := r.float()
		sh := w.shelf.shock[k]
		switch {
		case sh.factor > 0 && !sh.brand && (day == sh.day-3 || day == sh.day) && hash(w.seed, forPriceRow, uint64(m.index), uint64(k))%10 < 4:
			cost := float64(w.shelf.base[k]) * .75
			if day == sh.day {
				cost *= sh.factor
			}
			g.quote(int(m.index), 1000+k, day, m.id, sku, name, "cost", dime(cost), at+vw.Minute)
		case u < .0006:
			g.quote(int(m.index), 2000+k, day, m.id, sku, name, "inspection", shown, at+5*vw.Hour)
		case u < .0018 && day >= w.Start:
			g.quote(int(m.index), 3000+k, day, m.id, sku, name, "reference", shown, at+vw.Hour)
		}
		if m.raise != nil && m.raise.claimed && m.raise.factor[k] > 0 && day >= m.raise.day && (day-m.raise.day)%3 == 0 {
			g.quote(int(m.index), 3000+k, day, m.id, sku, name, "reference", dime(float64(shown)*1.2), at+vw.Hour)
		}
	}
}

func (g *generator) quote(m, k, day int, merchantID, sku, name, kind string, price vw.Fen, at vw.Millis) {
	s, w := g.stage, g.w
	key := hash(w.seed, forPriceRow, uint64(m+1)<<16|uint64(k), uint64(day)|1<<40)
	from := len(s.lines)
	s.lines = appendPrice(s.lines, &vw.Price{Type: "price", ID: token('p', key), At: w.text(at), MerchantID: merchantID, SKU: sku, PriceFen: int64(price), Kind: kind, Name: name})
	s.put(vw.PriceEvent, key, at, from, -1)
}
