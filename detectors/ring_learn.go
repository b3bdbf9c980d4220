package detectors

import (
	"cmp"
	"math"
	"slices"
	"strings"

	vw "voucherwatch"
)

// ringRun is what a run works on. Its memory is kept from run to run.
type ringRun struct {
	null   ringNull
	places []ringPlace
	index  [][]uint16 // by slot and number in the ledger: 1 + place, 0 not looked at
	ends   []float64  // of all customers, by place
	guests []int32    // customers of two redemptions or more, by place
	scale  ringOddity
	shares [ringLevels]float64 // of odd customers among those of several merchants
	odd    []ringPatron
	flat   []uint16
	crowds [ringLevels]ringCrowd
	group  []uint16 // of the group hunted for, by place: 1 + index
}

func (r *ringRun) bytes() int {
	if r == nil {
		return 0
	}
	n := 8*cap(r.null.keys) + 40*cap(r.odd) + 96*cap(r.places)
	for i := range r.crowds {
		n += 8*cap(r.crowds[i].keys) + 8*cap(r.crowds[i].places)
	}
	return n
}

const ringLevels = 2 // of oddity, the oddest first

// ringPatron is a customer in a run.
type ringPatron struct {
	key  uint64
	p    *patron
	slot int32
	home int32 // index of the household's first
}

// learnRing runs at midnight when enough is new, and at the end.
func learnRing(peers []Detector, tick *Tick) {
	slots := make([]*ring, len(peers))
	fresh, seen := 0, 0
	for i, p := range peers {
		slots[i] = p.(*ring)
		fresh += slots[i].fresh
		seen += slots[i].seen
	}
	first := slots[0]
	enough := float64(fresh) >= first.Fresh*float64(seen)
	if fresh == 0 || !(tick.Last || tick.NewDay && enough) {
		return
	}
	for _, d := range slots {
		d.fresh = 0
	}
	if first.run == nil {
		first.run = &ringRun{}
	}
	since := tick.Now - vw.Millis(first.Days)*vw.Day
	run := first.run
	run.settle(slots, since)
	run.judge(slots, since)
	run.learn(slots, since)
	run.gather()
	// A campaign has one run a night, and each looks twice: each look may spend its share of the false rings.
	looks := ringLevels * float64(tick.Campaign.End-tick.Campaign.Start+1)
	groups := run.groups(first, math.Log(first.FalseRings/looks))
	known := slices.Clone(first.rings)
	if len(groups) > 0 {
		visitors := run.visitors(slots, since, groups)
		for i := range groups {
			r := run.describe(&groups[i], visitors[i], first.Purity)
			least := first.MinMembers
			if len(r.merchants) == 2 {
				least += 2 // one pair of shops may simply be neighbours nobody located
			}
			if homes(r.members, visitors[i]) < least {
				continue
			}
			llr := min(-groups[i].chance, first.Crowd+r.character())
			r.chance = groups[i].chance + math.Log(looks)
			if r.logOdds = first.env.LogOdds(first.Prior, llr); r.logOdds < ringTold {
				continue
			}
			r.confirmed, r.baseline = tick.Now, tick.Version
			known = adopt(known, r)
			raiseRing(tick, slots, r, llr, since)
		}
	}
	known = slices.DeleteFunc(known, func(r *knownRing) bool { return r.confirmed < since })
	slices.SortStableFunc(known, func(a, b *knownRing) int { return cmp.Or(cmp.Compare(a.chance, b.chance), strings.Compare(a.id, b.id)) })
	known = known[:min(len(known), math.MaxUint16-1)]
	for _, d := range slots {
		d.rings = known
	}
	for i, r := range known {
		for _, p := range r.members {
			if c := slots[p.slot].env.Ledger.customers.Find(p.key); c != nil && c.ring == 0 {
				c.ring, c.used, c.purity = uint16(i+1), p.used, p.purity
			}
		}
	}
}

// settle lists the merchants with customers in the horizon, ordered by identifier.
func (r *ringRun) settle(slots []*ring, since vw.Millis) {
	r.index = grow(r.index, len(slots))
	var all Table[int32] // 1 + index into found
	var found []ringPlace
	for i, d := range slots {
		l := d.env.Ledger
		r.index[i] = grow(r.index[i], len(l.keys))
		for _, key := range l.keys[1:] {
			at, isNew := all.Get(key)
			if isNew {
				found = append(found, ringPlace{key: key})
				*at = int32(len(found))
			}
		}
	}
	type voted struct{ x, y, n int32 }
	votes := map[uint64]map[[2]int32]int32{}
	for _, d := range slots {
		d.cells.Each(func(_ uint64, c *placeVote) {
			if votes[c.merchant] == nil {
				votes[c.merchant] = map[[2]int32]int32{}
			}
			votes[c.merchant][[2]int32{c.x, c.y}] += c.n
		})
	}
	for i := range found {
		p := &found[i]
		for _, d := range slots { // the profile is in the slot that owns the merchant
			if m := d.env.Merchants.of(p.key); m != nil {
				p.id, p.category = m.ID, m.Category
				if m.Located {
					p.located = true
					p.x, p.y = plane(m.Lon, m.Lat)
				}
			}
		}
		if !p.located {
			best := voted{}
			for at, n := range votes[p.key] {
				if n > best.n || n == best.n && (at[0] < best.x || at[0] == best.x && at[1] < best.y) {
					best = voted{at[0], at[1], n}
				}
			}
			if best.n >= 3 { // three redemptions in the same 100 m
				p.located = true
				p.x, p.y = plane((float64(best.x)+.5)/1000, (float64(best.y)+.5)/1000)
			}
		}
	}
	if most := slots[0].Merchants; len(found) > most {
		found = busiest(slots, found, &all, most, since)
	}
	slices.SortFunc(found, func(a, b ringPlace) int { return strings.Compare(a.id, b.id) })
	all.Clear()
	for i := range found {
		at, _ := all.Get(found[i].key)
		*at = int32(i + 1)
	}
	for i, d := range slots {
		l := d.env.Ledger
		r.index[i][0] = 0
		for j, key := range l.keys[1:] {
			r.index[i][j+1] = 0
			if at := all.Find(key); at != nil {
				r.index[i][j+1] = uint16(*at)
			}
		}
	}
	r.places = found
}

// busiest keeps the merchants with the most redemptions.
func busiest(slots []*ring, found []ringPlace, all *Table[int32], most int, since vw.Millis) []ringPlace {
	count := make([]int, len(found)+1)
	for _, d := range slots {
		l := d.env.Ledger
		l.customers.Each(func(_ uint64, p *patron) {
			for i := range p.uses[:p.n] {
				count[*all.Find(l.keys[p.uses[i].place])] += int(p.uses[i].count)
			}
		})
	}
	order := make([]int, len(found))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(count[b+1], count[a+1]), strings.Compare(found[a].id, found[b].id))
	})
	kept := make([]ringPlace, most)
	for i := range kept {
		kept[i] = found[order[i]]
	}
	return kept
}

// plane is a point in metres, true to scale at 36° north and within 2 % over the province.
func plane(lon, lat float64) (x, y float64) {
	return lon * 111_320 * math.Cos(36*math.Pi/180), lat * 111_320
}

// merchants are the customer's merchants in the horizon as places, sorted; the buffer is overwritten.
func (r *ringRun) merchants(slot int, p *patron, oldest uint16, buffer []uint16) []uint16 {
	buffer = buffer[:0]
	index := r.index[slot]
	for i := range p.uses[:p.n] {
		u := &p.uses[i]
		if u.last < oldest || index[u.place] == 0 {
			continue
		}
		g := index[u.place] - 1
		j := len(buffer)
		buffer = append(buffer, g)
		for ; j > 0 && buffer[j-1] > g; j-- {
			buffer[j] = buffer[j-1]
		}
		buffer[j] = g
	}
	return buffer
}

// judge says of every customer how odd they are, and counts what the null needs.
func (r *ringRun) judge(slots []*ring, since vw.Millis) {
	m := len(r.places)
	r.ends, r.guests = grow(r.ends, m), grow(r.guests, m)
	clear(r.ends)
	clear(r.guests)
	r.odd = r.odd[:0]
	oldest := uint16(max(0, vw.DayOf(since, slots[0].env.Offset)))
	r.scale.learn(slots, r)
	several := 0
	var buffer [patronPlaces]uint16
	for slot, d := range slots {
		d.env.Ledger.customers.Each(func(key uint64, p *patron) {
			p.ring, p.oddity = 0, 0
			if p.last < oldest || p.count < 2 {
				return
			}
			places := r.merchants(slot, p, oldest, buffer[:])
			for _, a := range places {
				r.ends[a] += float64(len(places) - 1)
				r.guests[a]++
			}
			if len(places) > 1 {
				several++
			}
			if r.scale.rate(slot, p); p.oddity >= oddLeast {
				r.odd = append(r.odd, ringPatron{key: key, p: p, slot: int32(slot)})
			}
		})
	}
	r.scale.cut(slots[0].Odd)
	var among [ringLevels]int
	r.odd = slices.DeleteFunc(r.odd, func(c ringPatron) bool {
		level := r.scale.level(c.p)
		if level < ringLevels && c.p.n > 1 {
			for ; level < ringLevels; level++ {
				among[level]++
			}
			return false
		}
		return level == ringLevels
	})
	for i, n := range among {
		r.shares[i] = float64(n+1) / float64(several+20)
	}
	slices.SortFunc(r.odd, func(a, b ringPatron) int { return cmp.Compare(a.key, b.key) })
}

// learn brings the null up to date, and fits it anew when the campaign has doubled.
func (r *ringRun) learn(slots []*ring, since vw.Millis) {
	n := &r.null
	var buffer [patronPlaces]uint16
	oldest := uint16(max(0, vw.DayOf(since, slots[0].env.Offset)))
	for _, c := range r.odd {
		places := r.merchants(int(c.slot), c.p, oldest, buffer[:])
		for _, a := range places {
			r.ends[a] -= float64(len(places) - 1)
		}
	}
	n.places, n.ends, n.crowd = r.places, r.ends, 0
	for _, e := range n.ends {
		n.crowd += e
	}
	if n.crowd == 0 {
		n.fitted = 0
		return
	}
	if n.crowd < 2*n.fitted {
		n.locate()
		return
	}
	n.keys, n.stride = n.keys[:0], strides(len(r.places))
	class := make([]uint16, len(r.places))
	for i := range class {
		class[i] = uint16(i % n.stride)
	}
	for slot, d := range slots {
		d.env.Ledger.customers.Each(func(_ uint64, p *patron) {
			if p.last < oldest || p.n < 2 || r.scale.level(p) < ringLevels {
				return
			}
			places := r.merchants(slot, p, oldest, buffer[:])
			for j, b := range places {
				for _, a := range places[:j] {
					if class[a] == class[b] {
						n.keys = append(n.keys, uint32(ringIndex(int(a), int(b))))
					}
				}
			}
		})
	}
	n.fit()
}

// householdMost is the most accounts on one device or card that still are a family (regulation.md T10
// looks from four on; two parents and their parents are four).
const householdMost = 4

// gather makes the crowds of odd customers, families as one.
func (r *ringRun) gather() {
	households(r.odd)
	for level := range r.crowds {
		c := &r.crowds[level]
		c.reset(level, len(r.places))
		homes := slices.Clone(r.odd)
		homes = slices.DeleteFunc(homes, func(p ringPatron) bool { return r.scale.level(p.p) > level })
		slices.SortStableFunc(homes, func(a, b ringPatron) int { return int(a.home - b.home) })
		for i := 0; i < len(homes); {
			j := i
			r.flat = r.flat[:0]
			for ; j < len(homes) && homes[j].home == homes[i].home; j++ {
				var buffer [patronPlaces]uint16
				r.flat = append(r.flat, r.merchants(int(homes[j].slot), homes[j].p, 0, buffer[:])...)
			}
			if j > i+1 {
				slices.Sort(r.flat)
				r.flat = slices.Compact(r.flat)
			}
			if len(r.flat) > 1 {
				c.add(r.flat)
			}
			i = j
		}
		c.settle()
	}
}

// households notes with each customer where they live: those that share a device or card with at most
// householdMost in all are one. Larger crowds on a device are no family and count one by one.
func households(people []ringPatron) {
	for i := range people {
		people[i].home = int32(i)
	}
	root := func(i int32) int32 {
		for people[i].home != i {
			people[i].home = people[people[i].home].home
			i = people[i].home
		}
		return i
	}
	for _, of := range tokensOfPatron {
		sharers(people, of, func(group []int32) {
			if len(group) <= householdMost {
				for _, i := range group[1:] {
					a, b := root(i), root(group[0])
					people[max(a, b)].home = min(a, b)
				}
			}
		})
	}
	for i := range people {
		people[i].home = root(int32(i))
	}
}

var tokensOfPatron = [...]func(*patron) uint32{
	func(p *patron) uint32 { return p.device }, func(p *patron) uint32 { return p.card },
}

// sharers gives those that have a token in common, by two or more.
func sharers(people []ringPatron, of func(*patron) uint32, f func(group []int32)) {
	var keys []uint64
	for i := range people {
		if t := of(people[i].p); t != 0 {
			keys = append(keys, uint64(t)<<32|uint64(i))
		}
	}
	slices.Sort(keys)
	var group []int32
	for i := 0; i < len(keys); {
		j := i
		for ; j < len(keys) && keys[j]>>32 == keys[i]>>32; j++ {
		}
		if j > i+1 {
			group = group[:0]
			for _, k := range keys[i:j] {
				group = append(group, int32(uint32(k)))
			}
			f(group)
		}
		i = j
	}
}

// groups are the groups of merchants that odd customers share more than chance allows, no merchant in two.
func (r *ringRun) groups(d *ring, limit float64) []ringGroup {
	var all []ringGroup
	for level := range r.crowds {
		c := &r.crowds[level]
		all = append(all, c.grow(&r.null, c.links(&r.null))...)
	}
	slices.SortStableFunc(all, func(a, b ringGroup) int { return cmp.Compare(a.chance, b.chance) })
	claimed := map[int]bool{}
	return slices.DeleteFunc(all, func(g ringGroup) bool {
		bound := limit
		if len(g.merchants) == 2 {
			bound *= 2
		}
		if g.chance > bound || slices.ContainsFunc(g.merchants, func(a int) bool { return claimed[a] }) {
			return true
		}
		for _, a := range g.merchants {
			claimed[a] = true
		}
		return false
	})
}

// ringVisitor is a customer of a group's merchants.
type ringVisitor struct {
	ringPatron
	at    uint16 // bits of the group's merchants
	level int
}

// visitors are the customers of each group who used several of its merchants, or one and are odd, by key.
func (r *ringRun) visitors(slots []*ring, since vw.Millis, groups []ringGroup) [][]ringVisitor {
	r.group = grow(r.group, len(r.places))
	clear(r.group)
	bit := make([]uint16, len(r.places))
	for i, g := range groups {
		for j, a := range g.merchants {
			r.group[a], bit[a] = uint16(i+1), 1<<j
		}
	}
	oldest := uint16(max(0, vw.DayOf(since, slots[0].env.Offset)))
	found := make([][]ringVisitor, len(groups))
	var buffer [patronPlaces]uint16
	for slot, d := range slots {
		d.env.Ledger.customers.Each(func(key uint64, p *patron) {
			if p.last < oldest {
				return
			}
			places := r.merchants(slot, p, oldest, buffer[:])
			for i, a := range places {
				g := r.group[a]
				if g == 0 {
					continue
				}
				v := ringVisitor{ringPatron: ringPatron{key: key, p: p, slot: int32(slot)}, level: r.scale.level(p)}
				repeat := false
				for j, b := range places {
					if r.group[b] == g {
						repeat = repeat || j < i
						v.at |= bit[b]
					}
				}
				if !repeat && (v.at&(v.at-1) != 0 || v.level < ringLevels) {
					found[g-1] = append(found[g-1], v)
				}
			}
		})
	}
	for _, f := range found {
		slices.SortFunc(f, func(a, b ringVisitor) int { return cmp.Compare(a.key, b.key) })
	}
	return found
}
