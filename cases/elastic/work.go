package elastic

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	vw "voucherwatch"
	"voucherwatch/cases"
)

func (s *Store) PutAlerts(ctx context.Context, alerts []cases.Alert) (late []int, err error) {
	const op = "elastic.PutAlerts"
	if err := cases.CheckAlerts(alerts); err != nil {
		return nil, err
	}
	index := s.aliasOf(alertsIndex)
	var places []place
	var of []int
	for i := range alerts {
		if alerts[i].Revision > 1 {
			places, of = append(places, place{index, key(alerts[i].AlertID)}), append(of, i)
		}
	}
	old := make([]*hit, len(alerts))
	if len(places) > 0 {
		hits, err := s.mget(ctx, op, places, []string{"revision"})
		if err != nil {
			return nil, err
		}
		for n, i := range of {
			old[i] = hits[n]
		}
	}
	var items []item
	of = of[:0]
	for i := range alerts {
		a := &alerts[i]
		it := item{index: index, id: key(a.AlertID), create: true}
		if a.Revision > 1 {
			if old[i] == nil || old[i].Revision != a.Revision-1 {
				late = append(late, i)
				continue
			}
			it.create, it.seq, it.term = false, old[i].Seq, old[i].Term
		}
		r := a.Row()
		if it.body, it.hash, err = sealed(op, object{"id": sortID(a.AlertID), "revision": a.Revision, "subject": term(a.Subject.ID), "state": a.State,
			"typologies": term(a.Typology), "severity": term(string(a.Severity)), "assignee": term(r.Assignee), "track": "", "case_id": term(a.CaseID), "score": a.Score,
			"subsidy": a.SubsidyFen, "at": r.AtKey(), "due": r.DueKey(), "pending": 0, "document": a}); err != nil {
			return late, err
		}
		items, of = append(items, it), append(of, i)
	}
	err = s.unblocked(ctx, op, func() error {
		var failed error
		var left []item
		var again []int
		for n, err := range s.bulk(ctx, op, items) {
			switch {
			case err == nil:
			case vw.CodeOf(err) == vw.Conflict:
				late = append(late, of[n])
			default:
				failed = cmp.Or(failed, err)
				left, again = append(left, items[n]), append(again, of[n])
			}
		}
		items, of = left, again
		return failed
	})
	slices.Sort(late)
	return late, err
}

func (s *Store) Alerts(ctx context.Context, ids ...string) ([]cases.Alert, error) {
	const op = "elastic.Alerts"
	if len(ids) == 0 {
		return nil, nil
	}
	places := make([]place, len(ids))
	for i, id := range ids {
		places[i] = place{s.aliasOf(alertsIndex), key(id)}
	}
	hits, err := s.mget(ctx, op, places, []string{"document"})
	if err != nil {
		return nil, err
	}
	var out []cases.Alert
	for _, h := range hits {
		if h == nil {
			continue
		}
		var a cases.Alert
		if err := decode(op, h.Document, &a); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// head is the end of the audit log: the lines of the last call. It is what writers agree on, by one
// optimistic write; each line then gets a document of its own in its month, made again by whoever comes next should the
// writer have died in between.
type head struct {
	Lines []string `json:"lines"`
}

func (s *Store) Append(ctx context.Context, entries ...cases.Entered) (cases.Line, error) {
	const op = "elastic.Append"
	index, id := s.aliasOf(recordsIndex), key("audit", "head")
	for range rounds {
		old, last, err := s.end(ctx, op, index, id)
		if err != nil || len(entries) == 0 {
			return last, err
		}
		it := item{index: index, id: id, create: true}
		if old != nil {
			it.create, it.seq, it.term = false, old.Seq, old.Term
		}
		var h head
		for _, e := range entries {
			var text string
			if last, err = cases.Chain(last, e); err == nil {
				text, err = last.Text()
			}
			if err != nil {
				return last, &vw.Error{Op: op, Code: vw.Invalid, Err: err}
			}
			h.Lines = append(h.Lines, text)
		}
		body, err := json.Marshal(h)
		if err != nil {
			return last, &vw.Error{Op: op, Code: vw.Internal, Err: err}
		}
		if it.body, it.hash, err = sealed(op, object{"kind": "audit", "id": "head", "revision": last.Seq, "body": string(body)}); err != nil {
			return last, err
		}
		switch err := s.unblocked(ctx, op, func() error { return s.write(ctx, op, it) }); {
		case vw.CodeOf(err) == vw.Conflict:
			continue
		case err != nil:
			return last, err
		}
		return last, s.enter(ctx, op, h.Lines, last.Seq)
	}
	return cases.Line{}, &vw.Error{Op: op, Code: vw.Unavailable, Hint: "too many writers on the audit log; try again", Err: errBusy}
}

// end reads the end of the log and sees to it that its lines have their documents.
func (s *Store) end(ctx context.Context, op, index, id string) (*hit, cases.Line, error) {
	old, err := s.get(ctx, op, index, id)
	if err != nil || old == nil {
		return old, cases.Line{}, err
	}
	var h head
	if err := decode(op, []byte(old.Body), &h); err != nil {
		return old, cases.Line{}, err
	}
	last, err := cases.ReadLine(h.Lines[len(h.Lines)-1])
	if err != nil {
		return old, last, &vw.Error{Op: op, Code: vw.Internal, Hint: "the end of the audit log is damaged: run audit verify and restore it from a copy", Err: err}
	}
	s.mu.Lock()
	known := s.audited >= last.Seq
	s.mu.Unlock()
	if known {
		return old, last, nil
	}
	return old, last, s.enter(ctx, op, h.Lines, last.Seq)
}

// enter makes the documents of lines; those that are there stay as they are.
func (s *Store) enter(ctx context.Context, op string, lines []string, last int64) error {
	items := make([]item, len(lines))
	for i, text := range lines {
		l, err := cases.ReadLine(text)
		if err != nil {
			return &vw.Error{Op: op, Code: vw.Internal, Err: err}
		}
		items[i] = item{index: s.index(auditIndex, month(l.At)), id: "line-" + padded(l.Seq), create: true}
		if items[i].body, items[i].hash, err = sealed(op, object{"seq": l.Seq, "at": l.At, "actor": term(l.Actor), "action": term(l.Action), "case_id": term(l.CaseID), "line": text}); err != nil {
			return err
		}
	}
	for _, err := range s.bulk(ctx, op, items) {
		if err != nil && vw.CodeOf(err) != vw.Conflict {
			return err
		}
	}
	s.mu.Lock()
	s.audited = max(s.audited, last)
	s.mu.Unlock()
	return nil
}

func padded(n int64) string {
	const digits = "000000000000000000"
	text := ""
	for ; n > 0; n /= 10 {
		text = string(rune('0'+n%10)) + text
	}
	return digits[:max(0, len(digits)-len(text))] + text
}

func (s *Store) Lines(ctx context.Context, from int64, n int) ([]string, error) {
	const op = "elastic.Lines"
	if _, _, err := s.end(ctx, op, s.aliasOf(recordsIndex), key("audit", "head")); err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, op, s.aliasOf(auditIndex)); err != nil {
		return nil, err
	}
	var out []string
	for len(out) < n {
		_, hits, err := s.search(ctx, op, s.aliasOf(auditIndex), object{"size": min(1000, n-len(out)), "track_total_hits": false, "_source": []string{"line", "seq"},
			"query": object{"range": object{"seq": object{"gte": from}}}, "sort": []object{{"seq": "asc"}}})
		if err != nil || len(hits) == 0 {
			return out, err
		}
		for _, h := range hits {
			out = append(out, h.Line)
			from = h.Source.Seq + 1
		}
	}
	return out, nil
}

func (s *Store) Record(ctx context.Context, kind, id string) (cases.Record, error) {
	const op = "elastic.Record"
	r := cases.Record{Kind: kind, ID: id}
	h, err := s.get(ctx, op, s.aliasOf(recordsIndex), key("record", kind, id))
	if err != nil {
		return r, err
	}
	if h == nil {
		return r, cases.Unknown(op, "record")
	}
	r.Revision, r.Body = h.Revision, jsontext.Value(h.Body)
	return r, nil
}

func (s *Store) PutRecord(ctx context.Context, r cases.Record) error {
	const op = "elastic.PutRecord"
	if err := r.Check(); err != nil {
		return err
	}
	index, id := s.aliasOf(recordsIndex), key("record", r.Kind, r.ID)
	it := item{index: index, id: id, create: true}
	if r.Revision > 1 {
		old, err := s.get(ctx, op, index, id, "revision")
		if err != nil {
			return err
		}
		if old == nil || old.Revision != r.Revision-1 {
			return &vw.Error{Op: op, Code: vw.Conflict, Err: errors.New("it has been changed since it was read")}
		}
		it.create, it.seq, it.term = false, old.Seq, old.Term
	}
	var err error
	if it.body, it.hash, err = sealed(op, object{"kind": "record " + term(r.Kind), "id": sortID(r.ID), "revision": r.Revision, "body": string(r.Body)}); err != nil {
		return err
	}
	return s.unblocked(ctx, op, func() error { return s.write(ctx, op, it) })
}

func (s *Store) Records(ctx context.Context, kind string) ([]cases.Record, error) {
	const op = "elastic.Records"
	index := s.aliasOf(recordsIndex)
	if err := s.fresh(ctx, op, index); err != nil {
		return nil, err
	}
	var out []cases.Record
	body := object{"size": 500, "track_total_hits": false, "query": object{"term": object{"kind": "record " + term(kind)}}, "sort": []object{{"id": "asc"}}}
	for {
		_, hits, err := s.search(ctx, op, index, body)
		if err != nil || len(hits) == 0 {
			return out, err
		}
		for _, h := range hits {
			out = append(out, cases.Record{Kind: kind, ID: h.Source.ID, Revision: h.Revision, Body: jsontext.Value(h.Body)})
		}
		body["search_after"] = hits[len(hits)-1].Sort
	}
}
