package detectors

import (
	"math/bits"
	"slices"
)

// priceItem is what is remembered of one sku at one merchant: 56 bytes, 64 with its key. An item whose
// shelf is read has the lowest price of each of the last 42 days, as a number of three bits into its list of levels:
// prices are rigid, so that six levels are nearly always enough. An item known from receipts alone uses the same
// fields as price_till.go says.
type priceItem struct {
	merchant, sku uint32              // rows of the detector
	level         [priceLevels]uint32 // prices in fen, 0 free
	days          [2]uint64           // 21 days of three bits each, newest in the low bits: level + 1, 0 unknown
	day, seen     uint16              // of the newest of days; of the latest reading. 0 none
	flags         priceFlag
	now           uint8 // level + 1 of the latest reading; above three bits that of the dearest of its day
	receipts, run uint8 // of an item known from receipts alone
}

type priceFlag uint8

const (
	priceLabelled priceFlag = 1 << iota // its shelf is read
	priceStanding                       // it stands above its base: there is an entry in rises
	priceFalseRef                       // its struck-through price is false
)

const (
	priceLevels = 6
	priceDays   = 42 // of history
	priceHalf   = 21 // days in a word
	priceMask   = 1<<(3*priceHalf) - 1
	priceOnes   = priceMask / 7 // the lowest bit of each day

	priceCarry  = 8  // days that a reading holds: weekly readings and a day's grace
	priceWindow = 7  // days of 56号令 Art.16
	priceIdle   = 45 // days after which a series is dropped
	priceKnown  = 14 // least days of history, before the last seven, that make a regular price
	priceHabit  = 4  // days that a price must have been asked, or exceeded, to be a regular one
)

// roll moves the series on to a day; days without a reading have the last price, for a price is read
// again when it changes or once a week.
func (p *priceItem) roll(day uint16) {
	if p.day == 0 || int(day)-int(p.day) >= priceDays+priceCarry {
		p.day, p.days = day, [2]uint64{}
		return
	}
	for p.day < day {
		p.day++
		level := uint64(0)
		if p.day-p.seen < priceCarry {
			level = uint64(p.now & 7)
		}
		p.days[1] = (p.days[1]<<3 | p.days[0]>>(3*(priceHalf-1))) & priceMask
		p.days[0] = (p.days[0]<<3 | level) & priceMask
	}
}

// see takes in a price of a day. A day that lies behind counts in its minimum only.
func (p *priceItem) see(fen uint32, day uint16) {
	if p.day > day {
		if back := int(p.day - day); back < priceDays {
			if old := p.price(back); old == 0 || fen < old {
				p.put(back, p.levelOf(fen))
			}
		}
		return
	}
	p.roll(day)
	level := p.levelOf(fen)
	first := p.seen != day
	if old := p.price(0); first || old == 0 || fen < old {
		p.put(0, level)
	}
	dear := p.now >> 3
	if first || dear == 0 || fen > p.level[dear-1] {
		dear = level
	}
	p.now, p.seen = level|dear<<3, day
}

// price is the lowest price so many days before p.day, 0 unknown.
func (p *priceItem) price(back int) uint32 {
	if level := p.at(back); level != 0 {
		return p.level[level-1]
	}
	return 0
}

func (p *priceItem) at(back int) uint8 {
	return uint8(p.days[back/priceHalf]>>(3*(back%priceHalf))) & 7
}

func (p *priceItem) put(back int, level uint8) {
	w, shift := &p.days[back/priceHalf], 3*(back%priceHalf)
	*w = *w&^(7<<shift) | uint64(level)<<shift
}

// latest is the price read last, 0 if none was.
func (p *priceItem) latest() uint32 {
	if p.now&7 == 0 {
		return 0
	}
	return p.level[p.now&7-1]
}

// shown is the dearest label of a day and the day before, 0 if neither was read.
func (p *priceItem) shown(day uint16) uint32 {
	if p.flags&priceLabelled == 0 || p.now == 0 || p.seen > day || day-p.seen > 1 {
		return 0
	}
	dear := p.level[p.now>>3-1]
	if p.seen == day && p.day == day {
		dear = max(dear, p.price(1))
	}
	return dear
}

// levelOf is the number of a price in the list, from 1. A full list first loses what no day needs, then its two nearest
// prices become one, the dearer: that never makes a rise larger.
func (p *priceItem) levelOf(fen uint32) uint8 {
	free := -1
	for i, x := range p.level {
		if x == fen {
			return uint8(i + 1)
		}
		if x == 0 {
			free = i
		}
	}
	if free < 0 {
		var used [8]bool
		used[p.now&7], used[p.now>>3] = true, true
		for back := range priceDays {
			used[p.at(back)] = true
		}
		for i := range p.level {
			if !used[i+1] {
				p.level[i] = 0
				free = i
			}
		}
	}
	if free < 0 {
		low, high := p.nearest()
		p.merge(low, high)
		free = low
	}
	p.level[free] = fen
	return uint8(free + 1)
}

// nearest are the two levels with the smallest ratio, the cheaper first.
func (p *priceItem) nearest() (low, high int) {
	best := 0.0
	for i, a := range p.level {
		for j, b := range p.level {
			if a < b && float64(a)/float64(b) > best {
				best, low, high = float64(a)/float64(b), i, j
			}
		}
	}
	return low, high
}

func (p *priceItem) merge(from, to int) {
	a, b := uint8(from+1), uint8(to+1)
	for back := range priceDays {
		if p.at(back) == a {
			p.put(back, b)
		}
	}
	now, dear := p.now&7, p.now>>3
	if now == a {
		now = b
	}
	if dear == a {
		dear = b
	}
	p.now = now | dear<<3
}

// lowest is the lowest price of the seven days before p.day; when none is known, the last price.
func (p *priceItem) lowest() uint32 {
	low := uint32(0)
	for back := 1; back <= priceWindow; back++ {
		if fen := p.price(back); fen != 0 && (low == 0 || fen < low) {
			low = fen
		}
	}
	if low == 0 {
		return p.latest()
	}
	return low
}

// highest is the highest price of all days remembered, p.day included.
func (p *priceItem) highest() uint32 {
	high := p.latest()
	for back := range priceDays {
		high = max(high, p.price(back))
	}
	return high
}

// known tells whether enough days before the last seven have a price.
func (p *priceItem) known() bool {
	n := 0
	for w, x := range p.days {
		x = (x | x>>1 | x>>2) & priceOnes
		if w == 0 {
			x >>= 3 * (priceWindow + 1)
		}
		n += bits.OnesCount64(x)
	}
	return n >= priceKnown
}

// usual is the regular price of the five weeks before the last seven days: the highest that was asked,
// or exceeded, on priceHabit of these days. ok is false when too few are known.
func (p *priceItem) usual() (fen uint32, ok bool) {
	var days [8]int
	for back := priceWindow + 1; back < priceDays; back++ {
		days[p.at(back)]++
	}
	if priceDays-priceWindow-1-days[0] < priceKnown {
		return 0, false
	}
	order := [priceLevels]uint8{1, 2, 3, 4, 5, 6}
	slices.SortFunc(order[:], func(a, b uint8) int { return int(p.level[b-1]) - int(p.level[a-1]) })
	n := 0
	for _, level := range order {
		if n += days[level]; n >= priceHabit {
			return p.level[level-1], true
		}
	}
	return 0, false
}
