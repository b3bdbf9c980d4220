package simulate

import (
	"math"
	"time"

	vw "voucherwatch"
)

// cycle is what the claim limit counts in: a round, or the whole campaign.
type cycle struct {
	from, to int       // day numbers, inclusive
	weights  []float64 // cumulative, by day
}

// world is everything that a seed fixes before the first event. It is read-only afterwards.
type world struct {
	*vw.Campaign
	seed      uint64
	last      int // last day simulated
	offset    int // minutes east of UTC
	p         nuisance
	cycles    []cycle
	tiers     [vw.Categories][]uint8 // voucher indices, by rising threshold
	balance   int                    // index of the balance voucher, or -1
	share     []float64              // cumulative, by category
	customers []customer
	merchants []merchant
	honest    int // merchants[:honest] were there before any fraud
	employers int
	staff     [][]int32 // customers by employer
	flash     struct {  // H15
		merchant int32
		day      int
		at       vw.Millis
		deals    []vw.Fen
	}
	favourite [][]float64 // [cluster*Categories+category] cumulative weight of byCategory
	anywhere  [vw.Categories][]float64
	kinds     [vw.Categories][]int32 // merchant indices by category
	shops     [kindCount]shop        // the trades as this world has them
	kindOf    [kindCount][]int32
	promos    []int32
	outage    struct {
		from, to vw.Millis
		provider int
	}
	shelf shelf
}

func newWorld(o *Options) *world {
	w := &world{Campaign: o.Campaign, seed: o.Seed, offset: o.Campaign.Offset(), balance: -1}
	w.last = w.End
	if o.Days > 0 {
		w.last = min(w.End, w.Start+o.Days-1)
	}
	r := w.chance(forWorld, 0, 0)
	w.p = newNuisance(o.Seed, o.fixed)
	w.layTrades()
	w.layTiers()
	w.layCycles()
	w.settle(o)
	w.shelf = newShelf(w)
	w.open(o.Merchants)
	w.crown()
	w.layDemand()
	w.acquaint()
	day := w.Start + r.among(2, max(2, w.last-w.Start-1))
	w.outage.from = w.midnight(day) + vw.Millis([]int{11*60 + 40, 17*60 + 40}[r.below(2)]+r.below(50))*vw.Minute
	w.outage.to = w.outage.from + vw.Millis(w.p[outageMinutes]*float64(vw.Minute))
	w.outage.provider = r.below(providers)
	return w
}

func (w *world) chance(p purpose, a, b uint64) chance { return chance(hash(w.seed, p, a, b)) }

// midnight is the first moment of a day in the campaign's zone.
func (w *world) midnight(day int) vw.Millis {
	return vw.Millis(day)*vw.Day - vw.Millis(w.offset)*vw.Minute
}

func (w *world) release(day int) vw.Millis {
	return w.midnight(day) + vw.Millis(w.ReleaseMinute)*vw.Minute
}

func (w *world) layTiers() {
	for i, v := range w.Vouchers {
		if v.Balance {
			w.balance = i
			continue
		}
		t := append(w.tiers[v.Category], uint8(i))
		for j := len(t) - 1; j > 0 && w.Vouchers[t[j-1]].Threshold > v.Threshold; j-- {
			t[j-1], t[j] = t[j], t[j-1]
		}
		w.tiers[v.Category] = t
	}
	// Demand follows the vouchers that a category's budget can pay for, flattened a little so that a
	// small world still has dear goods in it.
	var budget [vw.Categories]float64
	for _, r := range w.Rounds {
		for c, b := range r.Budget {
			budget[c] += float64(b)
		}
	}
	w.share = make([]float64, vw.Categories)
	sum := 0.0
	for c := range w.share {
		if n := float64(len(w.tiers[c])); n > 0 && budget[c] > 0 {
			inverse := 0.0
			for _, t := range w.tiers[c] {
				inverse += 1 / float64(w.Vouchers[t].Face)
			}
			sum += math.Pow(budget[c]*inverse/n, .8)
		}
		w.share[c] = sum
	}
}

func (w *world) layCycles() {
	if w.ClaimPerCampaign {
		w.cycles = []cycle{{from: w.Start, to: w.last}}
	} else {
		for _, r := range w.Rounds {
			if r.From <= w.last {
				w.cycles = append(w.cycles, cycle{from: r.From, to: min(r.To, w.last)})
			}
		}
	}
	for i := range w.cycles {
		c, sum := &w.cycles[i], 0.0
		for day := c.from; day <= c.to; day++ {
			if w.RoundOn(day) >= 0 {
				sum += w.weight(day)
			}
			c.weights = append(c.weights, sum)
		}
	}
}

// weight is a day's volume relative to a dry working day.
func (w *world) weight(day int) float64 {
	r := w.chance(forCalendar, uint64(day), 0)
	v := 1.0
	if holiday(day) {
		v *= w.p[holidayVolume]
	} else if wd := weekday(day); wd == time.Saturday || wd == time.Sunday {
		v *= w.p[weekendVolume]
	}
	if r.hit(w.p[rainyDays]) {
		v *= w.p[rainVolume]
	}
	return v * r.between(.95, 1.05)
}

func weekday(day int) time.Weekday { return time.Weekday((day + 4) % 7) }

// holiday tells the National Day week.
func holiday(day int) bool {
	_, m, d := civil(day)
	return m == 10 && d <= 7
}

func (w *world) cycleOn(day int) int {
	for i := range w.cycles {
		if day >= w.cycles[i].from && day <= w.cycles[i].to {
			return i
		}
	}
	return -1
}

// stockOut is when a category's vouchers of a day are gone, since the release.
func (w *world) stockOut(day int, c vw.Category) vw.Millis {
	r := w.chance(forCalendar, uint64(day), 1+uint64(c))
	return vw.Millis(r.between(2, w.p[stockOutMinutes]) * float64(vw.Minute))
}

func (w *world) text(at vw.Millis) string {
	var b [32]byte
	return string(appendTime(b[:0], at, w.offset))
}

// token is an opaque identifier: a letter and 56 hashed bits, which say nothing about what they name.
func token(letter byte, key uint64) string {
	const hex = "0123456789abcdef"
	var b [15]byte
	b[0] = letter
	for i := range 14 {
		b[i+1] = hex[key>>(4*i)&15]
	}
	return string(b[:])
}

func digits(key uint64, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + key%10)
		key = mix(key)
	}
	return string(b)
}
