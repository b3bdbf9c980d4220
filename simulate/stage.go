package simulate

import (
	"bufio"
	"cmp"
	"io"
	"slices"

	vw "voucherwatch"
)

// stage holds the events of a day and those that arrive later, and writes them in order of arrival.
// The order depends on nothing but arrival and a hashed key, so events added beside others never
// change the order of the others.
type stage struct {
	w      *world
	out    *bufio.Writer
	lines  []byte
	items  []item
	spare  []byte
	counts Counts
	bad    []Malformed
}

type item struct {
	arrive   vw.Millis
	key      uint64
	from, to uint32
	reason   string // of a malformed line
}

func newStage(w *world, out io.Writer) *stage {
	return &stage{w: w, out: bufio.NewWriterSize(out, 1<<20),
		counts: Counts{Distinct: zeroCounts(), Duplicates: zeroCounts(), Events: zeroCounts()}}
}

func zeroCounts() map[string]int {
	m := map[string]int{}
	for t := vw.MerchantEvent; t < vw.VerdictEvent; t++ {
		m[t.String()] = 0
	}
	return m
}

// put takes the bytes appended to s.lines since from as one event. True time is when it happened by a
// perfect clock; payments may be caught in an outage (H12) or be late.
func (s *stage) put(t vw.EventType, key uint64, happened vw.Millis, from int, provider int) (outage bool) {
	r := s.w.chance(forTransport, key, uint64(t))
	arrive := happened + vw.Millis(r.between(200, 2500))
	payment := t == vw.RedemptionEvent || t == vw.RefundEvent
	o := &s.w.outage
	switch {
	case payment && provider == o.provider && happened >= o.from && happened < o.to:
		arrive, outage = o.to+vw.Millis(r.between(0, 60_000)), true
	case payment && r.hit(s.w.p[late]):
		arrive += vw.Millis(r.exp(s.w.p[lateMinutes]) * float64(vw.Minute))
	}
	s.add(arrive, mix(key+uint64(t)), from, "")
	name := t.String()
	s.counts.Distinct[name]++
	s.counts.Events[name]++
	if t == vw.RedemptionEvent || t == vw.ClaimEvent || t == vw.PriceEvent || t == vw.RefundEvent {
		if r.hit(s.w.p[duplicates]) {
			copied := len(s.lines)
			s.lines = append(s.lines, s.lines[from:copied]...)
			s.add(arrive+vw.Second+vw.Millis(r.exp(10)*float64(vw.Minute)), mix(key+uint64(t)+100), copied, "")
			s.counts.Duplicates[name]++
			s.counts.Events[name]++
		}
	}
	return outage
}

func (s *stage) add(arrive vw.Millis, key uint64, from int, reason string) {
	s.items = append(s.items, item{arrive, key, uint32(from), uint32(len(s.lines)), reason})
}

// flush writes what arrives before a moment and keeps the rest.
func (s *stage) flush(before vw.Millis) error {
	slices.SortFunc(s.items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.arrive, b.arrive), cmp.Compare(a.key, b.key))
	})
	n, _ := slices.BinarySearchFunc(s.items, before, func(i item, t vw.Millis) int { return cmp.Compare(i.arrive, t) })
	for _, i := range s.items[:n] {
		s.counts.Lines++
		line := s.lines[i.from:i.to]
		if i.reason != "" {
			s.counts.Malformed++
			s.bad = append(s.bad, Malformed{ID: idIn(line), Line: s.counts.Lines, Reason: i.reason})
		}
		if _, err := s.out.Write(line); err != nil {
			return err
		}
		if err := s.out.WriteByte('\n'); err != nil {
			return err
		}
	}
	rest := s.spare[:0]
	kept := s.items[:0]
	for _, i := range s.items[n:] {
		from := uint32(len(rest))
		rest = append(rest, s.lines[i.from:i.to]...)
		i.from, i.to = from, uint32(len(rest))
		kept = append(kept, i)
	}
	s.items, s.spare, s.lines = kept, s.lines, rest
	return nil
}

// idIn reads the id of a line that may be broken: every line starts {"type":"…","id":"…".
func idIn(line []byte) string {
	const mark = `"id":"`
	for i := 0; i+len(mark) < len(line); i++ {
		if string(line[i:i+len(mark)]) == mark {
			rest := line[i+len(mark):]
			if end := slices.Index(rest, '"'); end >= 0 {
				return string(rest[:end])
			}
		}
	}
	return ""
}
