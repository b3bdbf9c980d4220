package detectors

import (
	"math"
	"slices"
)

// priceItem is what is remembered of one sku at one merchant, about 170 bytes: the daily minima of
// the last 15 days, and of the five weeks before them one regular price each.
type priceItem struct {
	merchant, sku uint64
	name          IDRef // the sku's text; kept only once a price stands out
	// days are the lowest prices in fen, days[0] that of day, days[1] of the day before; 0 unknown. A day
	// without a reading has the last price, for a price is read again when it changes or once a week.
	days [15]uint32
	// weeks are the medians of the weeks that days have left, newest first; 0 unknown.
	weeks       [5]uint32
	now         uint32 // latest reading
	day, seen   int32  // of days[0]; of the latest reading
	shelf       [2]uint32
	shelfDay    int32 // of shelf[0], the dearest label of that day; shelf[1] is the day before's
	cost, costs uint32
	costDay     int32
	limit       uint32 // what the price may be without being a rise, as of the last judgement; 0 unknown
	base        uint32 // limit on the day before the rise that stands now; 0 when none does
	legal       uint32 // lowest price of the seven days before that rise
	since       int32  // first day of the rise
	net         float32
	peers       float32
	age         uint8 // days until the next week closes: 7 - age%7
	run         uint8 // days that the rise has stood
	raised      bool  // it has stood long enough and neither cost nor market explains it
	falseRef    bool
}

const (
	priceCarry  = 8  // days that a reading holds: weekly readings and a day's grace
	priceWindow = 7  // days of 56号令 Art.16
	priceIdle   = 45 // days after which a series is dropped
)

// roll moves the series on to a day.
func (p *priceItem) roll(day int32) {
	if p.day == 0 {
		p.day = day
		return
	}
	for p.day < day {
		copy(p.days[1:], p.days[:])
		p.day++
		p.days[0] = 0
		if p.day-p.seen < priceCarry {
			p.days[0] = p.now
		}
		if p.age++; p.age == 7 {
			p.age = 0
			copy(p.weeks[1:], p.weeks[:])
			p.weeks[0] = priceMedian(p.days[8:])
		}
	}
}

// see takes in a price of a day. A day that lies behind counts in its minimum only.
func (p *priceItem) see(fen uint32, day int32) {
	if back := p.day - day; back > 0 {
		if int(back) < len(p.days) && p.days[back] > fen {
			p.days[back] = fen
		}
		return
	}
	p.roll(day)
	if p.seen != day || p.days[0] == 0 {
		p.days[0] = fen
	}
	p.days[0] = min(p.days[0], fen)
	p.now, p.seen = fen, day
}

// label takes in what the customer is shown on a day.
func (p *priceItem) label(fen uint32, day int32) {
	switch {
	case day == p.shelfDay:
		p.shelf[0] = max(p.shelf[0], fen)
	case day == p.shelfDay+1:
		p.shelf = [2]uint32{fen, p.shelf[0]}
		p.shelfDay = day
	case day > p.shelfDay:
		p.shelf = [2]uint32{fen, 0}
		p.shelfDay = day
	}
}

// shown is the dearest label of the day and the day before, 0 if neither was read.
func (p *priceItem) shown(day int32) uint32 {
	switch day - p.shelfDay {
	case 0:
		return max(p.shelf[0], p.shelf[1])
	case 1:
		return p.shelf[0]
	}
	return 0
}

// pay takes in a purchase price.
func (p *priceItem) pay(fen uint32, day int32) {
	if p.cost == 0 || day-p.costDay > priceIdle {
		p.cost = fen
	}
	p.costs, p.costDay = fen, day
}

// costGrowth is the rise of the purchase price as a logarithm; ok is false when it is not known.
func (p *priceItem) costGrowth() (growth float64, ok bool) {
	if p.cost == 0 || p.costs == p.cost {
		return 0, p.cost != 0 && p.costs != 0 && p.costDay > 0
	}
	return math.Log(float64(p.costs) / float64(p.cost)), true
}

// lowest is the lowest price of the seven days before p.day; when none is known, the last price.
func (p *priceItem) lowest() uint32 {
	low := uint32(0)
	for _, fen := range p.days[1 : 1+priceWindow] {
		if fen != 0 && (low == 0 || fen < low) {
			low = fen
		}
	}
	if low == 0 {
		return p.now
	}
	return low
}

// usual is the highest and the middle regular price of the weeks before the last one. ok is false
// with less than two weeks known.
func (p *priceItem) usual() (high, middle uint32, ok bool) {
	known := 0
	for _, fen := range p.weeks {
		if fen != 0 {
			known++
			high = max(high, fen)
		}
	}
	return high, priceMedian(p.weeks[:]), known >= 2
}

// priceMedian is the lower median of at most 15 prices, those unknown left out; 0 if all are.
func priceMedian(fen []uint32) uint32 {
	var buf [15]uint32
	s := buf[:0]
	for _, x := range fen {
		if x != 0 {
			s = append(s, x)
		}
	}
	if len(s) == 0 {
		return 0
	}
	slices.Sort(s)
	return s[(len(s)-1)/2]
}
