package cases

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	vw "voucherwatch"
)

var _ Archive = (*Memory)(nil)

func (m *Memory) Document(ctx context.Context, id string) (Document, error) {
	if err := ended("cases.Document", ctx); err != nil {
		return Document{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	c, ok := m.cases[id]
	if !ok {
		return Document{}, Unknown("cases.Document", "case")
	}
	d := Document{Case: c, Work: m.work[id]}
	return d.clone()
}

func (m *Memory) PutDocument(ctx context.Context, d *Document) error {
	if err := cmp.Or(d.Check(), ended("cases.PutDocument", ctx)); err != nil {
		return err
	}
	own, err := d.clone()
	if err != nil {
		return &vw.Error{Op: "cases.PutDocument", Code: vw.Invalid, Err: err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cases[d.Case.CaseID].Revision != d.Case.Revision-1 {
		return stale("cases.PutDocument")
	}
	m.cases[d.Case.CaseID], m.work[d.Case.CaseID] = own.Case, own.Work
	return nil
}

func stale(op string) error {
	return &vw.Error{Op: op, Code: vw.Conflict, Err: errors.New("it has been changed since it was read")}
}

func (m *Memory) PutAlerts(ctx context.Context, alerts []Alert) (late []int, err error) {
	if err := cmp.Or(CheckAlerts(alerts), ended("cases.PutAlerts", ctx)); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, a := range alerts {
		if m.alerts[a.AlertID].Revision != a.Revision-1 {
			late = append(late, i)
			continue
		}
		a.Rules = slices.Clone(a.Rules)
		m.alerts[a.AlertID] = a
	}
	return late, nil
}

func (m *Memory) Alerts(ctx context.Context, ids ...string) (out []Alert, err error) {
	if err := ended("cases.Alerts", ctx); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, id := range ids {
		if a, ok := m.alerts[id]; ok {
			out = append(out, a)
		}
	}
	return out, nil
}

func (m *Memory) Search(ctx context.Context, q Query) (Result, error) {
	after, err := q.Check()
	if err := cmp.Or(err, ended("cases.Search", ctx)); err != nil {
		return Result{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []Row
	out := Result{Counts: map[string]map[string]int{}}
	for _, name := range q.Count {
		out.Counts[name] = map[string]int{}
	}
	order := func(a, b *Row) int {
		x, down := q.Key(a)
		y, _ := q.Key(b)
		if down {
			x, y = y, x
		}
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a.ID, b.ID))
	}
	take := func(r Row) {
		if !q.matches(&r) {
			return
		}
		out.Total++
		for _, name := range q.Count {
			for _, v := range r.field(name) {
				out.Counts[name][v]++
			}
		}
		if after != nil {
			key, down := q.Key(&r)
			if down {
				key = -key
			}
			mark := after.Key
			if down {
				mark = -mark
			}
			if cmp.Or(cmp.Compare(key, mark), cmp.Compare(r.ID, after.ID)) <= 0 {
				return
			}
		}
		found = append(found, r)
	}
	if q.Kind == AlertRow {
		for _, a := range m.alerts {
			take(a.Row())
		}
	} else {
		for id, c := range m.cases {
			d := Document{Case: c, Work: m.work[id]}
			if q.Text == "" || contains(d.SearchText(), q.Text) {
				take(RowOf(&d))
			}
		}
	}
	slices.SortFunc(found, func(a, b Row) int { return order(&a, &b) })
	out.Rows, out.Next = q.Cut(found[:min(len(found), max(0, q.Limit+1))])
	return out, nil
}

func contains(text, query string) bool {
	for _, p := range Phrases(query) {
		if !strings.Contains(" "+text+" ", " "+strings.Join(p, " ")+" ") {
			return false
		}
	}
	return true
}

func (m *Memory) Append(ctx context.Context, entries ...Entered) (Line, error) {
	if err := ended("cases.Append", ctx); err != nil {
		return Line{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.last
	var texts []string
	for _, e := range entries {
		l, err := Chain(last, e)
		if err != nil {
			return m.last, &vw.Error{Op: "cases.Append", Code: vw.Invalid, Err: err}
		}
		text, err := l.Text()
		if err != nil {
			return m.last, &vw.Error{Op: "cases.Append", Code: vw.Invalid, Err: err}
		}
		last, texts = l, append(texts, text)
	}
	m.last, m.lines = last, append(m.lines, texts...)
	return last, nil
}

func (m *Memory) Lines(ctx context.Context, from int64, n int) ([]string, error) {
	if err := ended("cases.Lines", ctx); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	lo := min(max(from, 1)-1, int64(len(m.lines)))
	return slices.Clone(m.lines[lo:min(lo+int64(max(n, 0)), int64(len(m.lines)))]), nil
}

func (m *Memory) Record(ctx context.Context, kind, id string) (Record, error) {
	if err := ended("cases.Record", ctx); err != nil {
		return Record{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.records[kind][id]
	if !ok {
		return r, Unknown("cases.Record", "record")
	}
	r.Body = slices.Clone(r.Body)
	return r, nil
}

func (m *Memory) PutRecord(ctx context.Context, r Record) error {
	if err := cmp.Or(r.Check(), ended("cases.PutRecord", ctx)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records[r.Kind] == nil {
		m.records[r.Kind] = map[string]Record{}
	}
	if m.records[r.Kind][r.ID].Revision != r.Revision-1 {
		return stale("cases.PutRecord")
	}
	r.Body = slices.Clone(r.Body)
	m.records[r.Kind][r.ID] = r
	return nil
}

func (m *Memory) Records(ctx context.Context, kind string) (out []Record, err error) {
	if err := ended("cases.Records", ctx); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, id := range slices.Sorted(maps.Keys(m.records[kind])) {
		out = append(out, m.records[kind][id])
	}
	return out, nil
}
