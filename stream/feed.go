package stream

import (
	"context"
	"sync/atomic"

	vw "voucherwatch"
)

// Stretch is a run of records of one partition in the order of their offsets, decoded. A record is an
// event, a dead letter, or nothing (an empty one).
type Stretch struct {
	batch   vw.Batch
	marks   []mark
	arrived int64 // Merger's patience when it came
}

// mark is where a record is.
type mark struct {
	offset      int64
	event, dead int32 // index, or -1
	piece       vw.Text
}

// Reset empties the stretch for records of a feed and keeps its memory.
func (s *Stretch) Reset(f *Feed) {
	s.batch.Reset()
	s.batch.Sources = append(s.batch.Sources[:0], f.name)
	s.marks = s.marks[:0]
}

// Len is the number of records.
func (s *Stretch) Len() int { return len(s.marks) }

// Bytes is how much memory the records take, roughly.
func (s *Stretch) Bytes() int { return len(s.batch.Data) }

// Room is memory for the next record, at least so many bytes: what is read into it is taken up by Decode.
func (s *Stretch) Room(atLeast int) []byte {
	n := len(s.batch.Data)
	if cap(s.batch.Data)-n < atLeast {
		s.batch.Data = append(make([]byte, 0, max(2*cap(s.batch.Data), n+atLeast)), s.batch.Data...)
	}
	return s.batch.Data[n:n:cap(s.batch.Data)]
}

// Decode takes up the record of size bytes that was read into Room.
func (s *Stretch) Decode(d *Decoder, offset int64, size int) {
	start, events, dead := len(s.batch.Data), len(s.batch.Events), len(s.batch.Dead)
	m := mark{offset, -1, -1, vw.Text{}}
	if size > 0 {
		s.batch.Data = s.batch.Data[:start+size]
		d.Decode(&s.batch, 0, offset, vw.Text{Off: uint32(start), Len: uint32(size)})
	}
	switch {
	case len(s.batch.Events) > events:
		m.event = int32(events)
		m.piece = vw.Text{Off: uint32(start), Len: uint32(len(s.batch.Data) - start)}
	case len(s.batch.Dead) > dead:
		m.dead = int32(dead)
		s.batch.Data = s.batch.Data[:start] // the letter has a copy
	}
	s.marks = append(s.marks, m)
}

// Reject takes up a record of which only a dead letter is left.
func (s *Stretch) Reject(offset int64, letter vw.DeadLetter) {
	s.marks = append(s.marks, mark{offset, -1, int32(len(s.batch.Dead)), vw.Text{}})
	s.batch.Dead = append(s.batch.Dead, letter)
}

// Feed is one partition's way into a Merger. Its methods are those of the one goroutine that reads the
// partition.
type Feed struct {
	name   string
	in     chan *Stretch
	free   chan *Stretch
	behind atomic.Bool
	wake   chan<- struct{}

	// the merger's
	queue  []*Stretch
	at     int // next record of queue[0]
	picked int // how many behind it are picked
	next   int64
	key    vw.Millis // of the next one; noHead when there is none
	since  int64     // Merger's patience when it came
}

// Get is an empty stretch.
func (f *Feed) Get() *Stretch {
	var s *Stretch
	select {
	case s = <-f.free:
	default:
		s = new(Stretch)
	}
	s.Reset(f)
	return s
}

// Put hands over a stretch, which must not be empty; it blocks while two wait.
func (f *Feed) Put(ctx context.Context, s *Stretch) error {
	select {
	case f.in <- s:
		f.notify()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Behind tells whether there is more in the partition than was put: true holds back the others, whose
// events may come after these. It is true at first.
func (f *Feed) Behind(yes bool) {
	if f.behind.Swap(yes) != yes {
		f.notify()
	}
}

func (f *Feed) notify() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}
