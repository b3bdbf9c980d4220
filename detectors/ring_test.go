package detectors

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	vw "voucherwatch"
)

// town draws customers who go to merchants near their home, as everybody does, and returns what a run
// of the ring detector sees. Every customer has a device of their own.
func town(seed uint64, merchants, customers int) ([]ringPlace, []ringUnit) {
	r := rand.New(rand.NewPCG(seed, 1))
	places := make([]ringPlace, merchants)
	for i := range places {
		places[i] = ringPlace{
			id: fmt.Sprintf("m%05d", i), key: uint64(i + 1), category: vw.Category(1 + r.IntN(4)), located: r.IntN(12) > 0,
			x: 10_000 * r.Float64(), y: 10_000 * r.Float64(),
		}
	}
	const near = 12
	units := make([]ringUnit, customers)
	for i := range units {
		home := r.IntN(merchants)
		seen := map[uint16]uint16{}
		for range 2 + r.IntN(6) {
			m := r.IntN(merchants)
			for range near { // the nearest to home of some that come to mind
				if c := r.IntN(merchants); apart(places, c, home) < apart(places, m, home) {
					m = c
				}
			}
			seen[uint16(m)]++
		}
		units[i] = unitWith(uint64(i+1), seen)
	}
	return places, units
}

func apart(p []ringPlace, a, b int) float64 { return math.Hypot(p[a].x-p[b].x, p[a].y-p[b].y) }

func unitWith(key uint64, seen map[uint16]uint16) ringUnit {
	u := ringUnit{key: key, device: key}
	for m := range uint16(math.MaxUint16) {
		if n, ok := seen[m]; ok {
			u.uses = append(u.uses, placeUse{m, n})
			if delete(seen, m); len(seen) == 0 {
				break
			}
		}
	}
	return u
}

func nullOf(places []ringPlace, units []ringUnit) *ringNull {
	n := newRingNull(places, households(units))
	n.addPartners(units, 4)
	return n
}

func TestNoRingIsRaisedAmongPeopleWhoGoToTheirNeighbours(t *testing.T) {
	limit := math.Log(.1 / 84)
	for seed := range uint64(20) {
		places, units := town(seed, 150, 3000)
		n := nullOf(places, units)
		for _, g := range growRings(n, n.partnerLinks()) {
			if g.chance < limit {
				t.Errorf("town %d: regulars make a ring %v, ln chance %.1f", seed, g.merchants, g.chance)
			}
		}
		for _, g := range growRings(n, n.overlapLinks(3)) {
			if g.chance < limit && describeRing(n, &g, units, ringOverlap, 4, .8).regulars {
				t.Errorf("town %d: a crowd makes a ring %v, ln chance %.1f", seed, g.merchants, g.chance)
			}
		}
	}
}

func TestAPlantedRingIsFoundWithItsMerchantsOnly(t *testing.T) {
	places, units := town(7, 150, 3000)
	r := rand.New(rand.NewPCG(7, 2))
	ring := []uint16{11, 47, 90, 133}
	for i := range 12 {
		strong := ring[i%4]
		seen := map[uint16]uint16{strong: 5}
		for range 2 {
			seen[ring[r.IntN(4)]] += 1
		}
		seen[strong] = max(seen[strong], 5)
		units = append(units, unitWith(uint64(10_000+i), seen))
	}
	n := nullOf(places, units)
	groups := growRings(n, n.partnerLinks())
	if len(groups) == 0 || groups[0].chance > math.Log(.1/84) {
		t.Fatalf("the ring was not found: %+v", groups)
	}
	if got, want := fmt.Sprint(groups[0].merchants), fmt.Sprint(ring); got != want {
		t.Errorf("merchants of the ring: %s, want %s", got, want)
	}
	d := describeRing(n, &groups[0], units, ringPartners, 4, .8)
	for _, p := range d.members {
		if p.key < 10_000 {
			t.Errorf("customer %d is called a member", p.key)
		}
	}
	if len(d.members) < 9 {
		t.Errorf("%d members of 12 found", len(d.members))
	}
}

func TestAFamilyOnOneDeviceCountsOnce(t *testing.T) {
	family := func(accounts int) [][]uint16 {
		var units []ringUnit
		for i := range accounts {
			u := unitWith(uint64(i+1), map[uint16]uint16{0: 1, 1: 1})
			u.device = 99
			units = append(units, u)
		}
		return households(units)
	}
	if got := len(family(4)); got != 1 {
		t.Errorf("four accounts on one device are %d households, want 1", got)
	}
	if got := len(family(5)); got != 5 {
		t.Errorf("five accounts on one device are %d households, want 5: no family", got)
	}
}

func TestARingKeepsItsNameWhenItGrows(t *testing.T) {
	first := &knownRing{seed: [2]string{"b", "a"}, merchants: []string{"a", "b", "c"}, confirmed: 1}
	known := adopt(nil, first)
	grown := &knownRing{seed: [2]string{"c", "d"}, merchants: []string{"b", "c", "d", "e"}, confirmed: 2}
	other := &knownRing{seed: [2]string{"x", "y"}, merchants: []string{"e", "x", "y"}, confirmed: 2}
	known = adopt(adopt(known, grown), other)
	if len(known) != 2 || grown.id != first.id || other.id == first.id {
		t.Errorf("ids %q %q %q in %d rings: the grown one should keep the first's name, the other not", first.id, grown.id, other.id, len(known))
	}
}

func TestTheChanceOfAPairIsBonferroni(t *testing.T) {
	if got, want := lnChance(100, 2, 20), math.Log(4950)-20; math.Abs(got-want) > 1e-9 {
		t.Errorf("lnChance(100, 2, 20) = %g, want ln C(100,2) - 20 = %g", got, want)
	}
	if a, b := lnChance(100, 5, 640), lnChance(100, 5, 660); math.Abs(a-b-20) > .5 || math.IsInf(b, 0) {
		t.Errorf("far tails %g and %g should differ by nearly 20", a, b)
	}
}

func TestTheUseLogForgetsWholeSegmentsAndEndsWalksThere(t *testing.T) {
	var l useLog
	head := uint32(0)
	for i := range 3 * useSegment {
		head = l.add(use{At: vw.Millis(i)}, head)
	}
	l.drop(useSegment + 10)
	n, latest := 0, vw.Millis(0)
	l.each(head, 0, func(u *use) { n++; latest = max(latest, u.At) })
	if n != useWalk || latest != 3*useSegment-1 {
		t.Errorf("walked %d to %d", n, latest)
	}
	if l.at(1) != nil || l.at(useSegment+1) == nil {
		t.Error("the first segment should be gone and the second not")
	}
}

func BenchmarkRingNightly(b *testing.B) {
	places, units := town(1, 3000, 200_000)
	b.ReportAllocs()
	for b.Loop() {
		n := newRingNull(places, households(units))
		n.addPartners(units, 4)
		growRings(n, n.overlapLinks(3))
		growRings(n, n.partnerLinks())
	}
}
