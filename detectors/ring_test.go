package detectors

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	vw "voucherwatch"
)

// ringTown is a town that a test fills with customers before the ring detector looks at it.
type ringTown struct {
	t     testing.TB
	r     *rand.Rand
	c     *vw.Campaign
	slots []*ring
	next  uint64 // redemption
}

const townKey = 1 << 20 // of merchants

// newRingTown has merchants anywhere within ten kilometres, of four categories; one in twelve has no place.
func newRingTown(t testing.TB, seed uint64, merchants int) *ringTown {
	x := &ringTown{t: t, r: rand.New(rand.NewPCG(seed, 1)), c: rulesCampaign()}
	for i := range specs {
		if specs[i].Name != "ring" {
			continue
		}
		env := &Env{
			Campaign: x.c, Offset: x.c.Offset(), Slots: 1, Arena: &Arena{}, Merchants: newMerchants(), Ledger: newLedger(),
			settings: &Settings{Detectors: map[string]Setting{"ring": {Enabled: true, Weight: .6, Cap: 12}}}, spec: &specs[i], found: new([]proposal), said: &said{}, cause: new(int32),
		}
		d, err := specs[i].New(env)
		if err != nil {
			t.Fatal(err)
		}
		x.slots = append(x.slots, d.(*ring))
	}
	for m := range merchants {
		known, _ := x.slots[0].env.Merchants.byKey.Get(townKey + uint64(m))
		*known = &Profile{
			ID: fmt.Sprintf("m%03d", m), Key: townKey + uint64(m), Category: vw.Category(1 + x.r.IntN(4)),
			Located: x.r.IntN(12) > 0, Lon: 112.9 + .11*x.r.Float64(), Lat: 35.8 + .09*x.r.Float64(), OpensAt: -1, ClosesAt: -1, Seats: -1,
		}
	}
	return x
}

func (x *ringTown) apart(a, b int) float64 {
	p, q := x.merchant(a), x.merchant(b)
	return math.Hypot(p.Lon-q.Lon, p.Lat-q.Lat)
}

func (x *ringTown) merchant(m int) *Profile { return x.slots[0].env.Merchants.of(townKey + uint64(m)) }

// near is a merchant that comes to mind at home, the nearest of a dozen.
func (x *ringTown) near(home int) int {
	m := x.r.IntN(x.slots[0].env.Merchants.byKey.Len())
	for range 12 {
		if c := x.r.IntN(x.slots[0].env.Merchants.byKey.Len()); x.apart(c, home) < x.apart(m, home) {
			m = c
		}
	}
	return m
}

// use tells a redemption; amount is Visit.Amount.
func (x *ringTown) use(customer, device uint64, m, day int, amount float64) {
	x.next++
	at := vw.Millis(x.c.Start+day)*vw.Day + 4*vw.Hour
	p := x.merchant(m)
	x.slots[0].Visit(&Visit{
		Batch: rulesBatch(), T: at, Day: x.c.Start + day, Voucher: &x.c.Vouchers[0], Merchant: p, Amount: amount,
		Event: &vw.Event{
			Type: vw.RedemptionEvent, At: at, DiscountFen: 1000, ID: vw.Ref{Text: vw.Text{Len: 12}, Key: x.next},
			Merchant: vw.Ref{Key: p.Key}, Customer: vw.Ref{Key: customer}, Device: vw.Ref{Key: device},
		},
	})
}

// honest is what an amount says of honest people: one in eight pays just what the voucher asks for.
func (x *ringTown) honest() float64 {
	if x.r.IntN(8) == 0 {
		return 1.8
	}
	return -.5
}

// settle has so many customers go to merchants near their homes, and now and then back to one.
func (x *ringTown) settle(customers int) {
	for u := range uint64(customers) {
		home, last := x.r.IntN(x.slots[0].env.Merchants.byKey.Len()), -1
		for range 2 + x.r.IntN(6) {
			m := x.near(home)
			if last >= 0 && x.r.IntN(12) == 0 {
				m = last
			}
			x.use(1+u, 1+u, m, x.r.IntN(10), x.honest())
			last = m
		}
	}
}

// lodge has dormitories of 25 people each who go to the same three shops most of the time.
func (x *ringTown) lodge(blocks int) {
	for b := range blocks {
		haunts := x.r.Perm(x.slots[0].env.Merchants.byKey.Len())[:3]
		home := x.r.IntN(x.slots[0].env.Merchants.byKey.Len())
		for u := range 25 {
			who := uint64(100_000 + 100*b + u)
			for range 2 + x.r.IntN(6) {
				m := haunts[x.r.IntN(3)]
				if x.r.IntN(9) >= 5 {
					m = x.near(home)
				}
				x.use(who, who, m, x.r.IntN(10), x.honest())
			}
		}
	}
}

// plant adds a ring of a dozen accounts: each has a strong shop and goes to others of the ring twice; every
// other sum is made for the threshold.
func (x *ringTown) plant(first uint64, shops []int) {
	for i := range 12 {
		who, strong := first+uint64(i), shops[i%len(shops)]
		for day := range 6 {
			m := strong
			if day >= 4 {
				m = shops[(i+day)%len(shops)]
			}
			amount := -.5
			if x.r.IntN(2) == 0 {
				amount = 2
			}
			x.use(who, who, m, day+i%3, amount)
		}
	}
}

// learn has a run, and gives the rings that are raised.
func (x *ringTown) learn() []Found {
	d := x.slots[0]
	*d.env.found = nil
	learnRing([]Detector{d}, &Tick{Now: vw.Millis(x.c.End+1) * vw.Day, Day: x.c.End + 1, NewDay: true, Last: true, Campaign: x.c})
	var out []Found
	for _, p := range *d.env.found {
		out = append(out, p.Found)
	}
	return out
}

func TestNoRingIsRaisedAmongNeighboursAndDormitories(t *testing.T) {
	for seed := range uint64(12) {
		x := newRingTown(t, seed, 150)
		x.settle(3000)
		x.lodge(8)
		for _, f := range x.learn() {
			t.Errorf("town %d: a ring of %v: %s", seed, f.Merchants, f.Reasons[0].Text.En)
		}
	}
}

func TestPlantedRingsAreFoundWithTheirMerchantsAndMembersOnly(t *testing.T) {
	x := newRingTown(t, 7, 150)
	x.settle(3000)
	x.lodge(8)
	x.plant(900_000, []int{11, 47, 90, 133})
	x.plant(910_000, []int{5, 60, 101})
	got := map[string]bool{}
	for _, f := range x.learn() {
		got[fmt.Sprint(f.Merchants)] = true
		if len(f.Redemptions) == 0 {
			t.Errorf("the ring of %v rests on no redemption", f.Merchants)
		}
	}
	for _, want := range []string{"[m011 m047 m090 m133]", "[m005 m060 m101]"} {
		if !got[want] {
			t.Errorf("no ring of %s among %v", want, got)
		}
	}
	if len(got) != 2 {
		t.Errorf("%d rings, want 2: %v", len(got), got)
	}
	d, members := x.slots[0], 0
	d.env.Ledger.customers.Each(func(key uint64, p *patron) {
		if p.ring == 0 {
			return
		}
		if members++; key < 900_000 {
			t.Errorf("customer %d is called a member", key)
		}
	})
	if members < 18 {
		t.Errorf("%d members of 24 found", members)
	}
	// The next redemption of a member at a shop of the ring is told so, a neighbour's is not.
	for who, want := range map[uint64]uint8{900_000: 1, 1: 0} {
		s := &Visit{
			Batch: rulesBatch(), T: vw.Millis(x.c.End+1)*vw.Day + vw.Hour, Day: x.c.End + 1, Voucher: &x.c.Vouchers[0], Merchant: x.merchant(11),
			Event: &vw.Event{Type: vw.RedemptionEvent, ID: vw.Ref{Text: vw.Text{Len: 12}, Key: 1 << 40}, Merchant: vw.Ref{Key: townKey + 11}, Customer: vw.Ref{Key: who}},
		}
		if d.Visit(s); s.n != want {
			t.Errorf("customer %d at m011: %d signals, want %d", who, s.n, want)
		}
	}
}

// A dozen accounts that share four shops as a ring does, but pay as everybody and come back to none, are a crowd.
func TestACrowdThatIsNotOddIsNoRing(t *testing.T) {
	x := newRingTown(t, 3, 150)
	x.settle(3000)
	for i := range uint64(14) {
		for day := range 4 {
			x.use(900_000+i, 900_000+i, []int{11, 47, 90, 133}[(int(i)+day)%4], day, x.honest())
		}
	}
	if got := x.learn(); len(got) != 0 {
		t.Errorf("%s", got[0].Reasons[0].Text.En)
	}
}

// Of forty people of an office block who share three shops eight are faithful to one of them, as some always are.
func TestACrowdOfWhomAFewAreOddIsNoRing(t *testing.T) {
	for _, faithful := range []int{8, 34} {
		x := newRingTown(t, 3, 150)
		x.settle(3000)
		shops := []int{11, 47, 90}
		for i := range 40 {
			who := uint64(900_000 + i)
			x.use(who, who, shops[i%3], 0, -.3)
			x.use(who, who, shops[(i+1)%3], 1, -.3)
			if i < faithful {
				for day := range 5 {
					x.use(who, who, shops[i%3], 2+day, -.3)
				}
			}
		}
		if got, want := len(x.learn()), faithful/20; got != want {
			t.Errorf("%d of 40 are faithful: %d rings, want %d", faithful, got, want)
		}
	}
}

func TestAFamilyOnOneDeviceCountsOnce(t *testing.T) {
	homesOf := func(accounts int) int {
		var people []ringPatron
		for i := range accounts {
			people = append(people, ringPatron{key: uint64(i + 1), p: &patron{device: 99, card: uint32(i + 1)}})
		}
		households(people)
		seen := map[int32]bool{}
		for _, p := range people {
			seen[p.home] = true
		}
		return len(seen)
	}
	for accounts, want := range map[int]int{1: 1, 4: 1, 5: 5} { // five on one device are no family
		if got := homesOf(accounts); got != want {
			t.Errorf("%d accounts on one device are %d households, want %d", accounts, got, want)
		}
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

// What a coached shop's own faithful dozen do is not the shop's habit; what a canteen's many regulars do is.
func TestAMerchantsHabitIsThatOfMoreThanADozen(t *testing.T) {
	oddest := func(regulars int) int {
		x := newRingTown(t, 4, 60)
		x.settle(800)
		for i := range uint64(regulars) {
			for day := range 6 {
				x.use(900_000+i, 900_000+i, 7, day, -.3)
			}
		}
		x.learn()
		return int(x.slots[0].env.Ledger.customers.Find(900_000).oddity) - oddZero
	}
	if few, many := oddest(8), oddest(60); few < 25 || many > few-15 {
		t.Errorf("oddity of a regular in tenths: %d among eight, %d among sixty: a canteen's should count much less", few, many)
	}
}

func TestKeysAreSorted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var spare []uint32
	for _, n := range []int{0, 1, 2, 1000} {
		keys := make([]uint32, n)
		for i := range keys {
			keys[i] = r.Uint32() >> (r.IntN(4) * 8)
		}
		want := slices.Sorted(slices.Values(keys))
		if sortKeys(&keys, &spare); !slices.Equal(keys, want) {
			t.Errorf("%d keys are not in order", n)
		}
	}
}

// The bins of the mean must hold what their middle says.
func TestMeansFallIntoTheirBins(t *testing.T) {
	for i := range ringCells {
		if got := ringCell(ringCellMean(i)); got != i {
			t.Errorf("the middle of bin %d falls into %d", i, got)
		}
	}
	if ringCell(1e-9) != 0 || ringCell(1e9) != ringCells-1 {
		t.Error("what is out of range should fall into the outer bins")
	}
}

func BenchmarkRingNightly(b *testing.B) {
	x := newRingTown(b, 1, 3000)
	x.settle(200_000)
	x.learn()
	b.ReportAllocs()
	for b.Loop() {
		x.slots[0].fresh, x.slots[0].run.null.fitted = 1, 0
		x.learn()
	}
}
