package detectors

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"

	vw "voucherwatch"
	"voucherwatch/internal/freeze"
)

// saveVersion is the version of the form of saved state.
const saveVersion = 1

// Save writes the state of the engine between two calls of Process, so that another one of the same
// campaign, policy, slots and build can go on from here: its outputs are those that this one would give.
func (e *Engine) Save(w io.Writer) error {
	f := freeze.NewEncoder(w)
	h := e.header()
	f.Encode(&h)
	e.known(f.Known)
	e.state(f.Encode)
	if err := f.Close(); err != nil {
		return &vw.Error{Op: "detectors.Save", Code: vw.Unavailable, Err: err}
	}
	return nil
}

// Load puts an engine that has processed nothing into the state that Save wrote. State of another
// campaign, policy, number of slots or build is refused, with the reason; then, and when bytes are
// corrupt, the engine must not be used: make another and read the stream from its start.
func (e *Engine) Load(r io.Reader) error {
	const op, hint = "detectors.Load", "go on without it: read the events again from the start"
	f := freeze.NewDecoder(r)
	var was savedHeader
	if err := f.Decode(&was); err != nil {
		return &vw.Error{Op: op, Code: vw.Invalid, Hint: hint, Err: err}
	}
	if err := e.header().differs(was); err != nil {
		return &vw.Error{Op: op, Code: vw.Conflict, Hint: hint, Err: err}
	}
	e.known(f.Known)
	e.state(func(p any) { f.Decode(p) })
	if err := f.Close(); err != nil {
		return &vw.Error{Op: op, Code: vw.Invalid, Hint: hint, Err: err}
	}
	return nil
}

// savedHeader says what a saved state belongs to.
type savedHeader struct {
	Version          uint64
	Machine          string
	Campaign, Policy string
	Slots            int
	Detectors        []savedDetector
	Rest             uint64 // layout of what is not the detectors'
}

type savedDetector struct {
	Name   string
	Layout uint64
}

func (e *Engine) header() savedHeader {
	h := savedHeader{Version: saveVersion, Machine: runtime.GOARCH, Campaign: e.campaign.ID, Policy: e.settings.Version, Slots: len(e.slots), Rest: freeze.Layout(reflect.TypeFor[Engine]())}
	for id := range e.specs {
		h.Detectors = append(h.Detectors, savedDetector{e.specs[id].Name, freeze.Layout(reflect.TypeOf(e.slots[0].detectors[id]).Elem())})
	}
	return h
}

func (h savedHeader) differs(was savedHeader) error {
	switch {
	case was.Version != h.Version:
		return fmt.Errorf("the state has form %d, this build reads %d", was.Version, h.Version)
	case was.Machine != h.Machine:
		return fmt.Errorf("the state was saved on %s, this is %s", was.Machine, h.Machine)
	case was.Campaign != h.Campaign:
		return fmt.Errorf("the state is of campaign %s, this is %s", was.Campaign, h.Campaign)
	case was.Policy != h.Policy:
		return fmt.Errorf("the state was made under policy %s, this is %s", was.Policy, h.Policy)
	case was.Slots != h.Slots:
		return fmt.Errorf("the state has %d slots, this engine %d", was.Slots, h.Slots)
	case len(was.Detectors) != len(h.Detectors):
		return fmt.Errorf("the state is of %d detectors, this build has %d", len(was.Detectors), len(h.Detectors))
	}
	for i, d := range h.Detectors {
		if was.Detectors[i] != d {
			return fmt.Errorf("this build keeps another state for the detector %s than the one that saved", d.Name)
		}
	}
	if was.Rest != h.Rest {
		return errors.New("this build keeps another state of the engine than the one that saved")
	}
	return nil
}

// known tells what exists on both sides and is pointed to by the state.
func (e *Engine) known(known func(any)) {
	known(e.campaign)
	for i := range e.campaign.Vouchers {
		known(&e.campaign.Vouchers[i])
	}
	known(e.campaign.Zone)
	known(&e.settings)
	for _, s := range e.slots {
		known(&s.arena)
		known(s.merchants)
		known(s.ledger)
		for _, env := range s.envs {
			known(env)
		}
	}
}

// state gives every part of the state, in one order for saving and loading.
func (e *Engine) state(each func(any)) {
	each(&e.clock.now)
	each(&e.hour)
	each(&e.day)
	each(&e.stats)
	each(&e.book.entries)
	each(&e.book.dirty)
	for _, s := range e.slots {
		each(&s.arena)
		each(s.merchants)
		s.ledger.forget()
		each(s.ledger)
		each(&s.seen)
		each(&s.swept)
		for _, d := range s.detectors {
			each(d)
		}
	}
}

// A table is written as runs of rows, the last of them empty, without its index.
const frozenRows = 1 << 12

// Freeze writes the rows.
func (t *Table[V]) Freeze(f *freeze.Encoder) {
	left := t.n
	for i := range t.chunks {
		rows := t.chunks[i].rows[:min(left, len(t.chunks[i].rows))]
		left -= len(rows)
		for ; len(rows) > 0; rows = rows[min(frozenRows, len(rows)):] {
			run := rows[:min(frozenRows, len(rows))]
			f.Encode(&run)
		}
	}
	f.Encode(&[]row[V]{})
}

// Thaw makes the table that Freeze wrote.
func (t *Table[V]) Thaw(f *freeze.Decoder) {
	*t = Table[V]{}
	thaw(f, t.Get)
}

// Freeze writes the live rows.
func (t *Small[V]) Freeze(f *freeze.Encoder) {
	run := make([]row[V], 0, frozenRows)
	for i := range t.slots {
		if t.slots[i].key == 0 {
			continue
		}
		if run = append(run, t.slots[i]); len(run) == frozenRows {
			f.Encode(&run)
			run = run[:0]
		}
	}
	if len(run) > 0 {
		f.Encode(&run)
	}
	f.Encode(&[]row[V]{})
}

// Thaw makes the table that Freeze wrote.
func (t *Small[V]) Thaw(f *freeze.Decoder) {
	*t = Small[V]{}
	thaw(f, t.Get)
}

func thaw[V any](f *freeze.Decoder, get func(uint64) (*V, bool)) {
	for {
		var run []row[V]
		if f.Decode(&run) != nil || len(run) == 0 {
			return
		}
		for i := range run {
			v, _ := get(run[i].key)
			*v = run[i].val
		}
	}
}
