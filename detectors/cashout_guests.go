package detectors

import (
	"math/bits"
)

// guests are the customers and devices that a merchant has seen: open addressing with linear probing over
// 8 bytes each. A tag is 32 bits of a hash, so of a thousand guests one in four million is taken for another;
// which, depends on nothing but the merchant's own guests.
type guests struct {
	slots []guest
	n     int
}

type guest struct {
	tag uint32 // 0: empty
	day uint16 // of the last visit, days since 1970-01-01
	n   uint8  // of a customer: days with a redemption; of a device: accounts
	who uint8  // of a device: a piece of the account last seen
}

const (
	guestBytes = 8
	guestsMin  = 16
)

func guestTag(customer uint64) uint32 { return max(uint32(spread(customer)>>32), 1) }

func deviceTag(device uint64) uint32 {
	return max(uint32(spread(device^0xc2b2ae3d27d4eb4f)>>32), 1)
}

func (g *guests) start(tag uint32) int {
	return int(tag >> (32 - uint(bits.TrailingZeros(uint(len(g.slots))))))
}

// touch reads where the tag will be looked for.
func (g *guests) touch(tag uint32) uint64 {
	if len(g.slots) == 0 {
		return 0
	}
	return uint64(g.slots[g.start(tag)].tag)
}

// get is the guest with the tag, made new if there is none.
func (g *guests) get(tag uint32) (x *guest, isNew bool) {
	if 5*(g.n+1) > 4*len(g.slots) {
		g.resize(max(guestsMin, 2*len(g.slots)))
	}
	mask := len(g.slots) - 1
	for i := g.start(tag); ; i = (i + 1) & mask {
		x := &g.slots[i]
		if x.tag == tag {
			return x, false
		}
		if x.tag == 0 {
			x.tag = tag
			g.n++
			return x, true
		}
	}
}

// sweep forgets who was last here before a day.
func (g *guests) sweep(oldest uint16) {
	live := 0
	for i := range g.slots {
		if x := &g.slots[i]; x.tag != 0 && x.day >= oldest {
			live++
		}
	}
	if live == g.n {
		return
	}
	for i := range g.slots {
		if g.slots[i].day < oldest {
			g.slots[i].tag = 0 // probing is broken until the rebuild below
		}
	}
	size := len(g.slots)
	for size > guestsMin && 4*live < size {
		size /= 2
	}
	g.resize(size)
}

func (g *guests) resize(size int) {
	old := g.slots
	g.slots, g.n = make([]guest, size), 0
	for _, x := range old {
		if x.tag != 0 {
			y, _ := g.get(x.tag)
			*y = x
		}
	}
}
