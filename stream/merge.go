package stream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	vw "voucherwatch"
)

// MergerOptions configure a Merger.
type MergerOptions struct {
	// Names of the partitions ("redemptions/3"), in the order in which events of one moment are taken.
	Names []string
	// From is the offset of the first record wanted, by partition; for Offsets.
	From []int64
	// Last is what Last of an earlier merger said, to go on from there.
	Last vw.Millis
	// Wait is how long an event waits for partitions that have nothing, because an earlier one may be on
	// its way there. Patience is the same for an event more than an hour ahead of those before it.
	Wait, Patience time.Duration
	Now            func() time.Time
}

// Merger makes one stream of the events of many partitions, in order of event time as far as the order
// within each partition allows: of the next records of all partitions it takes the earliest. So a late
// event comes where its partition has it, and partitions read at different speed are brought together.
//
// A partition of which more is known to be in the log holds the others back; one that was read to its
// end does so for Wait, and not for what happened more than a minute ago. Where the three records behind an event lie more than an hour before it, it is
// taken for misdated and does not hold them up. What is announced and not observed (registry rows, lists, caps)
// is taken at once.
//
// That depends on when records come, so each Cut says in which order it took them, and Again makes the
// same cut of the same logs. A Merger belongs to one goroutine.
type Merger struct {
	o     MergerOptions
	feeds []*Feed
	wake  chan struct{}
	// waited is the time spent waiting for records: while the consumer is busy nobody is kept waiting.
	waited int64
	last   vw.Millis // of the event taken last that is an observation
	picks  []int32
}

const (
	noHead vw.Millis = math.MaxInt64
	atOnce vw.Millis = math.MinInt64
	// misdated is how far apart events of one partition are at most, but for late ones.
	misdated = vw.Hour
	// underway is how long events are on their way: one that happened longer ago waits for no partition
	// that was read to its end.
	underway = vw.Minute
	// look is how many events behind a cut the clock is shown.
	look = 16
)

// NewMerger makes a merger.
func NewMerger(o MergerOptions) *Merger {
	m := &Merger{o: o, wake: make(chan struct{}, 1), last: o.Last}
	for i, name := range o.Names {
		f := &Feed{name: name, in: make(chan *Stretch, 2), free: make(chan *Stretch, 4), wake: m.wake, key: noHead, next: o.From[i]}
		f.behind.Store(true)
		m.feeds = append(m.feeds, f)
	}
	return m
}

// Feed is the partition's by index.
func (m *Merger) Feed(i int) *Feed { return m.feeds[i] }

// Step is one step of an order: all records of a partition up to an offset, inclusive.
type Step struct {
	Feed   int32
	Offset int64
}

// Cut is a batch and how it came about.
type Cut struct {
	Batch vw.Batch
	Order []Step
	// Ahead are the events that follow, as far as they are known, and Follow how they come; nil when that
	// was not waited for. Of these events only type, time and id are to be used.
	Ahead  []vw.Event
	Follow []Step
}

// Offsets are those of the next records, by partition.
func (m *Merger) Offsets() []int64 {
	next := make([]int64, len(m.feeds))
	for i, f := range m.feeds {
		next[i] = f.next
	}
	return next
}

// Last is the time of the event taken last.
func (m *Merger) Last() vw.Millis { return m.last }

// Live tells whether all partitions were read to their ends and all was taken.
func (m *Merger) Live() bool {
	for _, f := range m.feeds {
		if f.behind.Load() || len(f.in) > 0 || f.has() {
			return false
		}
	}
	return true
}

// Next makes the next cut, of 1 to most records. It blocks until there is one, ctx ends (its error), or
// the time is up; then the cut has no order.
func (m *Merger) Next(ctx context.Context, most int, atMost time.Duration, c *Cut) error {
	for spent := time.Duration(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		wait, final := m.pick(most + look)
		n := len(m.picks)
		switch {
		case n > most:
			n = most
		case !final:
			n = max(0, n-look) // the others are behind: they will show what follows
		}
		if n > 0 {
			m.take(m.picks[:n], c)
			m.show(m.picks[n:], c)
			return nil
		}
		if spent >= atMost {
			*c = Cut{Batch: c.Batch, Order: c.Order[:0]}
			c.Batch.Reset()
			return nil
		}
		spent += m.wait(ctx, min(wait, atMost-spent))
	}
}

// wait lets time pass until something comes, at most d; it says how much.
func (m *Merger) wait(ctx context.Context, d time.Duration) time.Duration {
	start := m.o.Now()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-m.wake:
	case <-ctx.Done():
	}
	passed := m.o.Now().Sub(start)
	m.waited += int64(passed)
	return passed
}

// pick fills picks with the partitions of the next records in their order. final says that nothing is
// known to come before or between; wait is how long to wait for more.
func (m *Merger) pick(most int) (wait time.Duration, final bool) {
	m.picks = m.picks[:0]
	last := m.last
	settled := vw.Millis(m.o.Now().UnixMilli()) - underway
	open, ended := 0, 0 // partitions without a head
	for _, f := range m.feeds {
		f.picked = 0
		m.head(f)
		if f.key == noHead {
			if f.behind.Load() {
				open++
			} else {
				ended++
			}
		}
	}
	for len(m.picks) < most {
		if open > 0 {
			return time.Hour, false // its records wake us
		}
		first := -1
		key := noHead
		for i, f := range m.feeds {
			if f.key < key {
				first, key = i, f.key
			}
		}
		if first < 0 {
			return time.Hour, true
		}
		f := m.feeds[first]
		if need := m.o.Wait; ended > 0 && key > settled {
			if last != 0 && key > last+misdated {
				need = m.o.Patience
			}
			if had := m.patience(f); had < need {
				return need - had, true
			}
		}
		m.picks = append(m.picks, int32(first))
		if key != atOnce {
			last = key
		}
		f.picked++
		m.head(f)
		if f.key == noHead {
			if f.behind.Load() {
				open++
			} else {
				ended++
			}
		}
	}
	return 0, true
}

func (m *Merger) patience(f *Feed) time.Duration {
	return time.Duration(m.waited - f.since)
}

// has tells whether there is a record that was not taken.
func (f *Feed) has() bool { return f.record(0) != nil }

// record is one that was not taken, by its place behind the first of them; nil when it has not come.
func (f *Feed) record(i int) *mark {
	_, m := f.find(i)
	return m
}

func (f *Feed) find(i int) (*Stretch, *mark) {
	i += f.at
	for _, s := range f.queue {
		if i < len(s.marks) {
			return s, &s.marks[i]
		}
		i -= len(s.marks)
	}
	return nil, nil
}

// head finds the key of the next record that is neither taken nor picked.
func (m *Merger) head(f *Feed) {
	for f.record(f.picked+3) == nil && m.more(f) {
	}
	s, k := f.find(f.picked)
	switch {
	case k == nil:
		f.key = noHead
		return
	case k.event < 0 || !observation(&s.batch.Events[k.event]):
		f.key = atOnce
		return
	}
	f.key, f.since = s.batch.Events[k.event].At, s.arrived
	followers, earlier := 0, 0
	for i := 1; i <= 3; i++ {
		if s, k := f.find(f.picked + i); k != nil && k.event >= 0 {
			followers++
			if e := &s.batch.Events[k.event]; observation(e) && e.At < f.key-misdated {
				earlier++
			}
		}
	}
	// Fewer are enough where no more have come for long.
	if earlier == 3 || earlier > 0 && earlier == followers && !f.behind.Load() && m.patience(f) >= m.o.Patience {
		f.key = atOnce
	}
}

// more takes in a stretch that has come.
func (m *Merger) more(f *Feed) bool {
	select {
	case s := <-f.in:
		s.arrived = m.waited
		f.queue = append(f.queue, s)
		return true
	default:
		return false
	}
}

// observation tells whether an event says when it is: what is announced may have any date.
func observation(e *vw.Event) bool {
	switch e.Type {
	case vw.MerchantEvent, vw.BeneficiaryEvent, vw.CreditListEvent:
		return false
	case vw.PriceEvent:
		return e.Kind != vw.Cost && e.Kind != vw.Cap && e.Kind != vw.Reference
	}
	return true
}

// take moves the next records of the feeds into the cut.
func (m *Merger) take(picks []int32, c *Cut) {
	c.Batch.Reset()
	c.Order = c.Order[:0]
	c.Batch.Sources = append(c.Batch.Sources[:0], m.o.Names...)
	for _, i := range picks {
		m.takeOne(i, c)
	}
}

func (m *Merger) takeOne(i int32, c *Cut) {
	f := m.feeds[i]
	s, k := f.find(0)
	if k.event >= 0 {
		e := &s.batch.Events[k.event]
		c.Batch.Append(&s.batch, e, k.piece, i)
		if observation(e) {
			m.last = e.At
		}
	}
	if k.dead >= 0 {
		c.Batch.Dead = append(c.Batch.Dead, s.batch.Dead[k.dead])
	}
	f.at++
	f.next = k.offset + 1
	c.Order = step(c.Order, i, k.offset)
	f.settle()
}

func step(order []Step, feed int32, offset int64) []Step {
	if n := len(order); n > 0 && order[n-1].Feed == feed {
		order[n-1].Offset = offset
		return order
	}
	return append(order, Step{feed, offset})
}

// settle gives back stretches that are used up.
func (f *Feed) settle() {
	for len(f.queue) > 0 && f.at >= len(f.queue[0].marks) {
		select {
		case f.free <- f.queue[0]:
		default:
		}
		f.queue, f.at = f.queue[1:], 0
	}
}

// show lists the events of picks, which stay where they are.
func (m *Merger) show(picks []int32, c *Cut) {
	c.Ahead, c.Follow = nil, nil
	if len(picks) == 0 {
		return
	}
	c.Ahead = make([]vw.Event, 0, look)
	ahead := map[int32]int{}
	for _, i := range picks {
		f := m.feeds[i]
		m.showOne(f, i, ahead[i], c)
		ahead[i]++
	}
}

func (m *Merger) showOne(f *Feed, i int32, behind int, c *Cut) {
	s, k := f.find(behind)
	if k.event >= 0 {
		c.Ahead = append(c.Ahead, s.batch.Events[k.event])
	}
	c.Follow = step(c.Follow, i, k.offset)
}

// Again makes a cut that was made before of the same logs. It blocks until the records are there or ctx
// ends. A record that a compacted topic has dropped since is left out.
func (m *Merger) Again(ctx context.Context, order, follow []Step, c *Cut) error {
	c.Batch.Reset()
	c.Order = c.Order[:0]
	c.Ahead, c.Follow = nil, nil
	c.Batch.Sources = append(c.Batch.Sources[:0], m.o.Names...)
	for _, s := range order {
		if s.Feed < 0 || int(s.Feed) >= len(m.feeds) {
			return fmt.Errorf("step of partition %d, there are %d", s.Feed, len(m.feeds))
		}
		f := m.feeds[s.Feed]
		for f.next <= s.Offset {
			there, err := m.reach(ctx, f, s.Offset)
			if err != nil {
				return err
			}
			if !there {
				f.next = s.Offset + 1
				break
			}
			m.takeOne(s.Feed, c)
		}
	}
	if follow == nil {
		return nil
	}
	c.Ahead = make([]vw.Event, 0, look)
	ahead := map[int32]int{}
	for _, s := range follow {
		if s.Feed < 0 || int(s.Feed) >= len(m.feeds) {
			return fmt.Errorf("step of partition %d, there are %d", s.Feed, len(m.feeds))
		}
		f := m.feeds[s.Feed]
		for {
			offset, err := m.behind(ctx, f, ahead[s.Feed])
			if err != nil {
				return err
			}
			if offset > s.Offset {
				break
			}
			m.showOne(f, s.Feed, ahead[s.Feed], c)
			ahead[s.Feed]++
			if offset == s.Offset {
				break
			}
		}
	}
	return nil
}

// reach waits for the next record of a feed and tells whether it is at or before an offset.
func (m *Merger) reach(ctx context.Context, f *Feed, offset int64) (bool, error) {
	next, err := m.behind(ctx, f, 0)
	return next <= offset, err
}

const endPatience = 20 * time.Second

var errEnded = errors.New("the log ends before what was recorded of it")

// behind is the offset of a record behind the head, for which it waits.
func (m *Merger) behind(ctx context.Context, f *Feed, n int) (int64, error) {
	for spent := time.Duration(0); ; {
		if k := f.record(n); k != nil {
			return k.offset, nil
		}
		if m.more(f) {
			continue
		}
		// A broker that has just begun again may not know its end yet.
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if !f.behind.Load() && len(f.in) == 0 && spent >= endPatience {
			return 0, &vw.Error{Op: "stream.Merger.Again", Code: vw.Conflict, Hint: "the topic was made anew or lost its end; restore it, or move the state's directory away to begin with what is there",
				Err: fmt.Errorf("%s: %w", f.name, errEnded)}
		}
		spent += m.wait(ctx, time.Second)
	}
}
