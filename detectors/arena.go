package detectors

import (
	"encoding/binary"

	vw "voucherwatch"
)

// IDRef names an identifier kept in an Arena. The zero IDRef is none.
type IDRef uint64

// Arena keeps the identifiers that evidence may have to name later, as bytes without pointers. Segments
// are dropped whole when the day they were filled on leaves the horizon; a reference into a dropped
// segment reads as "".
type Arena struct {
	segments []segment
	first    int // number of segments dropped from the front
	day      int
}

type segment struct {
	bytes []byte
	day   int
}

const segmentBytes = 1 << 18

// Keep stores an identifier and returns its reference. day orders segments for Drop.
func (a *Arena) Keep(id []byte, day int) IDRef {
	a.day = max(a.day, day)
	last := len(a.segments) - 1
	if last < 0 || len(a.segments[last].bytes)+len(id)+2 > cap(a.segments[last].bytes) {
		a.segments = append(a.segments, segment{bytes: make([]byte, 0, segmentBytes)})
		last++
	}
	s := &a.segments[last]
	s.day = a.day
	off := len(s.bytes)
	s.bytes = binary.LittleEndian.AppendUint16(s.bytes, uint16(len(id)))
	s.bytes = append(s.bytes, id...)
	return IDRef((uint64(a.first+last)<<20 | uint64(off)) + 1)
}

// Bytes is the identifier, valid until the next Drop; nil when it is none or was dropped.
func (a *Arena) Bytes(r IDRef) []byte {
	if r == 0 {
		return nil
	}
	r--
	i := int(r>>20) - a.first
	if i < 0 || i >= len(a.segments) {
		return nil
	}
	b := a.segments[i].bytes[r&(1<<20-1):]
	n := binary.LittleEndian.Uint16(b)
	return b[2 : 2+n]
}

// Drop forgets the segments last filled before the given day.
func (a *Arena) Drop(before int) {
	n := 0
	for n < len(a.segments)-1 && a.segments[n].day < before {
		n++
	}
	if n > 0 {
		a.segments = append(a.segments[:0:0], a.segments[n:]...)
		a.first += n
	}
}

// Size is the memory held, in bytes.
func (a *Arena) Size() int { return len(a.segments) * segmentBytes }

// Kept is a redemption that a detector remembers as evidence: 32 bytes.
type Kept struct {
	ID       IDRef
	At       vw.Millis
	Discount vw.Fen
	Customer uint64
}
