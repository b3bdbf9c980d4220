package simulate

import (
	"slices"

	vw "voucherwatch"
)

// splitExact (s1): parts of one bill in quick succession, mostly at the very threshold.
func splitExact(f *fraud) bool {
	return f.splits(0, func() gap {
		over := 0.0
		if f.r.hit(.3) {
			over = .004
		}
		return gap{20*vw.Second + vw.Millis(f.r.exp(120)*1000), over}
	})
}

// splitJittered (s2): longer gaps, looser sums, every third time a ladder of different tiers.
func splitJittered(f *fraud) bool {
	return f.splits(.3, func() gap {
		return gap{40*vw.Second + vw.Millis(f.r.exp(20)*float64(vw.Minute)), .05}
	})
}

// gap is the time since the part before, and the mean overshoot of the part.
type gap struct {
	since vw.Millis
	over  float64
}

// splits plays sessions: some of the cases are one customer once, most a merchant that makes its customers
// do it. A share of them are ladders.
func (f *fraud) splits(ladders float64, next func() gap) bool {
	m := f.shop(supermarket, supermarket, dining, dining, hotel, appliances)
	if m == nil {
		return false
	}
	f.coached = f.r.hit(.6)
	sessions := 1
	if f.coached {
		sessions = f.size(13)
	}
	for range sessions {
		gaps := make([]gap, min(f.r.among(2, 4), f.g.w.ClaimLimit))
		for i := range gaps {
			gaps[i] = next()
		}
		day := f.day()
		if c, ok := f.person(day, len(gaps)); ok {
			f.session(m, day, slices.Repeat([]int32{c}, len(gaps)), gaps, f.r.hit(ladders), face{})
		}
	}
	return true
}

// session plans the parts of one basket. A cut that saves nothing is not made: the stake is the sum of
// the faces less the best single voucher for the whole basket.
func (f *fraud) session(m *merchant, day int, who []int32, gaps []gap, ladder bool, as face) {
	w := f.g.w
	tiers := w.tiers[m.category]
	at := f.busyHour(m, day)
	faces, total := vw.Fen(0), vw.Fen(0)
	vouchers, orders := make([]uint8, len(gaps)), make([]vw.Fen, len(gaps))
	rank := f.r.below(max(1, len(tiers)-1))
	for range 8 {
		faces, total = 0, 0
		for i, g := range gaps {
			v := tiers[rank]
			if ladder {
				v = tiers[min(i, len(tiers)-1)]
			}
			vouchers[i], orders[i] = v, f.over(v, g.over)
			faces += w.Vouchers[v].Face
			total += orders[i]
		}
		if faces > w.Vouchers[w.best(m.category, total)].Face {
			break
		}
		rank = (rank + 1) % len(tiers)
	}
	stake := faces - w.Vouchers[w.best(m.category, total)].Face
	end := at
	for _, g := range gaps[1:] {
		end += g.since
	}
	if over := end - (w.closing(m.index, day) - vw.Minute); over > 0 {
		at -= over
	}
	if stake <= 0 || at < w.release(day)+10*vw.Minute || slices.Contains(orders, 0) {
		return
	}
	as.billSeed, as.terminal, as.cashier = f.r.bits()|1, 1+f.r.below(len(m.terminals)), 1+f.r.below(m.cashiers)
	ticket := w.ticketAt(m, day, at)
	consecutive := gaps[0].since < 4*vw.Minute
	var session uint64
	for i, g := range gaps {
		if i > 0 {
			at += g.since
		}
		a := f.buy(who[i], m, day, func(a *act) {
			a.at, a.order, a.voucher = at, orders[i], vouchers[i]
			a.face = as
			a.face.part = i
			if consecutive {
				a.face.ticket = ticket + i
			}
			a.label.role = "part"
			a.label.stake = (stake + vw.Fen(len(gaps)) - 1) / vw.Fen(len(gaps))
			if session == 0 {
				session = a.key
			}
			a.label.session = session
		})
		if a == nil && i == 0 {
			return
		}
	}
}

// splitAccounts cuts one bill over several accounts that share a device, a card or only the till.
func splitAccounts(f *fraud) bool {
	m := f.shop(supermarket, dining, hotel)
	if m == nil {
		return false
	}
	f.coached = f.r.hit(.5)
	sessions := 1
	if f.coached {
		sessions = f.size(7)
	}
	for range sessions {
		day, n := f.day(), f.r.among(2, 4)
		var who []int32
		for range n {
			if c, ok := f.person(day, 1); ok && !slices.Contains(who, c) {
				who = append(who, c)
			}
		}
		if len(who) < 2 {
			continue
		}
		var gaps []gap
		for range who {
			gaps = append(gaps, gap{20*vw.Second + vw.Millis(f.r.exp(150)*1000), f.r.between(0, .04)})
		}
		var as face
		switch f.r.below(3) {
		case 0:
			as.device = f.g.w.deviceOf(who[0])
		case 1:
			as.card = f.g.w.cardOf(who[0])
		}
		f.session(m, day, who, gaps, false, as)
	}
	return true
}
