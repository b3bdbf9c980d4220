package detectors

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

func TestPriceItemFitsACacheLine(t *testing.T) {
	if got := unsafe.Sizeof(row[priceItem]{}); got != 64 {
		t.Errorf("%d bytes an item with its key, want 64", got)
	}
}

// The packed series says what a plain list of days says as long as there are six prices; with more it says
// nothing cheaper, so that no rise grows by what was forgotten.
func TestPriceItemAgreesWithAPlainList(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 9))
		kinds := 1 + r.IntN(10)
		var it priceItem
		plain := map[int]uint32{}
		day, last, seen := 1000, uint32(0), 0
		for range 120 {
			for step := r.IntN(4); step > 0; step-- {
				day++
				if last != 0 && day-seen < priceCarry {
					plain[day] = last
				}
			}
			fen := uint32(500 + 37*r.IntN(kinds))
			if old := plain[day]; seen != day || fen < old {
				plain[day] = fen
			}
			last, seen = fen, day
			it.see(fen, uint16(day))
			var old []uint32
			low := uint32(0)
			for back := range priceDays {
				want := plain[day-back]
				got := it.price(back)
				if kinds <= priceLevels && got != want || got < want || (got == 0) != (want == 0) {
					t.Fatalf("seed %d, %d prices: %d fen %d days before, want %d", seed, kinds, got, back, want)
				}
				switch {
				case want == 0 || back == 0:
				case back <= priceWindow:
					if low == 0 || want < low {
						low = want
					}
				default:
					old = append(old, want)
				}
			}
			if low == 0 {
				low = last
			}
			if got := it.lowest(); kinds <= priceLevels && got != low || got < low {
				t.Fatalf("seed %d, %d prices: lowest %d, want %d", seed, kinds, got, low)
			}
			usual, ok := it.usual()
			if ok != (len(old) >= priceKnown) || ok != it.known() {
				t.Fatalf("seed %d: usual price %v and known %v with %d days", seed, ok, it.known(), len(old))
			}
			if ok {
				slices.Sort(old)
				if want := old[len(old)-priceHabit]; kinds <= priceLevels && usual != want || usual < want {
					t.Fatalf("seed %d, %d prices: usual %d, want %d", seed, kinds, usual, want)
				}
			}
		}
	}
}

func TestPriceItemTakesInADayThatLiesBehind(t *testing.T) {
	var it priceItem
	it.see(500, 100)
	it.see(510, 103)
	it.see(450, 101)
	it.see(490, 10)
	if got := []uint32{it.price(0), it.price(1), it.price(2), it.price(3), it.price(4)}; !slices.Equal(got, []uint32{510, 500, 450, 500, 0}) {
		t.Errorf("prices of the last days %d, want 510 500 450 500 and unknown", got)
	}
}
