package simulate

import (
	"slices"

	vw "voucherwatch"
)

// heldOut are forms of fraud that no detector may be tuned to: they are in no world unless they are asked
// for, and serve to judge, not to build. They follow court and press cases (regulation.md §5,
// detection.md §1.1).
func heldOut() []scheme {
	cash := []string{"T04", "T06"}
	return []scheme{
		{"ladder-set", "", "cashout", []string{"T06", "T04", "T02"}, 2, vw.Bilingual{Zh: "梯度成套：招来的学生各用一套三档券", En: "recruited students each spend a set of all tiers, no meal"}, ladderSet},
		{"bought-vouchers", "", "cashout", []string{"T07", "T06", "T04"}, 2, vw.Bilingual{Zh: "收购倒卖：黄牛收码截图，一码一户", En: "vouchers bought through brokers, codes sent as screenshots, each account once"}, boughtVouchers},
		{"idle-kitchen", "", "cashout", []string{"T04", "T05"}, 1, vw.Bilingual{Zh: "后厨空转：只有店员账户的餐馆", En: "a kitchen that produced nothing: staff accounts only"}, idleKitchen},
		{"alliance", "", "pair_ring", []string{"P01", "T10", "T05"}, 2, vw.Bilingual{Zh: "商户互刷：店主到彼此店里核销", En: "owners redeem in each other's shops, never in their own"}, alliance},
		{"members", "", "cashout", cash, 2, vw.Bilingual{Zh: "会员账户：浴池健身房代会员核销", En: "a gym or bath redeems for its members, at its list prices"}, members},
		{"shell-shop", "", "cashout", cash, 2, vw.Bilingual{Zh: "空壳商户：中途入围，大额核销后消失", En: "a shell approved in mid-campaign redeems top tiers for some days and is gone"}, shellShop},
		{"late-refund", "", "cashout", []string{"T16", "T06"}, 2, vw.Bilingual{Zh: "清算后退款：结算数日后退回大部分", En: "most of the sum is refunded days after settlement"}, lateRefund},
		{"voucher-fee", "", "price", []string{"T21", "T19"}, 2, vw.Bilingual{Zh: "用券服务费：收银另加一行", En: "a line for “service” at the till for those who show a voucher"}, voucherFee},
		{"repeated-basket", "", "cashout", []string{"T04", "T06"}, 2, vw.Bilingual{Zh: "重复小票：同一张购物单反复开出", En: "the same basket printed again and again"}, repeatedBasket},
		{"same-serial", "", "cashout", []string{"T23", "T04"}, 1, vw.Bilingual{Zh: "同号家电：无货销售，序列号重复", En: "appliances without stock: the same serial sold many times"}, sameSerial},
		{"phantom-delivery", "", "cashout", []string{"T04", "T06"}, 2, vw.Bilingual{Zh: "虚假外送：线上下单，无人送达", En: "online orders in the evening that nobody delivers"}, phantomDelivery},
		{"code-harvest", "", "cashout", []string{"T07", "T06"}, 2, vw.Bilingual{Zh: "盗用余码：收银员用顾客没用的券冲抵现金单", En: "a till boy spends customers' unused codes on cash orders and pockets the difference"}, codeHarvest},
	}
}

// ladderSet (Anyang): students come in twos and threes and pay one voucher of each tier in a row.
func ladderSet(f *fraud) bool {
	m := f.quiet(dining, hotel)
	if m == nil {
		return false
	}
	w, tiers := f.g.w, f.g.w.tiers[m.category]
	for range f.size(12) {
		day := f.day()
		c, ok := f.person(day, min(len(tiers), w.ClaimLimit))
		if !ok {
			continue
		}
		at := f.busyHour(m, day)
		for i := range min(len(tiers), w.ClaimLimit) {
			f.sham(c, m, day, "set", func(a *act) {
				a.at, a.voucher = at, tiers[len(tiers)-1-i]
				a.order = f.over(a.voucher, []float64{0, .01, .04}[f.r.below(3)])
			})
			at += vw.Millis((1 + f.r.exp(5)) * float64(vw.Minute))
		}
	}
	return true
}

// boughtVouchers (Songjiang): hundreds of accounts once each; the claims come from one spoofed place and
// are scanned from two or three phones.
func boughtVouchers(f *fraud) bool {
	m := f.quiet(dining, dining, appliances)
	if m == nil {
		return false
	}
	phones := f.r.among(2, 6)
	lon, lat := round6(centreX+f.r.between(-.01, .01)), round6(centreY+f.r.between(-.01, .01))
	for range f.size(60) {
		day := f.day()
		c, ok := f.person(day, 1)
		if !ok {
			continue
		}
		phone := token('d', hash(f.g.w.seed, forDevice, f.key, uint64(100+f.r.below(phones))))
		screenshot, spoofed := f.r.hit(.6), f.r.hit(.5)
		f.sham(c, m, day, "bought", func(a *act) {
			a.voucher = f.top(m, f.r.below(2))
			a.order = f.over(a.voucher, .06)
			if !screenshot {
				a.face.device = phone
			}
			if spoofed {
				a.face.claimLon, a.face.claimLat = &lon, &lat
			}
		})
	}
	return true
}

// idleKitchen (Jing'an): a restaurant of its own without guests; four of its staff and the accounts they
// could get hold of.
func idleKitchen(f *fraud) bool {
	m := f.newShop(dining, nil)
	staff := f.members(f.size(8))
	for _, c := range staff {
		for i, cy := range f.g.w.cycles {
			for range f.g.spareOf(c, i) {
				f.sham(c, m, cy.from+f.r.below(cy.to-cy.from+1), "staff", func(a *act) {
					a.voucher = f.top(m, f.r.below(3))
					a.order = f.over(a.voucher, .1)
				})
			}
		}
	}
	return true
}

// alliance: three to five owners, each with a few accounts, spend at the others'.
func alliance(f *fraud) bool {
	w := f.g.w
	var shops []*merchant
	for range 60 {
		if len(shops) == 5 {
			break
		}
		m := f.shop(dining, supermarket, hotel, appliances)
		if m == nil {
			break
		}
		if len(m.owners) == 0 {
			delete(f.busy, m.index)
			continue
		}
		shops = append(shops, m)
	}
	if len(shops) < 3 {
		return false
	}
	f.first, f.last = w.Start, w.last
	for i, own := range shops {
		for _, c := range append(f.members(2), own.owners...) {
			for k, cy := range w.cycles {
				for range f.g.spareOf(c, k) {
					m := shops[(i+1+f.r.below(len(shops)-1))%len(shops)]
					f.sham(c, m, cy.from+f.r.below(cy.to-cy.from+1), "ally", func(a *act) {
						if f.r.hit(.5) {
							a.voucher = f.top(m, f.r.below(2))
							a.order = f.over(a.voucher, .05)
						}
					})
				}
			}
		}
	}
	return true
}

// members (Wuhan): the house knows its members' accounts, and its list prices are what they are.
func members(f *fraud) bool {
	m := f.shop(fixedPrice)
	if m == nil {
		return false
	}
	accounts := f.members(f.size(15))
	f.turn(accounts, func(c int32, day int) {
		f.buy(c, m, day, func(a *act) { a.label.role = "member" })
	})
	return true
}

// shellShop (Wuhan): registered in mid-campaign, four to nine days of top tiers, no guests.
func shellShop(f *fraud) bool {
	w := f.g.w
	days := w.last - w.Start + 1
	if days < 6 {
		return false
	}
	m := f.newShop(dining, func(m *merchant) { m.openDay = w.Start + f.r.among(2, max(2, days*2/3)) })
	f.first = m.openDay
	f.last = min(w.last, f.first+f.r.among(3, 8))
	for range f.size(50) {
		day := f.day()
		if c, ok := f.person(day, 1); ok {
			f.sham(c, m, day, "shell", func(a *act) {
				a.voucher = f.top(m, f.r.below(2))
				a.order = f.over(a.voucher, .03)
			})
		}
	}
	return true
}

// lateRefund: 70 to 95 % go back 3 to 9 days later, when the subsidy is paid out.
func lateRefund(f *fraud) bool {
	m := f.quiet(appliances, supermarket, hotel)
	if m == nil {
		return false
	}
	for range f.size(25) {
		day := f.day()
		c, ok := f.person(day, 1)
		if !ok {
			continue
		}
		f.buy(c, m, day, func(a *act) {
			a.label.role = "refunded"
			a.refund = f.g.w.midnight(day+f.r.among(3, 9)) + vw.Millis(f.r.between(9.5, 19)*float64(vw.Hour))
			a.returns = f.r.between(.7, .95)
		})
	}
	return true
}

// voucherFee (T21): 4 to 9 % of the bill as one more line, from a day on.
func voucherFee(f *fraud) bool {
	m := f.newShop(dining, nil)
	fee := f.r.between(.04, .09)
	f.atTheTill, f.raisedOn = true, f.first
	f.traffic(m, f.size(45), f.first, 1, func(a *act) { a.face.fee, a.label.role = fee, "fee" }, nil)
	return len(f.acts) > 0
}

// repeatedBasket: a few receipts that existed once, printed for other accounts.
func repeatedBasket(f *fraud) bool {
	m := f.itemised(supermarket, supermarket, dining)
	if m == nil {
		return false
	}
	type slip struct {
		order vw.Fen
		seed  uint64
	}
	slips := make([]slip, f.r.among(2, 5))
	for i := range slips {
		slips[i] = slip{f.over(f.top(m, f.r.below(2)), .08), f.r.bits() | 1}
	}
	for range f.size(40) {
		day := f.day()
		if c, ok := f.person(day, 1); ok {
			f.buy(c, m, day, func(a *act) {
				s := slips[f.r.below(len(slips))]
				a.order, a.face.billSeed, a.label.role = s.order, s.seed, "copy"
				a.voucher = f.g.w.best(m.category, a.order)
			})
		}
	}
	return true
}

// itemised is a shop whose receipts reach the stream, if there is one.
func (f *fraud) itemised(kinds ...kind) *merchant {
	var m *merchant
	for range 40 {
		if m != nil {
			delete(f.busy, m.index)
		}
		if m = f.shop(kinds...); m == nil || m.never&noLines == 0 {
			break
		}
	}
	return m
}

// sameSerial (T23): two or three machines sold over and over.
func sameSerial(f *fraud) bool {
	m := f.itemised(appliances)
	if m == nil {
		return false
	}
	var serials []string
	for i := range f.r.among(2, 3) {
		serials = append(serials, digits(hash(f.g.w.seed, forDevice, f.key, uint64(200+i)), 8))
	}
	for range f.size(16) {
		day := f.day()
		if c, ok := f.person(day, 1); ok {
			f.buy(c, m, day, func(a *act) {
				i := f.r.below(len(serials))
				a.voucher = f.top(m, i)
				a.order = f.g.w.Vouchers[a.voucher].Threshold + vw.Fen(99+100*i)*100
				a.face.serial, a.label.role = serials[i], "no-goods"
			})
		}
	}
	return true
}

// phantomDelivery: online orders late in the evening, of accounts that the house turns over.
func phantomDelivery(f *fraud) bool {
	m := f.quiet(dining, dining, supermarket)
	if m == nil {
		return false
	}
	crowd := f.crowd(f.size(25))
	if len(crowd) == 0 {
		return false
	}
	for range f.size(40) {
		day := f.day()
		f.sham(crowd[f.r.below(len(crowd))], m, day, "phantom", func(a *act) {
			a.at = f.g.w.closing(m.index, day) - vw.Millis(f.r.exp(70)*float64(vw.Minute)) - vw.Minute
			a.face.channel = "online"
			a.voucher = f.top(m, f.r.below(2))
			a.order = f.over(a.voucher, .07)
		})
	}
	return true
}

// codeHarvest: the vouchers are honest claims that nobody came to use, at the shop where they were meant
// to be used. The orders are real; another guest paid them in cash.
func codeHarvest(f *fraud) bool {
	w := f.g.w
	var m *merchant
	for range 8 { // where much is left unused
		next := f.shop(supermarket, dining)
		if next != nil && (m == nil || w.pull(next.index) > w.pull(m.index)) {
			m = next
		}
	}
	if m == nil {
		return false
	}
	cashier := 1 + f.r.below(m.cashiers)
	var unused []act
	for cycle := range w.cycles {
		for c := range w.customers {
			for s := range w.ClaimLimit {
				if a, ok := w.visit(int32(c), cycle, s); ok && !a.used && a.merchant == m.index && a.day >= f.first && a.day <= f.last {
					unused = append(unused, a)
				}
			}
		}
	}
	for i := range unused[:min(len(unused), f.size(30))] {
		from := &unused[i]
		a := f.compose(from.customer, m, from.day, func(a *act) {
			a.voucherKey, a.unclaimed, a.claimed, a.voucher = from.key, true, from.claimed, from.voucher
			a.order = max(a.order, w.Vouchers[a.voucher].Threshold)
			a.at = max(a.at, a.claimed+minClaim+vw.Hour)
			a.face.cashier, a.label.role = cashier, "harvested"
		})
		if a != nil {
			f.enter(a)
		}
	}
	return len(f.acts) > 0
}

// expanded replaces the name of the held-out set by its members.
func expanded(names []string) []string {
	i := slices.Index(names, HeldOut)
	if i < 0 {
		return names
	}
	out := slices.Delete(slices.Clone(names), i, i+1)
	for _, s := range heldOut() {
		out = append(out, s.name)
	}
	return out
}

// serialOf is printed on the receipt of every appliance.
func serialOf(a *act) string {
	if a.face.serial != "" {
		return a.face.serial
	}
	return digits(mix(a.key+11), 8)
}

// withFee puts a surcharge on the receipt as a line of its own; the sum stays the same.
func withFee(lines []vw.ReceiptLine, share float64) []vw.ReceiptLine {
	sum := int64(0)
	for _, l := range lines {
		sum += l.AmountFen
	}
	fee := int64(float64(sum) * share / (1 + share))
	last := &lines[len(lines)-1]
	for i := range lines {
		if lines[i].Quantity == 1 && lines[i].AmountFen > last.AmountFen || last.AmountFen <= fee {
			last = &lines[i]
		}
	}
	if fee <= 0 || last.AmountFen <= fee {
		return lines
	}
	last.AmountFen -= fee
	last.UnitPriceFen, last.Quantity = last.AmountFen, 1
	return append(lines, vw.ReceiptLine{SKU: "FW", Name: "服务费", Quantity: 1, UnitPriceFen: fee, AmountFen: fee, Kind: "service"})
}
