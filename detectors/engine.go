// Package detectors scores redemptions: the engine that owns lanes and hash slots, and one file per
// detector. Batches of decoded events go in, in order of arrival; out come one score per distinct
// redemption, and findings. It reads no clock and draws no chance: the same events give the same
// bytes, whatever the number of slots or the cut into batches.
//
// It does not read input, open cases or know what an agency is.
package detectors

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	vw "voucherwatch"
)

// Options make an Engine.
type Options struct {
	Campaign *vw.Campaign
	Settings Settings
	// Slots is the number of hash slots, each with a goroutine of its own; 0 means 1.
	Slots int
}

// Outcome is what Process hands out; the caller passes the same one again to reuse its memory.
type Outcome struct {
	// Scores are pieces of NDJSON, to be written one after another; valid until the next Process.
	Scores [][]byte
	// Findings are those that are new, and at hour boundaries those that changed, in order.
	Findings []vw.Finding
	// Dead are events that repeat an id with another content.
	Dead []vw.DeadLetter
}

// Stats counts what happened to the events. Every event is in exactly one of Scored, Applied,
// Duplicates and Conflicts.
type Stats struct {
	Events     [vw.EventTypes]int64 // distinct, by type
	Scored     int64
	Applied    int64
	Duplicates int64    // same type, id and content: changed nothing
	Conflicts  int64    // same type and id, other content: dead-lettered
	Late       int64    // redemptions behind the clock by more than the allowed lateness
	Future     int64    // events dated into the future, clamped
	Bands      [3]int64 // low, review, high
	Subsidy    vw.Fen   // of all scored redemptions
	AtRisk     vw.Fen   // of those in review or high
	Clock      vw.Millis
}

// Engine runs the detectors. It is not safe for concurrent use.
type Engine struct {
	campaign *vw.Campaign
	settings Settings
	offset   int
	specs    []Spec    // enabled ones
	weights  []Setting // of specs
	lanes    [Lanes][]int
	slots    []*slot
	book     *book
	clock    clock
	hour     vw.Millis // last boundary
	day      int
	stats    Stats

	// of the batch in hand
	batch     *vw.Batch
	ahead     []vw.Event // what follows it
	fate      []fate     // per event
	effective []vw.Millis
	clockAt   []vw.Millis // the clock after the event
	late      []bool
	visitOf   []int32
	visits    []Visit
	from, to  int
	proposals []proposal

	work chan job
	wait sync.WaitGroup // for the phase
	done sync.WaitGroup // for the goroutines
}

type fate uint8

const (
	distinct fate = iota
	duplicate
	conflict
)

type phase uint8

const (
	dedupPhase phase = iota
	merchantPhase
	customerPhase
	devicePhase
	cardPhase
	voucherPhase
	campaignPhase
	scorePhase
	sweepPhase
)

type job struct {
	slot  *slot
	phase phase
}

// slot owns the keys that hash to it in every lane.
type slot struct {
	engine    *Engine
	index     int
	envs      []*Env
	detectors []Detector
	appliers  [][]int // by event type: indexes of detectors that want it
	arena     Arena
	merchants *merchants
	ledger    *ledger
	seen      Small[sighting]
	found     []proposal
	said      said
	heard     []*Signal // scratch of the score phase
	cause     int32
	mine      []int32
	out       []byte
	sink      uint64
	bands     [3]int64
	atRisk    vw.Fen
	swept     int // day of the last weekly sweep
	// dropBefore is the day before which identifiers go when the batch is done: its scores may name them.
	dropBefore int
}

// sighting is an event id seen before: 8 bytes beside its key.
type sighting struct {
	content uint32
	day     uint32
}

// New makes an engine with its slots' goroutines; Close ends them.
func New(o Options) (*Engine, error) {
	if o.Campaign == nil {
		return nil, &vw.Error{Op: "detectors.New", Code: vw.Invalid, Err: errors.New("no campaign")}
	}
	if o.Slots < 0 || o.Slots > 256 {
		return nil, &vw.Error{Op: "detectors.New", Code: vw.Invalid, Err: fmt.Errorf("%d slots: must be 1 to 256", o.Slots)}
	}
	e := &Engine{campaign: o.Campaign, settings: o.Settings, offset: o.Campaign.Offset()}
	e.book = newBook(o.Campaign, &e.settings)
	e.clock.repeats = e.repeats
	for _, s := range specs {
		if d, ok := o.Settings.Detectors[s.Name]; !ok || d.Enabled {
			e.lanes[s.Lane] = append(e.lanes[s.Lane], len(e.specs))
			e.specs, e.weights = append(e.specs, s), append(e.weights, o.Settings.of(s.Name))
		}
	}
	for name := range o.Settings.Detectors {
		if !slices.ContainsFunc(specs, func(s Spec) bool { return s.Name == name }) {
			return nil, &vw.Error{Op: "detectors.New", Code: vw.Invalid, Err: fmt.Errorf("the policy names a detector %q that does not exist", name), Hint: "voucherwatch detector list shows their names"}
		}
	}
	for i := range max(1, o.Slots) {
		s := &slot{engine: e, index: i, merchants: newMerchants(), ledger: newLedger(), appliers: make([][]int, vw.EventTypes)}
		for id := range e.specs {
			env := &Env{
				Campaign: o.Campaign, Offset: e.offset, Slot: i, Slots: max(1, o.Slots), Arena: &s.arena, Merchants: s.merchants, Ledger: s.ledger,
				settings: &e.settings, spec: &e.specs[id], found: &s.found, said: &s.said, cause: &s.cause, lane: e.specs[id].Lane, id: uint8(id),
			}
			d, err := e.specs[id].New(env)
			if err != nil {
				return nil, err
			}
			s.envs, s.detectors = append(s.envs, env), append(s.detectors, d)
			for _, t := range e.specs[id].Events {
				s.appliers[t] = append(s.appliers[t], id)
			}
		}
		e.slots = append(e.slots, s)
	}
	if len(e.slots) > 1 {
		e.work = make(chan job, len(e.slots))
		for range e.slots[1:] {
			e.done.Go(func() {
				for j := range e.work {
					j.slot.run(j.phase)
					e.wait.Done()
				}
			})
		}
	}
	return e, nil
}

// Close ends the slots' goroutines. The engine may not be used after.
func (e *Engine) Close() {
	if e.work != nil {
		close(e.work)
		e.done.Wait()
		e.work = nil
	}
}

// run does a phase in every slot, the first one here, and returns when all are done.
func (e *Engine) run(p phase) {
	others := e.slots[1:]
	e.wait.Add(len(others))
	for _, s := range others {
		e.work <- job{s, p}
	}
	e.slots[0].run(p)
	e.wait.Wait()
}

// Process runs a batch through the lanes. When it returns, every event of the batch is scored, applied,
// recognised as a duplicate, or in out.Dead. ahead are the events that follow the batch, as far as they
// are known: the clock asks the next 16 whether a jump is to be believed. Nil where nothing is known, empty where nothing follows.
func (e *Engine) Process(b *vw.Batch, ahead []vw.Event, out *Outcome) {
	n := len(b.Events)
	e.batch, e.ahead = b, ahead
	out.Scores, out.Findings, out.Dead = out.Scores[:0], out.Findings[:0], out.Dead[:0]
	e.fate = grow(e.fate, n)
	e.effective = grow(e.effective, n)
	e.clockAt = grow(e.clockAt, n)
	e.late = grow(e.late, n)
	e.visitOf = grow(e.visitOf, n)
	e.visits = e.visits[:0]
	for _, s := range e.slots {
		s.said.signals, s.said.before = s.said.signals[:0], s.said.before[:0]
	}
	e.run(dedupPhase)
	e.prepare(out)
	start := 0
	for i := range n {
		if e.fate[i] != distinct {
			continue
		}
		// The clock moved into a new hour with event i: what came before is done first.
		if hour := e.clockAt[i] / vw.Hour; hour > e.hour {
			e.segment(start, i)
			start = i
			e.clock.now = e.clockAt[i]
			e.tick(e.clock.now, false)
			e.hour = hour
		}
		e.clock.now = e.clockAt[i]
	}
	e.segment(start, n)
	e.run(scorePhase)
	for _, s := range e.slots {
		out.Scores = append(out.Scores, s.out)
		for i := range s.bands {
			e.stats.Bands[i] += s.bands[i]
		}
		e.stats.AtRisk += s.atRisk
		s.bands, s.atRisk = [3]int64{}, 0
		s.arena.Drop(s.dropBefore)
	}
	out.Findings = e.book.take(e.flush(), out.Findings)
	e.batch, e.ahead = nil, nil
}

// flush tells whether changed findings are due: once per hour of event time.
func (e *Engine) flush() bool {
	due := e.book.due
	e.book.due = false
	return due
}

// Finish tells the engine that the input has ended: the baselines are closed and all changed findings
// handed out.
func (e *Engine) Finish(out *Outcome) {
	out.Scores, out.Findings, out.Dead = out.Scores[:0], out.Findings[:0], out.Dead[:0]
	e.tick(e.clock.now, true)
	out.Findings = e.book.take(true, out.Findings)
}

// Stats are the counts so far.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Clock = e.clock.now
	return s
}

// Size lists the live keys and bytes of each detector over all slots, "ids", "seen" (the event ids) and
// "ledger" (the customers) included.
func (e *Engine) Size() map[string][2]int {
	m := map[string][2]int{}
	add := func(name string, keys, bytes int) {
		v := m[name]
		m[name] = [2]int{v[0] + keys, v[1] + bytes}
	}
	for _, s := range e.slots {
		for id, d := range s.detectors {
			if z, ok := d.(Sizer); ok {
				keys, bytes := z.Size()
				add(e.specs[id].Name, keys, bytes)
			}
		}
		add("seen", s.seen.Len(), s.seen.Bytes())
		add("ids", 0, s.arena.Size())
		keys, bytes := s.ledger.size()
		add("ledger", keys, bytes)
		add("merchants", s.merchants.byKey.Len(), s.merchants.byKey.Bytes()+300*s.merchants.byKey.Len())
	}
	return m
}

// prepare gives every distinct event its effective time and every distinct redemption its visit.
func (e *Engine) prepare(out *Outcome) {
	b, c := e.batch, e.clock
	for i := range b.Events {
		ev := &b.Events[i]
		e.visitOf[i] = -1
		switch e.fate[i] {
		case duplicate:
			e.stats.Duplicates++
			continue
		case conflict:
			e.stats.Conflicts++
			out.Dead = append(out.Dead, vw.DeadLetter{
				Source: sourceName(b, ev), Position: ev.Line, Code: "conflicting_id",
				Reason: "an event of this type and id came before with another content; the first one counts",
				Raw:    slices.Clone(b.Bytes(ev.Raw)), RawBytes: int64(ev.Raw.Len),
			})
			continue
		}
		t, future := c.see(b.Events, i, e.ahead)
		e.effective[i], e.late[i], e.clockAt[i] = t, t < c.now-Lateness, c.now
		e.stats.Events[ev.Type]++
		if future {
			e.stats.Future++
		}
		if ev.Type != vw.RedemptionEvent {
			e.stats.Applied++
			continue
		}
		e.stats.Scored++
		e.stats.Subsidy += ev.DiscountFen
		if e.late[i] {
			e.stats.Late++
		}
		if len(e.visits) == cap(e.visits) {
			e.visits = append(e.visits, Visit{})
		} else {
			e.visits = e.visits[:len(e.visits)+1]
		}
		v := &e.visits[len(e.visits)-1]
		v.Batch, v.Event, v.T, v.Late, v.Future, v.Merchant = b, ev, t, e.late[i], future, nil
		v.Day, v.Minute = vw.DayOf(t, e.offset), vw.MinuteOf(t, e.offset)
		v.Voucher = &e.campaign.Vouchers[ev.VoucherType]
		v.Round = e.campaign.RoundOn(v.Day)
		v.Over, v.Amount, v.DeviceOf, v.CardOf = 0, 0, UnknownOwner, UnknownOwner
		if v.Voucher.Threshold > 0 {
			v.Over = float64(ev.OrderFen-v.Voucher.Threshold) / float64(v.Voucher.Threshold)
		}
		v.index, v.said, v.n, v.blinds, v.keeps = int32(i), 0, 0, 0, 0
		// Without the token the redemption does not come by these detectors, so it is said here.
		if ev.Device.Key == 0 {
			e.blind(v, DeviceLane, vw.FieldDevice)
		}
		if ev.Card.Key == 0 {
			e.blind(v, CardLane, vw.FieldCard)
		}
		e.visitOf[i] = int32(len(e.visits) - 1)
	}
}

// blind notes that no detector of the lane can look at the redemption.
func (e *Engine) blind(v *Visit, l Lane, field vw.Field) {
	for _, id := range e.lanes[l] {
		v.Blind(e.slots[0].envs[id], field)
	}
}

// repeats tells whether an event is a redelivery: by its fate in the batch in hand, by the ids seen so
// far in what follows it.
func (e *Engine) repeats(ev *vw.Event, ahead bool, i int) bool {
	if !ahead {
		return e.fate[i] != distinct
	}
	for _, s := range e.slots {
		if s.owns(ev.ID.Key) {
			return s.seen.Find(sightingKey(ev)) != nil
		}
	}
	return false
}

func sourceName(b *vw.Batch, ev *vw.Event) string {
	if int(ev.Source) < len(b.Sources) {
		return b.Sources[ev.Source]
	}
	return ""
}

// segment runs events [from, to) through the lanes.
func (e *Engine) segment(from, to int) {
	if from == to {
		return
	}
	e.from, e.to = from, to
	e.run(merchantPhase)
	e.run(customerPhase)
	if len(e.lanes[DeviceLane]) > 0 {
		e.run(devicePhase)
	}
	if len(e.lanes[CardLane]) > 0 {
		e.run(cardPhase)
	}
	if len(e.lanes[VoucherLane]) > 0 {
		e.run(voucherPhase)
	}
	if len(e.lanes[CampaignLane]) > 0 {
		e.slots[0].run(campaignPhase)
	}
	e.collect()
}

// collect moves what the slots found into the book, in an order that does not depend on the slots.
func (e *Engine) collect() {
	e.proposals = e.proposals[:0]
	for _, s := range e.slots {
		e.proposals = append(e.proposals, s.found...)
		clear(s.found)
		s.found = s.found[:0]
	}
	if len(e.proposals) == 0 {
		return
	}
	slices.SortStableFunc(e.proposals, func(a, b proposal) int {
		switch {
		case a.event != b.event:
			return int(a.event - b.event)
		case a.lane != b.lane:
			return int(a.lane) - int(b.lane)
		}
		return int(a.detector) - int(b.detector)
	})
	for i := range e.proposals {
		e.book.add(&e.proposals[i].Found)
	}
}

// tick closes an hour of event time: learners merge what the slots counted, and once a day state that
// has left its horizon is dropped.
func (e *Engine) tick(now vw.Millis, last bool) {
	day := vw.DayOf(now, e.offset)
	t := &Tick{Now: now, Day: day, NewDay: e.hour != 0 && day != e.day, Last: last, Version: formatTime(now/vw.Hour*vw.Hour, e.campaign.Zone), Campaign: e.campaign}
	for id := range e.specs {
		if e.specs[id].Learn == nil {
			continue
		}
		peers := make([]Detector, len(e.slots))
		for i, s := range e.slots {
			peers[i] = s.detectors[id]
			s.cause = 0
		}
		e.specs[id].Learn(peers, t)
		e.collectInOrder()
	}
	if t.NewDay {
		e.run(sweepPhase)
		e.book.sweep(now)
	}
	e.day = day
	e.book.due = true
}

// collectInOrder takes what a learner found; it ran alone, so slot 0's list is already in its order.
func (e *Engine) collectInOrder() {
	for _, s := range e.slots {
		for i := range s.found {
			e.book.add(&s.found[i].Found)
		}
		clear(s.found)
		s.found = s.found[:0]
	}
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
