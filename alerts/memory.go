package alerts

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Memory is a Board, a Ledger and a PackStore that forgets when the process ends.
type Memory struct {
	mu         sync.Mutex
	alerts     map[string]Alert
	open       map[string]bool // alerts of cases that are not closed
	groups     map[string]Group
	silences   map[string]Silence
	deliveries map[string]*Delivery
	order      []*Delivery // by Seq
	threads    map[[2]string]string
	packs      map[string]Pack
}

var (
	_ Board     = (*Memory)(nil)
	_ Ledger    = (*Memory)(nil)
	_ PackStore = (*Memory)(nil)
)

// NewMemory is an empty store.
func NewMemory() *Memory {
	return &Memory{alerts: map[string]Alert{}, open: map[string]bool{}, groups: map[string]Group{}, silences: map[string]Silence{},
		deliveries: map[string]*Delivery{}, threads: map[[2]string]string{}, packs: map[string]Pack{}}
}

func (m *Memory) Load(_ context.Context, now time.Time) (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var s State
	for _, k := range slices.Sorted(maps.Keys(m.groups)) {
		if !m.groups[k].Closed {
			s.Groups = append(s.Groups, m.groups[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(m.open)) {
		s.Alerts = append(s.Alerts, m.alerts[k])
	}
	for _, k := range slices.Sorted(maps.Keys(m.silences)) {
		if m.silences[k].Until.After(now) {
			s.Silences = append(s.Silences, m.silences[k])
		}
	}
	return s, nil
}

func (m *Memory) Commit(_ context.Context, c Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range c.Alerts {
		if _, ok := m.alerts[a.ID]; !ok {
			m.alerts[a.ID], m.open[a.ID] = a, true
		}
	}
	for _, id := range c.Closed {
		maps.DeleteFunc(m.open, func(a string, _ bool) bool { return m.alerts[a].Case == id })
	}
	for _, g := range c.Groups {
		m.groups[g.Key] = g
	}
	for _, s := range c.Silences {
		m.silences[s.ID] = s
	}
	for _, d := range c.Deliveries {
		if m.deliveries[d.ID] == nil {
			m.put(d)
		}
	}
	return nil
}

func (m *Memory) put(d Delivery) {
	old := m.deliveries[d.ID]
	if old == nil {
		old = &Delivery{Seq: int64(len(m.order)) + 1}
		m.deliveries[d.ID] = old
		m.order = append(m.order, old)
	}
	d.Seq, d.Attempts = old.Seq, slices.Clone(d.Attempts)
	*old = d
	for _, a := range d.Attempts {
		if a.Thread != "" {
			m.threads[[2]string{d.Channel, d.Line}] = a.Thread
		}
	}
}

func (m *Memory) Known(_ context.Context, ids []string) (map[string]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := map[string]bool{}
	for _, id := range ids {
		if _, ok := m.alerts[id]; ok {
			known[id] = true
		}
	}
	return known, nil
}

func (m *Memory) Ready(_ context.Context, channel string, now time.Time, limit int) (ready []Delivery, next time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	busy := map[string]bool{}
	var heads, digests []*Delivery
	for _, d := range m.order {
		if d.Channel != channel || d.State != Queued || busy[d.Line] {
			continue
		}
		busy[d.Line] = true
		heads = append(heads, d)
		if d.Message.Kind == Digest {
			digests = append(digests, d)
		}
	}
	if len(digests) > 0 {
		heads = digests
	}
	for _, d := range heads {
		switch {
		case d.NextAt.After(now):
			if next.IsZero() || d.NextAt.Before(next) {
				next = d.NextAt
			}
		case len(ready) < limit:
			r := *d
			r.Attempts = slices.Clone(d.Attempts)
			r.Message.Thread = m.threads[[2]string{d.Channel, d.Line}]
			ready = append(ready, r)
		}
	}
	return ready, next, nil
}

func (m *Memory) Record(_ context.Context, ds []Delivery) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range ds {
		m.put(d)
	}
	return nil
}

func (m *Memory) Deliveries(_ context.Context, f Filter) (found []Delivery, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	order := slices.Clone(m.order)
	if !f.Oldest {
		slices.Reverse(order)
	}
	for _, d := range order {
		if len(found) == cmp.Or(f.Limit, 100) {
			break
		}
		if f.chooses(d) {
			c := *d
			c.Attempts = slices.Clone(d.Attempts)
			found = append(found, c)
		}
	}
	return found, nil
}

func (f *Filter) chooses(d *Delivery) bool {
	return (f.Channel == "" || f.Channel == d.Channel) && (f.State == "" || f.State == d.State) && (f.Case == "" || f.Case == d.Message.Case) &&
		(f.Batch == "" || f.Batch == d.Batch) && (f.Kind == "" || f.Kind == d.Message.Kind) && (f.Before == 0 || f.Oldest || d.Seq < f.Before)
}

func (m *Memory) Health(context.Context) ([]Health, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]*Health{}
	for _, d := range m.order {
		h := all[d.Channel]
		if h == nil {
			h = &Health{Channel: d.Channel}
			all[d.Channel] = h
		}
		h.Add(d)
	}
	var out []Health
	for _, k := range slices.Sorted(maps.Keys(all)) {
		out = append(out, *all[k])
	}
	return out, nil
}

// Add counts a delivery of the channel; they may come in any order.
func (h *Health) Add(d *Delivery) {
	switch d.State {
	case Queued:
		h.Queued++
		if h.Oldest.IsZero() || d.Made.Before(h.Oldest) {
			h.Oldest = d.Made
		}
	case Dead:
		h.Dead++
	case Sent:
		h.Sent++
	}
	for _, a := range d.Attempts {
		if a.Who != "" { // somebody's wish, not an attempt
			continue
		}
		if a.OK && d.Message.Kind == Exercise && a.At.After(h.LastDrill) {
			h.LastDrill = a.At
		}
		if !a.At.Before(h.LastSent) && !a.At.Before(h.LastFailed) {
			h.LastCode, h.LastLatencyMS = a.Code, a.LatencyMS
		}
		if a.OK && a.At.After(h.LastSent) {
			h.LastSent = a.At
		}
		if !a.OK && a.At.After(h.LastFailed) {
			h.LastFailed = a.At
		}
	}
}
