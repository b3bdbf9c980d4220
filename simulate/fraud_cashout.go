package simulate

import vw "voucherwatch"

// crowd are the accounts of a case: bought, lent or its own. One may work several days.
func (f *fraud) crowd(n int) []int32 {
	var out []int32
	for range n {
		if c, ok := f.person(f.day(), 2); ok {
			out = append(out, c)
		}
	}
	return out
}

// quiet is a shop of less than usual size: those who sell their name have few guests.
func (f *fraud) quiet(kinds ...kind) *merchant {
	var m *merchant
	for range 8 {
		if m != nil {
			delete(f.busy, m.index)
		}
		if m = f.shop(kinds...); m == nil || m.size < 1 {
			break
		}
	}
	return m
}

// sham is one voucher without a sale. The shop prints receipts as often as ever; half of them show
// only a set menu.
func (f *fraud) sham(c int32, m *merchant, day int, role string, change func(a *act)) *act {
	return f.buy(c, m, day, func(a *act) {
		if m.kind != petrol && f.r.hit(.5) {
			a.face.basket = single
		}
		a.label.role = role
		change(a)
	})
}

// cashoutBurst (s5): on some evenings the crowd comes, top tier, exact.
func cashoutBurst(f *fraud) bool {
	m := f.quiet(dining, dining, hotel)
	if m == nil {
		return false
	}
	crowd := f.crowd(f.size(60))
	if len(crowd) == 0 {
		return false
	}
	evenings := f.r.among(2, 5)
	for range evenings {
		day := f.day()
		start := f.g.w.midnight(day) + vw.Millis(f.r.between(17.5, 20)*float64(vw.Hour))
		for range (f.size(60) + evenings - 1) / evenings {
			f.sham(crowd[f.r.below(len(crowd))], m, day, "cash-out", func(a *act) {
				a.at = start + vw.Millis(f.r.exp(20)*float64(vw.Minute))
				if f.r.hit(.8) {
					a.voucher = f.top(m, 0)
				} else {
					a.voucher = f.top(m, 1)
				}
				over := 0.0
				if f.r.hit(.25) {
					over = .01
				}
				a.order = f.over(a.voucher, over)
			})
		}
	}
	return true
}

// cashoutMixed (s6): the same money, spread over normal hours, tiers and sums.
func cashoutMixed(f *fraud) bool {
	f.lazy = f.r.between(.15, .5)
	m := f.quiet(dining, dining, supermarket, hotel)
	if m == nil {
		return false
	}
	crowd := f.crowd(f.size(45))
	if len(crowd) == 0 {
		return false
	}
	for range f.size(55) {
		f.sham(crowd[f.r.below(len(crowd))], m, f.day(), "cash-out", func(a *act) {
			a.voucher = f.top(m, f.r.below(2))
			if f.r.hit(.2) {
				a.voucher = f.top(m, 9)
			}
			a.order = f.over(a.voucher, .05)
		})
	}
	return true
}

// cashoutOwner (T05): the owner's and staff's accounts and a few friends who return, one or two a day.
func cashoutOwner(f *fraud) bool {
	f.lazy = f.r.between(.15, .5)
	w := f.g.w
	var m *merchant
	for range 40 {
		if m = f.quiet(dining, supermarket, hotel, appliances); m == nil {
			return false
		}
		if len(m.owners) > 0 && m.never&noOwners == 0 {
			break
		}
		delete(f.busy, m.index)
	}
	crowd := append(f.crowd(f.r.among(3, 6)), m.owners...)
	f.last = w.last
	for i, n := range w.cycles {
		for _, c := range crowd {
			owner := false
			for _, o := range m.owners {
				owner = owner || o == c
			}
			for range f.g.spareOf(c, i) {
				day := n.from + f.r.below(n.to-n.from+1)
				if day < f.first || f.r.hit(.35) {
					continue
				}
				role := "friend"
				if owner {
					role = "owner"
				}
				f.sham(c, m, day, role, func(a *act) {
					a.voucher = f.top(m, f.r.below(3))
					a.order = f.over(a.voucher, .08)
				})
			}
		}
	}
	return true
}

// refundLoop (T16): a sale that is taken back hours or days later; the voucher's value stays.
func refundLoop(f *fraud) bool {
	f.lazy = f.r.between(.15, .5)
	m := f.quiet(appliances, supermarket, dining)
	if m == nil {
		return false
	}
	crowd := f.crowd(f.size(10))
	if len(crowd) == 0 {
		return false
	}
	for range f.size(22) {
		f.buy(crowd[f.r.below(len(crowd))], m, f.day(), func(a *act) {
			a.label.role = "refunded"
			if f.r.hit(.5) {
				a.voucher = f.top(m, f.r.below(2))
				a.order = f.over(a.voucher, .06)
			}
			hours := 1 + f.r.exp(16)
			a.refund = a.at + vw.Millis(hours*float64(vw.Hour))
			if h := vw.MinuteOf(a.refund, f.g.w.offset); h < m.open || h > m.shut {
				a.refund = f.g.w.midnight(vw.DayOf(a.refund, f.g.w.offset)+1) + vw.Millis(f.r.between(9.5, 19)*float64(vw.Hour))
			}
		})
	}
	return true
}
