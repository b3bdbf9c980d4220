package detectors

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strings"

	vw "voucherwatch"
)

// ringUnit is a customer of a run: the merchants used inside the horizon.
type ringUnit struct {
	key          uint64
	device, card uint64
	uses         []placeUse // by place
	slot         int32
	head         uint32
	home         int32 // index of the household's first unit
}

// placeUse is how often a customer redeemed at a merchant.
type placeUse struct{ place, n uint16 }

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
	since := tick.Now - vw.Millis(first.Days)*vw.Day
	places := ringPlaces(slots, since, first.Merchants)
	units, often := ringUnits(slots, places, since, first.Often)
	null := newRingNull(places, households(units))
	null.addPartners(units, often)
	// A campaign has one run a night, and each looks twice: each look may spend its share of the false rings.
	looks := 2 * float64(tick.Campaign.End-tick.Campaign.Start+1)
	budget := math.Log(first.FalseRings / looks)
	known := slices.Clone(first.rings)
	claimed := map[int]bool{}
	for _, kind := range []*Kind{ringPartners, ringOverlap} {
		if kind == ringOverlap && first.Covisit == 0 {
			break // rings of co-visits alone are not raised
		}
		links := null.partnerLinks()
		if kind == ringOverlap {
			links = null.overlapLinks(first.MinShared)
		}
		for _, g := range growRings(null, links) {
			limit, least := budget, first.MinMembers
			if len(g.merchants) == 2 {
				limit, least = 2*budget, least+2 // one pair of shops may simply be neighbours nobody located
			}
			if g.chance > limit || slices.ContainsFunc(g.merchants, func(a int) bool { return claimed[a] }) {
				continue
			}
			r := describeRing(null, &g, units, kind, often, first.Purity)
			evidence := 0.0
			if !r.regulars {
				// People who live together share their shops, too. What tells them apart is what they buy.
				g.merchants, evidence = bought(slots, units, &g, r, since)
				if len(g.merchants) < 2 {
					continue
				}
				r = describeRing(null, &g, units, kind, often, first.Purity)
			}
			if homes(units, r.members) < least || !r.regulars && first.Covisit == 0 {
				continue
			}
			for _, a := range g.merchants {
				claimed[a] = true
			}
			r.chance = g.chance + math.Log(looks)
			llr := -g.chance
			if !r.regulars {
				llr = min(llr, first.Covisit) + clip(evidence, -4, 8)
			}
			if r.logOdds = first.env.LogOdds(first.Prior, llr); r.logOdds < ringTold {
				continue
			}
			r.confirmed, r.baseline = tick.Now, tick.Version
			known = adopt(known, r)
			raiseRing(tick, slots, units, r, llr, since)
		}
	}
	known = slices.DeleteFunc(known, func(r *knownRing) bool { return r.confirmed < since })
	slices.SortStableFunc(known, func(a, b *knownRing) int { return cmp.Or(cmp.Compare(a.chance, b.chance), strings.Compare(a.id, b.id)) })
	known = known[:min(len(known), math.MaxUint16-1)]
	for _, d := range slots {
		d.rings = known
		d.customers.Each(func(_ uint64, c *ringCustomer) { c.ring = 0 })
		for i, r := range known {
			for _, p := range r.members {
				if c := d.customers.Find(p.key); c != nil && c.ring == 0 {
					c.ring, c.used = uint16(i+1), p.used
				}
			}
		}
	}
}

// ringPlaces are the merchants with customers in the horizon, ordered by identifier.
func ringPlaces(slots []*ring, since vw.Millis, bound int) []ringPlace {
	var uses Table[int32]
	for _, d := range slots {
		for _, s := range d.log.segments {
			for i := range s {
				if s[i].At >= since {
					n, _ := uses.Get(s[i].Merchant)
					*n++
				}
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
	var places []ringPlace
	var count []int32
	uses.Each(func(key uint64, n *int32) {
		if *n < 2 {
			return // no link without two customers
		}
		p := ringPlace{key: key}
		for _, d := range slots { // the profile is in the slot that owns the merchant
			if m := d.env.Merchants.of(key); m != nil {
				p.id, p.name, p.category = m.ID, m.Name, m.Category
				if m.Located {
					p.located = true
					p.x, p.y = plane(m.Lon, m.Lat)
				}
			}
		}
		if !p.located {
			best := voted{}
			for at, n := range votes[key] {
				if n > best.n || n == best.n && (at[0] < best.x || at[0] == best.x && at[1] < best.y) {
					best = voted{at[0], at[1], n}
				}
			}
			if best.n >= 3 { // three redemptions in the same 100 m
				p.located = true
				p.x, p.y = plane((float64(best.x)+.5)/1000, (float64(best.y)+.5)/1000)
			}
		}
		places = append(places, p)
		count = append(count, *n)
	})
	if len(places) > bound {
		order := make([]int, len(places))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int {
			return cmp.Or(cmp.Compare(count[b], count[a]), strings.Compare(places[a].id, places[b].id))
		})
		kept := make([]ringPlace, bound)
		for i := range kept {
			kept[i] = places[order[i]]
		}
		places = kept
	}
	slices.SortFunc(places, func(a, b ringPlace) int { return strings.Compare(a.id, b.id) })
	return places
}

// plane is a point in metres, true to scale at 36° north and within 2 % over the province.
func plane(lon, lat float64) (x, y float64) {
	return lon * 111_320 * math.Cos(36*math.Pi/180), lat * 111_320
}

// ringUnits are the customers of two merchants or more, ordered by key, and from how many redemptions on
// a customer counts as coming unusually often to a merchant.
func ringUnits(slots []*ring, places []ringPlace, since vw.Millis, share float64) (units []ringUnit, often int) {
	var index Table[int32]
	for i := range places {
		n, _ := index.Get(places[i].key)
		*n = int32(i)
	}
	var buffer [ringWidth]placeUse
	var counts [32]int
	pairs := 0
	for slot, d := range slots {
		d.customers.Each(func(key uint64, c *ringCustomer) {
			used := buffer[:0]
			d.log.each(c.head, since, func(u *use) {
				i := index.Find(u.Merchant)
				if i == nil {
					return
				}
				for j := range used {
					if used[j].place == uint16(*i) {
						used[j].n++
						return
					}
				}
				if len(used) < ringWidth {
					used = append(used, placeUse{uint16(*i), 1})
				}
			})
			for _, p := range used {
				counts[min(int(p.n), len(counts)-1)]++
				pairs++
			}
			if len(used) > 1 {
				slices.SortFunc(used, func(a, b placeUse) int { return int(a.place) - int(b.place) })
				units = append(units, ringUnit{key: key, device: c.device, card: c.card, uses: slices.Clone(used), slot: int32(slot), head: c.head})
			}
		})
	}
	slices.SortFunc(units, func(a, b ringUnit) int { return cmp.Compare(a.key, b.key) })
	above := 0
	for often = len(counts); often > 3; often-- {
		if above += counts[often-1]; float64(above) > share*float64(pairs) {
			break
		}
	}
	return units, often
}

// householdMost is the most accounts on one device or card that still are a family (regulation.md T10
// looks from four on; two parents and their parents are four).
const householdMost = 4

// households joins the customers that share a device or card with at most householdMost others into one
// set of merchants, and notes in each unit where it lives. Larger crowds on a device are no family and
// count one by one.
func households(units []ringUnit) [][]uint16 {
	parent := make([]int32, len(units))
	for i := range parent {
		parent[i] = int32(i)
	}
	root := func(i int32) int32 {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for _, of := range []func(*ringUnit) uint64{
		func(u *ringUnit) uint64 { return u.device }, func(u *ringUnit) uint64 { return u.card },
	} {
		for _, group := range sharers(units, of) {
			if len(group) <= householdMost {
				for _, i := range group[1:] {
					parent[root(i)] = root(group[0])
				}
			}
		}
	}
	at := make([]int, len(units)) // 1 + index of the household's set
	sets := make([][]uint16, 0, len(units))
	for i := range units {
		home := root(int32(i))
		units[i].home = home
		if at[home] == 0 {
			sets = append(sets, make([]uint16, 0, len(units[i].uses)))
			at[home] = len(sets)
		}
		s := &sets[at[home]-1]
		for _, u := range units[i].uses {
			*s = append(*s, u.place)
		}
	}
	for i := range sets {
		slices.Sort(sets[i])
		sets[i] = slices.Compact(sets[i])
	}
	return sets
}

// homes is the number of households that the members come from.
func homes(units []ringUnit, members []ringPerson) int {
	seen := map[int32]bool{}
	for _, p := range members {
		if u := unitOf(units, p.key); u != nil {
			seen[u.home] = true
		}
	}
	return len(seen)
}

func unitOf(units []ringUnit, key uint64) *ringUnit {
	i, ok := slices.BinarySearchFunc(units, key, func(u ringUnit, key uint64) int { return cmp.Compare(u.key, key) })
	if !ok {
		return nil
	}
	return &units[i]
}

// sharers lists the units that have a token in common, by two or more.
func sharers(units []ringUnit, of func(*ringUnit) uint64) [][]int32 {
	type holder struct {
		token uint64
		unit  int32
	}
	var all []holder
	for i := range units {
		if t := of(&units[i]); t != 0 {
			all = append(all, holder{t, int32(i)})
		}
	}
	slices.SortFunc(all, func(a, b holder) int { return cmp.Or(cmp.Compare(a.token, b.token), cmp.Compare(a.unit, b.unit)) })
	var groups [][]int32
	for i := 0; i < len(all); {
		j := i
		var g []int32
		for ; j < len(all) && all[j].token == all[i].token; j++ {
			if j > i && g == nil {
				g = append(g, all[i].unit)
			}
			if j > i {
				g = append(g, all[j].unit)
			}
		}
		if g != nil {
			groups = append(groups, g)
		}
		i = j
	}
	return groups
}

// visitors are the units that used any of the merchants, in order.
func (n *ringNull) visitors(merchants []int, units []ringUnit) []int32 {
	if n.byPlace == nil {
		n.byPlace = make([][]int32, len(n.places))
		for i := range units {
			for _, u := range units[i].uses {
				n.byPlace[u.place] = append(n.byPlace[u.place], int32(i))
			}
		}
	}
	var all []int32
	for _, a := range merchants {
		all = append(all, n.byPlace[a]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// describeRing counts what a group shares and who its members are.
func describeRing(n *ringNull, g *ringGroup, units []ringUnit, kind *Kind, often int, purity float64) *knownRing {
	r := &knownRing{kind: kind, seed: [2]string{n.places[g.seed[0]].id, n.places[g.seed[1]].id}, far: math.NaN()}
	var apart []float64
	for i, a := range g.merchants {
		p := &n.places[a]
		r.merchants, r.keys = append(r.merchants, p.id), append(r.keys, p.key)
		for _, b := range g.merchants[i+1:] {
			q := &n.places[b]
			if kind == ringPartners {
				r.shared += n.partnerCount(a, b)
				r.expected += n.partnerMean(a, b)
			} else {
				mean, _ := n.mean(a, b)
				r.shared += int(n.shared[ringIndex(a, b)])
				r.expected += mean
			}
			if p.located && q.located {
				apart = append(apart, math.Hypot(p.x-q.x, p.y-q.y)/1000)
			}
		}
	}
	if len(apart) > 0 {
		slices.Sort(apart)
		r.far = apart[len(apart)/2]
	}
	regulars := 0
	for _, i := range n.visitors(g.merchants, units) {
		used, most := 0, 0
		for _, u := range units[i].uses {
			if _, ok := slices.BinarySearch(g.merchants, int(u.place)); ok {
				used++
				most = max(most, int(u.n))
			}
		}
		if used < 2 || kind == ringPartners && most < often || r.purity(used) < purity {
			continue
		}
		r.members = append(r.members, ringPerson{units[i].key, uint8(used)})
		if most >= often {
			regulars++
		}
	}
	// A quarter of the members: people at large come so often in a case of two hundred.
	r.regulars = 4*regulars >= len(r.members)
	return r
}

// ringTold is the log-odds below which a ring is not worth a person's time: a score of 300.
const ringTold = -.85

// bought keeps the merchants of a group where the members' amounts are made for the threshold, and sums
// up the evidence of it: the log likelihood ratios, halved, for they depend on each other.
func bought(slots []*ring, units []ringUnit, g *ringGroup, r *knownRing, since vw.Millis) (merchants []int, evidence float64) {
	tenths := make([]int, len(r.keys))
	for _, p := range r.members {
		if unit := unitOf(units, p.key); unit != nil {
			slots[unit.slot].log.each(unit.head, since, func(u *use) {
				if i := slices.Index(r.keys, u.Merchant); i >= 0 {
					tenths[i] += u.amount()
				}
			})
		}
	}
	for i, n := range tenths {
		if n > 0 {
			merchants = append(merchants, g.merchants[i])
			evidence += float64(n) / 10 / 2
		}
	}
	return merchants, evidence
}

// adopt gives the ring the name of the known one with which it shares most merchants, at least two and
// a third of the smaller; otherwise its own, from its strongest pair. It replaces the one it continues.
func adopt(known []*knownRing, r *knownRing) []*knownRing {
	best, most := -1, 1
	for i, k := range known {
		common := 0
		for _, m := range r.merchants {
			if slices.Contains(k.merchants, m) {
				common++
			}
		}
		if common > most {
			best, most = i, common
		}
	}
	if best >= 0 && known[best].confirmed != r.confirmed {
		r.id, r.seed = known[best].id, known[best].seed
		known[best] = r
		return known
	}
	seed := r.seed
	slices.Sort(seed[:])
	sum := sha256.Sum256([]byte(seed[0] + "\x00" + seed[1]))
	r.id = hex.EncodeToString(sum[:8])
	return append(known, r)
}

// ringEvidence bounds the redemptions that one run adds to a finding.
const ringEvidence = 2000

// raiseRing raises the finding of a ring with the redemptions of its members at its merchants.
func raiseRing(tick *Tick, slots []*ring, units []ringUnit, r *knownRing, llr float64, since vw.Millis) {
	first := slots[0]
	var members []ringUnit
	var redemptions []FoundRedemption
	for _, p := range r.members {
		unit := unitOf(units, p.key)
		if unit == nil {
			continue
		}
		members = append(members, *unit)
		d := slots[unit.slot]
		d.log.each(unit.head, since, func(u *use) {
			if slices.Contains(r.keys, u.Merchant) {
				if f, ok := u.found(d.env.Arena); ok {
					redemptions = append(redemptions, f)
				}
			}
		})
	}
	slices.SortFunc(redemptions, func(a, b FoundRedemption) int {
		return cmp.Or(cmp.Compare(b.At, a.At), strings.Compare(a.ID, b.ID))
	})
	redemptions = redemptions[:min(len(redemptions), ringEvidence)]
	evidence := make([]string, 0, 20)
	for _, f := range redemptions[:min(len(redemptions), 20)] {
		evidence = append(evidence, f.ID)
	}
	regular := 0.0
	if r.regulars {
		regular = 1
	}
	reason := first.env.Reason(Signal{
		Kind: r.kind, LLR: llr, Observed: float64(r.shared), Expected: r.expected, P: r.p(),
		Aux: [6]float64{float64(len(r.keys)), float64(len(r.members)), 0, r.far, regular},
	})
	reason.Evidence = evidence
	reason.Peers = "same distance and category"
	r.reasons = []vw.Reason{reason}
	if sharing, most := sharedTokens(members); sharing > 0 {
		reason = first.env.Reason(Signal{
			Kind: ringDevices, Observed: float64(sharing), Expected: None, P: None, Aux: [6]float64{float64(most), float64(len(members))},
		})
		r.reasons = append(r.reasons, reason)
	}
	f := r.found(tick.Now)
	f.Redemptions = redemptions
	tick.Find(first.env, f)
}

// sharedTokens counts the members that share a device or a card with another one, and the most on one.
func sharedTokens(members []ringUnit) (sharing, most int) {
	in := map[int32]bool{}
	for _, of := range []func(*ringUnit) uint64{
		func(u *ringUnit) uint64 { return u.device }, func(u *ringUnit) uint64 { return u.card },
	} {
		for _, g := range sharers(members, of) {
			most = max(most, len(g))
			for _, i := range g {
				in[i] = true
			}
		}
	}
	return len(in), most
}
