package cases

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	vw "voucherwatch"
)

// Memory is a Store in memory, for replay and tests. It holds everything until it is dropped.
type Memory struct {
	mu       sync.RWMutex
	findings map[string]vw.Finding
	dockets  map[string]map[string]struct{} // docket → finding ids
	filed    map[string]map[string]struct{} // finding id → dockets
	cases    map[string]vw.Case
	work     map[string]Work
	alerts   map[string]Alert
	records  map[string]map[string]Record // kind → id
	lines    []string
	last     Line
}

var _ Store = (*Memory)(nil)

// NewMemory is an empty store.
func NewMemory() *Memory {
	return &Memory{
		findings: map[string]vw.Finding{},
		dockets:  map[string]map[string]struct{}{},
		filed:    map[string]map[string]struct{}{},
		cases:    map[string]vw.Case{},
		work:     map[string]Work{},
		alerts:   map[string]Alert{},
		records:  map[string]map[string]Record{},
	}
}

func (m *Memory) Put(ctx context.Context, w Write) error {
	if err := cmp.Or(w.Check(), ended("cases.Put", ctx)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := w.Case; c != nil && m.cases[c.CaseID].Revision != c.Revision-1 {
		return &vw.Error{Op: "cases.Put", Code: vw.Conflict, Err: errors.New("the case has been changed since it was read")}
	}
	for i := range w.Findings {
		f := &w.Findings[i]
		if f.Revision > m.findings[f.FindingID].Revision {
			m.findings[f.FindingID] = cloneFinding(f)
		}
		link(m.dockets, w.Docket, f.FindingID)
		link(m.filed, f.FindingID, w.Docket)
	}
	if w.Case != nil {
		m.cases[w.Case.CaseID] = cloneCase(w.Case)
	}
	return nil
}

func link(m map[string]map[string]struct{}, from, to string) {
	if m[from] == nil {
		m[from] = map[string]struct{}{}
	}
	m[from][to] = struct{}{}
}

func (m *Memory) Case(ctx context.Context, id string) (vw.Case, error) {
	if err := ended("cases.Case", ctx); err != nil {
		return vw.Case{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	c, ok := m.cases[id]
	if !ok {
		return c, Unknown("cases.Case", "case")
	}
	return c, nil
}

func (m *Memory) Findings(ctx context.Context, ids ...string) ([]vw.Finding, error) {
	if err := ended("cases.Findings", ctx); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]vw.Finding, 0, len(ids))
	for _, id := range ids {
		f, ok := m.findings[id]
		if !ok {
			return nil, Unknown("cases.Findings", "finding")
		}
		out = append(out, f)
	}
	return out, nil
}

func (m *Memory) Docket(ctx context.Context, docket string) ([]vw.Finding, error) {
	if err := ended("cases.Docket", ctx); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]vw.Finding, 0, len(m.dockets[docket]))
	for _, id := range slices.Sorted(maps.Keys(m.dockets[docket])) {
		out = append(out, m.findings[id])
	}
	return out, nil
}

func (m *Memory) Dockets(ctx context.Context, findingID string) ([]string, error) {
	if err := ended("cases.Dockets", ctx); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Sorted(maps.Keys(m.filed[findingID])), nil
}

func (m *Memory) List(ctx context.Context, f Filter) (Page, error) {
	after, err := f.Check()
	if err := cmp.Or(err, ended("cases.List", ctx)); err != nil {
		return Page{}, err
	}
	first := f.Cursor == ""
	mark := vw.Case{CaseID: after.ID, Score: after.Score}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []vw.Case
	for _, c := range m.cases {
		if f.match(&c) && (first || byScore(&c, &mark) > 0) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b vw.Case) int { return byScore(&a, &b) })
	return Paged(found, f.Limit), nil
}

// Unknown is the error of a Store for an id it does not have; the id itself may name a person and is
// left out.
func Unknown(op, what string) error {
	return &vw.Error{Op: op, Code: vw.NotFound, Err: errors.New("there is no such " + what)}
}

func ended(op string, ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return &vw.Error{Op: op, Code: vw.Unavailable, Err: err}
	}
	return nil
}

func cloneFinding(f *vw.Finding) vw.Finding {
	g := *f
	g.RedemptionIDs = slices.Clone(f.RedemptionIDs)
	g.MerchantIDs = slices.Clone(f.MerchantIDs)
	g.Reasons = slices.Clone(f.Reasons)
	for i := range g.Reasons {
		r := &g.Reasons[i]
		r.Evidence = slices.Clone(r.Evidence)
		r.Expected, r.PValue = clonePointer(r.Expected), clonePointer(r.PValue)
	}
	return g
}

func clonePointer(p *float64) *float64 {
	if p == nil {
		return nil
	}
	return new(*p)
}

func cloneCase(c *vw.Case) vw.Case {
	d := *c
	d.Typologies = slices.Clone(c.Typologies)
	d.Agencies = slices.Clone(c.Agencies)
	d.FindingIDs = slices.Clone(c.FindingIDs)
	d.Timeline = slices.Clone(c.Timeline)
	return d
}
