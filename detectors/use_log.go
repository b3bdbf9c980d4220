package detectors

import (
	"math"

	vw "voucherwatch"
)

// useLog keeps redemptions in order of arrival, each linked to the one before it of the same owner (a
// customer, a device, a card), so that all of an owner's can be listed when they become evidence. It is
// 20 bytes a redemption and holds no pointer; segments leave whole when their last redemption is out of
// the horizon, and a link into a dropped segment ends the walk.
type useLog struct {
	segments [][]use
	first    uint32 // segments dropped from the front
}

type use struct {
	id      uint32 // IDRef, folded
	before  uint32 // link to the owner's redemption before, 0 none
	seconds uint32 // since 1970
	worth   uint32 // discount in fen, up to 167,000 yuan, and below it in 8 bits Visit.Amount in tenths
	millis  uint16
	place   uint16 // of the merchant, in the ledger
}

const (
	useBytes   = 20
	useSegment = 1 << 12
	// useWalk bounds a walk: an owner with more redemptions is judged by the latest.
	useWalk = 512
)

// add remembers a redemption and returns the link to it, the owner's next head.
func (l *useLog) add(u use, before uint32) uint32 {
	last := len(l.segments) - 1
	if last < 0 || len(l.segments[last]) == useSegment {
		l.segments = append(l.segments, make([]use, 0, useSegment))
		last++
	}
	u.before = before
	s := &l.segments[last]
	*s = append(*s, u)
	return (l.first+uint32(last))*useSegment + uint32(len(*s))
}

// at is the redemption behind a link, nil when there is none or it was dropped. Links count from 1.
func (l *useLog) at(link uint32) *use {
	if link == 0 {
		return nil
	}
	i := (link - 1) / useSegment
	if i < l.first || i-l.first >= uint32(len(l.segments)) {
		return nil
	}
	return &l.segments[i-l.first][(link-1)%useSegment]
}

// each gives the owner's redemptions not older than since, latest first.
func (l *useLog) each(head uint32, since vw.Millis, f func(*use)) {
	for n := 0; n < useWalk; n++ {
		u := l.at(head)
		if u == nil {
			return
		}
		if u.time() >= since {
			f(u)
		}
		head = u.before
	}
}

// drop forgets segments whose last redemption is older than since.
func (l *useLog) drop(since vw.Millis) {
	n := 0
	for n < len(l.segments)-1 && l.segments[n][len(l.segments[n])-1].time() < since {
		n++
	}
	if n > 0 {
		l.segments = append(l.segments[:0:0], l.segments[n:]...)
		l.first += uint32(n)
	}
}

func (l *useLog) bytes() int { return len(l.segments) * useSegment * useBytes }

// useOf is the redemption as the log keeps it.
func useOf(v *Visit, e *Env, place uint16) use {
	return use{
		id: foldID(v.Keep(e)), seconds: uint32(v.T / 1000), millis: uint16(v.T % 1000), place: place,
		worth: uint32(min(max(v.Event.DiscountFen, 0), 1<<24-1))<<8 | uint32(uint8(tenths(v.Amount))),
	}
}

func tenths(llr float64) int8 { return int8(math.Round(10 * clip(llr, -12, 12))) }

func (u *use) time() vw.Millis { return vw.Millis(u.seconds)*1000 + vw.Millis(u.millis) }

// foldedBits is what an offset into a segment of the arena takes.
const foldedBits = 18

const _ = uint(1<<foldedBits - segmentBytes) // does not compile when segments outgrow it

// foldID puts a reference into 32 bits, as long as the slot has kept less than 4 GiB of identifiers;
// after that it is none, and the redemption counts but cannot be named.
func foldID(r IDRef) uint32 {
	if r == 0 || (r-1)>>20 >= 1<<(32-foldedBits)-1 {
		return 0
	}
	r--
	return uint32(r>>20<<foldedBits|r&(1<<foldedBits-1)) + 1
}

// ref is the identifier's reference.
func (u *use) ref() IDRef {
	if u.id == 0 {
		return 0
	}
	id := IDRef(u.id - 1)
	return (id>>foldedBits<<20 | id&(1<<foldedBits-1)) + 1
}

// found is the redemption as a finding lists it; ok is false when its identifier was dropped.
func (u *use) found(a *Arena) (f FoundRedemption, ok bool) {
	id := a.Bytes(u.ref())
	return FoundRedemption{ID: string(id), At: u.time(), Discount: vw.Fen(u.worth >> 8)}, id != nil
}
