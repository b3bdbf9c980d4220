package simulate

// members are accounts with room in most cycles from the case's start on.
func (f *fraud) members(n int) []int32 {
	w := f.g.w
	var out []int32
	seen := map[int32]bool{}
	for range 60 * n {
		c := int32(f.r.below(len(w.customers)))
		room, cycles := 0, 0
		for i, cy := range w.cycles {
			if cy.to >= f.first && cy.from <= f.last {
				cycles++
				room += f.g.spareOf(c, i)
			}
		}
		if !seen[c] && room >= 2*cycles {
			seen[c] = true
			if out = append(out, c); len(out) == n {
				break
			}
		}
	}
	return out
}

// ring (s9): four merchants and up to 35 accounts; an account is at work on a share of the days until
// its vouchers are gone, each time at another of the four.
func ring(f *fraud) bool {
	var shops []*merchant
	for range 4 {
		if m := f.shop(dining, dining, supermarket, hotel, appliances); m != nil {
			shops = append(shops, m)
		}
	}
	if len(shops) < 3 {
		return false
	}
	f.turn(f.members(min(35, f.size(18))), func(c int32, day int) {
		m := shops[int(c)%len(shops)] // each has a shop where most of it goes
		if f.r.hit(.35) {
			m = shops[f.r.below(len(shops))]
		}
		f.sham(c, m, day, "ring", func(a *act) {
			if f.r.hit(.4) {
				a.voucher = f.top(m, f.r.below(2))
			}
			over := .04
			if f.r.hit(.5) {
				over = 0
			}
			a.order = f.over(a.voucher, over)
		})
	})
	return true
}

// turn walks accounts through the days of the case.
func (f *fraud) turn(accounts []int32, visit func(c int32, day int)) {
	w := f.g.w
	for day := f.first; day <= f.last; day++ {
		for _, c := range accounts {
			if f.r.hit(w.p[ringDays]) && w.RoundOn(day) >= 0 && f.g.spareOf(c, w.cycleOn(day)) > 0 && f.r.hit(.5) {
				visit(c, day)
			}
		}
	}
}

// pairUp: one customer, one merchant, most vouchers of every cycle, on different days.
func pairUp(f *fraud) bool {
	w := f.g.w
	m := f.shop(dining, supermarket, hotel, appliances)
	if m == nil {
		return false
	}
	f.first, f.last = w.Start+f.r.below(4), w.last
	missed := f.r.between(.05, .35)
	for _, c := range f.members(int(float64(f.r.among(1, 3)) * f.busier())) {
		for i, cy := range w.cycles {
			last := 0
			for range f.g.spareOf(c, i) {
				day := cy.from + f.r.below(cy.to-cy.from+1)
				if day == last || day < f.first || f.r.hit(missed) {
					continue
				}
				last = day
				f.sham(c, m, day, "partner", func(a *act) {
					if f.r.hit(.5) {
						a.voucher = f.top(m, f.r.below(2))
						a.order = f.over(a.voucher, .06)
					}
				})
			}
		}
	}
	return true
}

// deviceFarm: many accounts on a few devices, at one or two shops.
func deviceFarm(f *fraud) bool {
	w := f.g.w
	var shops []*merchant
	for range f.r.among(1, 2) {
		if m := f.shop(dining, supermarket, appliances, hotel); m != nil {
			shops = append(shops, m)
		}
	}
	if len(shops) == 0 {
		return false
	}
	devices := f.r.among(1, 4)
	for i, c := range f.members(f.size(16)) {
		device := token('d', hash(w.seed, forDevice, f.key, uint64(1+i%devices)))
		day := f.day()
		for range f.r.among(1, 3) {
			m := shops[f.r.below(len(shops))]
			f.buy(c, m, day, func(a *act) {
				a.face.device = device
				a.label.role = "farm"
				if f.r.hit(.5) {
					a.voucher = f.top(m, f.r.below(2))
					a.order = f.over(a.voucher, .03)
				}
				if f.r.hit(.5) && m.kind != petrol {
					a.face.basket = single
				}
			})
			if f.r.hit(.5) {
				day = f.day()
			}
		}
	}
	return true
}
