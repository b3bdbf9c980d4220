package stream

import vw "voucherwatch"

// general reads a redemption, claim, refund or price whose fields come in any order, with spaces
// between them. Unknown fields are passed over when they are plain values.
func (d *Decoder) general(b *vw.Batch, e *vw.Event, raw vw.Text) bool {
	s := scan{batch: b, data: b.Data[:raw.Off+raw.Len], i: int(raw.Off)}
	var members [maxMembers]member
	n, ok := s.object(&members, true)
	if !ok {
		return false
	}
	if s.space(); s.i != len(s.data) {
		return false
	}
	for i := range members[:n] {
		if m := &members[i]; m.field == fType && m.kind == '"' {
			e.Type, _ = vw.ParseEventType(s.data[m.text.Off : m.text.Off+m.text.Len])
		}
	}
	switch e.Type {
	case vw.RedemptionEvent, vw.ClaimEvent, vw.RefundEvent, vw.PriceEvent:
	default:
		return false
	}
	var present uint64
	for i := range members[:n] {
		m := &members[i]
		if m.absent() {
			continue
		}
		if m.kind == '[' && e.Type != vw.RedemptionEvent || d.assign(b, e, m) != "" {
			return false
		}
		present |= 1 << m.field
	}
	located(e, present)
	return contract[e.Type].required&^present == 0
}

const (
	maxMembers = 40 // of an object that the general reader reads; a full redemption has 22
	maxUnknown = 8  // of them with names that are not in the contract
)

// scan is the general reader's place in the line.
type scan struct {
	batch *vw.Batch
	data  []byte
	i     int
}

func (s *scan) space() {
	for s.i < len(s.data) && (s.data[s.i] == ' ' || s.data[s.i] == '\t' || s.data[s.i] == '\r' || s.data[s.i] == '\n') {
		s.i++
	}
}

// next passes over spaces and the byte c, if that is what comes.
func (s *scan) next(c byte) bool {
	if s.space(); s.i >= len(s.data) || s.data[s.i] != c {
		return false
	}
	s.i++
	return true
}

// object reads the members of a plain object, at the top of the line or a row of its receipt. ok is
// false for what is not plain and for a name that comes twice.
func (s *scan) object(members *[maxMembers]member, top bool) (n int, ok bool) {
	if !s.next('{') {
		return 0, false
	}
	if s.next('}') {
		return 0, true
	}
	var seen uint64
	var unknown [maxUnknown]vw.Text
	strangers := 0
	for ; n < len(members); n++ {
		if !s.next('"') {
			return 0, false
		}
		end := textEnd(s.data, s.i)
		if end < 0 {
			return 0, false
		}
		name := s.data[s.i:end]
		f := fieldOf(name)
		if f != noField {
			if seen&(1<<f) != 0 {
				return 0, false
			}
			seen |= 1 << f
		} else {
			for _, t := range unknown[:strangers] {
				if string(s.data[t.Off:t.Off+t.Len]) == string(name) {
					return 0, false
				}
			}
			if strangers == maxUnknown {
				return 0, false
			}
			unknown[strangers] = vw.Text{Off: uint32(s.i), Len: uint32(len(name))}
			strangers++
		}
		s.i = end + 1
		if !s.next(':') {
			return 0, false
		}
		members[n].field = f
		if s.space(); !s.value(&members[n], top) {
			return 0, false
		}
		switch {
		case s.next('}'):
			return n + 1, true
		case !s.next(','):
			return 0, false
		}
	}
	return 0, false
}

// value reads a plain value: a scalar or, at the top, the receipt.
func (s *scan) value(m *member, top bool) bool {
	if s.i >= len(s.data) {
		return false
	}
	m.at, m.rows = uint32(s.i), 0
	start, end := s.i, -1
	switch m.kind = s.data[s.i]; m.kind {
	case '"':
		start++
		end = textEnd(s.data, start)
		s.i = end + 1
	case 't':
		end = s.word("true")
	case 'f':
		end = s.word("false")
	case 'n':
		end = s.word("null")
	case '[':
		s.i++
		switch {
		case s.next(']'):
			end = start // empty
		case top && m.field == fLines:
			end = s.receipt(m)
		}
	default:
		m.kind = '0'
		end = numberEnd(s.data, s.i)
		s.i = end
	}
	if end < 0 {
		return false
	}
	m.text = vw.Text{Off: uint32(start), Len: uint32(end - start)}
	return true
}

func (s *scan) word(w string) (end int) {
	if len(s.data)-s.i < len(w) || string(s.data[s.i:s.i+len(w)]) != w {
		return -1
	}
	s.i += len(w)
	return s.i
}

// receipt reads the rows, of which there is one at least, and the bracket after them into Batch.Lines.
func (s *scan) receipt(m *member) (end int) {
	var members [maxMembers]member
	for m.rows < maxLines {
		n, ok := s.object(&members, false)
		if !ok {
			return -1
		}
		var l vw.Line
		var present uint64
		for i := range members[:n] {
			m := &members[i]
			if m.absent() {
				continue
			}
			if assignRow(s.batch, &l, m) != "" {
				return -1
			}
			present |= 1 << m.field
		}
		if receipt.required&^present != 0 {
			return -1
		}
		s.batch.Lines = append(s.batch.Lines, l)
		m.rows++
		switch {
		case s.next(']'):
			return s.i
		case !s.next(','):
			return -1
		}
	}
	return -1
}
