package simulate

import (
	"cmp"
	"math"
	"slices"

	vw "voucherwatch"
)

// A gang is a fraud that learns. It sees what a criminal sees, whether the money of a redemption came
// some days later, and from that chooses each day how careful to be in five respects.

// aspect is something a gang can be more or less careful about.
type aspect uint8

const (
	amounts aspect = iota
	pace
	accounts
	devices
	places
	aspectCount
)

// levels are degrees of care of an aspect, from the naive form to one that hardly differs from honest
// trade. Each costs something: a smaller voucher, a longer day, another account, another shop.
const (
	levels = 4
	effort = .04 // of a voucher's value, for each level
)

// tactic is a level for each aspect.
type tactic [aspectCount]uint8

// Move is what a gang did on a day, and what it heard that morning.
type Move struct {
	Day     string `json:"day"`
	Amounts uint8  `json:"amounts"` // levels 0 (naive) to 3
	Pace    uint8  `json:"pace"`
	Account uint8  `json:"accounts"`
	Devices uint8  `json:"devices"`
	Places  uint8  `json:"places"`
	Tried   int    `json:"tried"`   // redemptions of the day
	Paid    int    `json:"paid"`    // of those it heard of that morning
	Blocked int    `json:"blocked"` // of those it heard of that morning
}

// deed is a redemption whose fate a gang does not know yet.
type deed struct {
	act    *act
	tactic tactic
}

type gang struct {
	f       *fraud
	lag     int // days until it learns whether it is paid
	arms    [aspectCount][levels]struct{ paid, blocked float64 }
	open    []deed
	shops   []*merchant
	burned  map[int32]float64 // share of its money that a shop lost lately
	at      int               // index of the shop in use
	since   int               // day it moved there
	people  []int32
	turn    int // of people
	moves   []Move
	perform func(g *gang, day int, t tactic)
}

// gangSchemes are the forms that adapt.
func gangSchemes() []scheme {
	form := func(name, family string, codes []string, n float64, zh, en string, play func(g *gang, day int, t tactic)) scheme {
		return scheme{name, "", family, codes, n, vw.Bilingual{Zh: zh, En: en}, func(f *fraud) bool { return f.recruit(play) }}
	}
	return []scheme{
		form("adaptive-cashout", "cashout", []string{"T04", "T06"}, 3, "会变的套现", "cash-out that learns from what is blocked", (*gang).cashOut),
		form("adaptive-split", "split", []string{"T01"}, 3, "会变的分单", "coached splits that learn from what is blocked", (*gang).split),
		form("adaptive-ring", "pair_ring", []string{"P01", "T10"}, 2, "会变的团伙", "a ring that learns from what is blocked", (*gang).takeTurns),
	}
}

// recruit sets a gang up: three to five shops, accounts, and the day it starts.
func (f *fraud) recruit(play func(g *gang, day int, t tactic)) bool {
	w := f.g.w
	n := &gang{f: f, lag: f.r.among(1, 3), burned: map[int32]float64{}, perform: play}
	for range f.r.among(3, 5) {
		if m := f.shop(dining, dining, supermarket, hotel); m != nil {
			n.shops = append(n.shops, m)
		}
	}
	f.first = w.Start + f.r.below(max(1, (w.last-w.Start)/6))
	f.last = w.last
	n.people = f.members(f.size(40))
	if len(n.shops) == 0 || len(n.people) == 0 {
		return false
	}
	n.since = f.first
	f.gang = n
	f.g.gangs = append(f.g.gangs, n)
	return true
}

// conspire lets every gang hear what became of its money, and plan the day.
func (g *generator) conspire(day int) {
	for _, n := range g.gangs {
		if day < n.f.first || day > n.f.last || g.w.RoundOn(day) < 0 {
			continue
		}
		paid, blocked := n.learn(day)
		t := n.choose()
		n.move(day, t)
		before := len(n.f.acts)
		n.perform(n, day, t)
		for _, a := range n.f.acts[before:] {
			n.open = append(n.open, deed{a, t})
		}
		n.moves = append(n.moves, Move{g.w.text(g.w.midnight(day))[:10], t[amounts], t[pace], t[accounts], t[devices], t[places], len(n.f.acts) - before, paid, blocked})
	}
}

// learn asks about the deeds that are old enough. What was blocked long ago counts less.
func (n *gang) learn(day int) (paid, blocked int) {
	feedback := n.f.g.o.Feedback
	if feedback == nil {
		feedback = n.believed()
	}
	for a := range n.arms {
		for l := range n.arms[a] {
			n.arms[a][l].paid *= .9
			n.arms[a][l].blocked *= .9
		}
	}
	n.open = slices.DeleteFunc(n.open, func(d deed) bool {
		if d.act.day+n.lag > day {
			return false
		}
		lost := feedback(redemptionID(d.act.key))
		for a, l := range d.tactic {
			if arm := &n.arms[a][l]; lost {
				arm.blocked++
			} else {
				arm.paid++
			}
		}
		shop := d.act.merchant
		n.burned[shop] *= .8
		if lost {
			blocked++
			n.burned[shop] += .2
			n.drop(d.act.customer)
		} else {
			paid++
		}
		return true
	})
	return paid, blocked
}

// drop leaves half of the accounts alone whose money was withheld.
func (n *gang) drop(c int32) {
	if i := slices.Index(n.people, c); i >= 0 && len(n.people) > 4 && n.f.r.hit(.5) {
		n.people = slices.Delete(n.people, i, i+1)
	}
}

// choose draws a level of each aspect by Thompson sampling: what is paid is repeated, what is blocked is
// left, and care is taken only where it pays.
func (n *gang) choose() (t tactic) {
	r := &n.f.r
	for a := range n.arms {
		best := -1.
		for l, arm := range n.arms[a] {
			// The mean of a Beta(1+paid, 1+blocked) and a normal of its spread.
			sum := arm.paid + arm.blocked + 2
			mean := (arm.paid + 1) / sum
			draw := mean + r.norm()*math.Sqrt(mean*(1-mean)/(sum+1)) - effort*float64(l)
			if draw > best {
				best, t[a] = draw, uint8(l)
			}
		}
	}
	if len(n.moves) == 0 {
		t = tactic{} // greed comes first
	}
	return t
}

// move goes to another shop when its time there is over or the money stays away.
func (n *gang) move(day int, t tactic) {
	stay := []int{1000, 7, 3, 1}[t[places]]
	if m := n.shops[n.at]; day-n.since < stay && n.burned[m.index] < .6 {
		return
	}
	n.since = day
	order := make([]int, 0, len(n.shops))
	for i := range n.shops {
		order = append(order, (n.at+1+i)%len(n.shops))
	}
	n.at = slices.MinFunc(order, func(a, b int) int {
		return cmp.Compare(n.burned[n.shops[a].index], n.burned[n.shops[b].index])
	})
	if n.burned[n.shops[n.at].index] < .6 {
		return
	}
	if m := n.f.shop(dining, supermarket, hotel); m != nil { // all are burned: a new one
		n.shops, n.at = append(n.shops, m), len(n.shops)
	}
}

// next is an account for the day: the same few, two crews in turn, all in turn, or one never used here.
func (n *gang) next(t tactic, i int) int32 {
	all := len(n.people)
	switch t[accounts] {
	case 0:
		return n.people[i%min(all, 8)]
	case 1:
		half := max(1, all/2)
		return n.people[(len(n.moves)%2*half+i%half)%all]
	}
	n.turn++
	return n.people[n.turn%all]
}

// disguise makes a sum and a phone as careful as the tactic says.
func (n *gang) disguise(t tactic, m *merchant, a *act, i int) {
	f := n.f
	if t[amounts] < 3 {
		a.voucher = f.top(m, f.r.below(2))
		a.order = f.over(a.voucher, []float64{0, .008, .06}[t[amounts]])
	}
	if t[devices] < 3 {
		crowd := []int{2, 5, 12}[t[devices]]
		a.face.device = token('d', hash(f.g.w.seed, forDevice, f.key, uint64(300+i%crowd)))
	}
}

// moment is when the i-th of n comes: a burst, one after another, with pauses, or as guests come.
func (n *gang) moment(t tactic, m *merchant, day, i int, start vw.Millis) vw.Millis {
	r := &n.f.r
	switch t[pace] {
	case 0:
		return start + vw.Millis(r.exp(8)*float64(vw.Minute))
	case 1:
		return start + vw.Millis((float64(i)+r.float())*4*float64(vw.Minute))
	case 2:
		return start + vw.Millis(float64(i)*r.exp(25)*float64(vw.Minute))
	}
	return n.f.busyHour(m, day)
}

// cashOut spends a crowd's vouchers at one shop.
func (n *gang) cashOut(day int, t tactic) {
	f, m := n.f, n.shops[n.at]
	start := f.g.w.midnight(day) + vw.Millis(f.r.between(12, 19.5)*float64(vw.Hour))
	for i := range f.size(5) + f.r.below(4) {
		c := n.next(t, i)
		if t[accounts] == 3 {
			if fresh, ok := f.person(day, 1); ok {
				c = fresh
			}
		}
		f.sham(c, m, day, "cash-out", func(a *act) {
			a.at = n.moment(t, m, day, i, start)
			n.disguise(t, m, a, i)
		})
	}
}

// takeTurns spends a crowd's vouchers at all of its shops.
func (n *gang) takeTurns(day int, t tactic) {
	f := n.f
	start := f.g.w.midnight(day) + vw.Millis(f.r.between(12, 19.5)*float64(vw.Hour))
	for i := range f.size(5) + f.r.below(4) {
		c := n.next(t, i)
		m := n.shops[int(c)%len(n.shops)]
		if t[places] > 0 {
			m = n.shops[f.r.below(len(n.shops))]
		}
		if n.burned[m.index] > .6 {
			m = n.shops[n.at]
		}
		f.sham(c, m, day, "ring", func(a *act) {
			a.at = n.moment(t, m, day, i, start)
			n.disguise(t, m, a, i)
		})
	}
}

// split cuts the bills of a shop's own customers; the careful spread the parts over other accounts.
func (n *gang) split(day int, t tactic) {
	f, m := n.f, n.shops[n.at]
	for range f.r.among(1, 2) {
		parts := min(f.r.among(2, 3), f.g.w.ClaimLimit)
		c, ok := f.person(day, parts)
		if !ok {
			continue
		}
		who := slices.Repeat([]int32{c}, parts)
		for i := 1; i < parts && t[accounts] >= 2; i++ { // a relative pays
			if other, ok := f.person(day, 1); ok {
				who[i] = other
			}
		}
		var gaps []gap
		for range parts {
			wait := []float64{2, 8, 40, 90}[t[pace]]
			gaps = append(gaps, gap{20*vw.Second + vw.Millis(f.r.exp(wait)*float64(vw.Minute)), []float64{0, .008, .06, .15}[t[amounts]]})
		}
		as := face{}
		if t[devices] < 2 {
			as.device = f.g.w.deviceOf(c)
		}
		f.session(m, day, who, gaps, t[amounts] >= 2 && f.r.hit(.5), as)
	}
}

// believed is what a gang that hears nothing takes for the office: the naive rules, on its own deeds.
func (n *gang) believed() func(string) bool {
	var seen []glimpse
	for _, a := range n.f.acts {
		seen = append(seen, n.f.g.w.glance(a))
	}
	sortGlimpses(seen)
	marked := make([]marks, len(seen))
	for _, rule := range []func([]glimpse, []marks) []ranked{baskets30, huggers, pairCounts, crowds} {
		rule(seen, marked)
	}
	blocked := map[string]bool{}
	for i := range seen {
		blocked[redemptionID(seen[i].key)] = marked[i] != 0
	}
	return func(id string) bool { return blocked[id] }
}
