package simulate

import vw "voucherwatch"

const (
	clusters = 6     // where people live
	spread   = .025  // of homes around their cluster, degrees
	span     = .12   // of the clusters around the centre, degrees
	centreX  = 112.9 // a county's worth of ground; detectors only use distances
	centreY  = 35.8
)

// customer is a person with an account. Everything else about one (device, card, home) is a hash.
type customer struct {
	head     int32   // index of the household's first member; itself for a head
	employer int32   // -1 for none
	canteen  int32   // ordinal of the canteen one is a regular of, -1 for none
	kin      int32   // shop of a relative, -1 for none
	helped   int32   // shop whose staff operates for one, -1 for none
	stocksUp int32   // shop where one buys for an own small trade, -1 for none
	rate     float32 // probability that a claim of the limit is taken up
	cluster  uint8
	shares   bool // uses the household's device
}

func (w *world) settle(o *Options) {
	w.customers = make([]customer, o.Customers)
	w.employers = max(2, o.Customers/45)
	w.staff = make([][]int32, w.employers)
	canteens := max(1, int(float64(o.Merchants)*w.shops[canteen].share))
	slots := float64(o.Customers*len(w.cycles)*w.ClaimLimit) * (1 - w.p[waste])
	mean := redemptionsAtOne * o.Scale * w.portion() / max(1, slots)
	asleep := min(w.p[noClaim], max(0, 1-mean/.85)) // fewer where the campaign needs everybody
	mean = min(.96, mean/(1-asleep))
	margin := min(mean, 1-mean)
	head, size := 0, 0
	for i := range w.customers {
		if size == 0 {
			r := w.chance(forHousehold, uint64(i), 0)
			head, size = i, []int{1, 1, 2, 2, 3, 3, 3, 4, 4, 5}[r.below(10)]
		}
		size--
		r := w.chance(forCustomer, uint64(i), 0)
		c := customer{head: int32(head), employer: -1, canteen: -1, kin: -1, helped: -1, stocksUp: -1}
		if c.rate = float32(mean + margin*r.between(-1, 1)); r.hit(asleep) {
			c.rate = 0
		}
		c.shares = (r.hit(w.p[sharedDevices]) || w.onePhone(c.head)) && i != head
		if r.hit(w.p[employed]) {
			c.employer = int32(r.below(w.employers))
			w.staff[c.employer] = append(w.staff[c.employer], int32(i))
		}
		if r.hit(25 * float64(canteens) / float64(o.Customers)) {
			c.canteen = int32(r.below(canteens))
		}
		hr := w.chance(forHousehold, uint64(head), 1)
		c.cluster = uint8(hr.below(clusters))
		w.customers[i] = c
	}
}

// onePhone tells a household that has one device between them (H1).
func (w *world) onePhone(head int32) bool {
	r := w.chance(forHousehold, uint64(head), 3)
	return r.hit(w.p[onePhone])
}

// portion is the share of the campaign's days that is simulated.
func (w *world) portion() float64 {
	n := 0
	for _, c := range w.cycles {
		n += c.to - c.from + 1
	}
	return float64(n) / float64(w.End-w.Start+1)
}

func (w *world) clusterAt(i int) (x, y float64) {
	r := w.chance(forWorld, 1, uint64(i))
	return centreX + span*r.between(-1, 1), centreY + span*r.between(-1, 1)
}

func (w *world) homeOf(c int32) (lon, lat float64) {
	x, y := w.clusterAt(int(w.customers[c].cluster))
	r := w.chance(forHousehold, uint64(w.customers[c].head), 2)
	return x + spread*r.norm(), y + spread*r.norm()
}

func (w *world) customerID(c int32) string {
	return token('u', hash(w.seed, forCustomer, uint64(c), 1))
}

func (w *world) deviceOf(c int32) string {
	if w.customers[c].shares {
		c = w.customers[c].head
	}
	return token('d', hash(w.seed, forDevice, uint64(c), 0))
}

func (w *world) cardOf(c int32) string { return token('k', hash(w.seed, forCard, uint64(c), 0)) }

// block tells an employer whose people eat and shop together (H10).
func (w *world) block(employer int32) bool {
	r := w.chance(forBanquet, uint64(employer), 999)
	return employer == 0 || r.hit(w.p[blocks])
}

// haunt is one of the three shops near a block.
func (w *world) haunt(employer int32, i int) (int32, bool) {
	all := w.kinds[vw.Hospitality]
	if i == 2 {
		all = w.kinds[vw.Retail]
	}
	if len(all) == 0 {
		return 0, false
	}
	r := w.chance(forBanquet, uint64(employer), 1000+uint64(i))
	return all[r.below(len(all))], true
}
