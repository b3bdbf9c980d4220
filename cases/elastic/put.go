package elastic

import (
	"context"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
	"voucherwatch/cases"
)

// rounds bounds how often a document that others write too is read again. Each lost round is another's progress.
const rounds = 1000

var errBusy = errors.New("it kept changing")

// Put files the findings, each by itself, then the docket, then writes the case. A finding's index is that of the month
// it was first detected in: the same for all its revisions.
func (s *Store) Put(ctx context.Context, w cases.Write) error {
	const op = "elastic.Put"
	if err := w.Check(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return &vw.Error{Op: op, Code: vw.Unavailable, Err: err}
	}
	// What JSON cannot hold is refused before anything is written.
	if _, err := json.Marshal(&w); err != nil {
		return &vw.Error{Op: op, Code: vw.Invalid, Err: err}
	}
	return s.unblocked(ctx, op, func() error {
		if len(w.Findings) > 0 {
			if err := s.putFindings(ctx, op, &w); err != nil {
				return err
			}
			if err := s.file(ctx, op, &w); err != nil {
				return err
			}
		}
		if w.Case == nil {
			return nil
		}
		return s.putCase(ctx, op, w.Case, nil)
	})
}

// putFindings writes the findings whose revision is news, and notes in each that it is filed under the docket.
func (s *Store) putFindings(ctx context.Context, op string, w *cases.Write) error {
	best := map[string]*vw.Finding{}
	for i := range w.Findings {
		if f := &w.Findings[i]; best[f.FindingID] == nil || f.Revision > best[f.FindingID].Revision {
			best[f.FindingID] = f
		}
	}
	var left []string
	for id := range best {
		left = append(left, id)
	}
	slices.Sort(left)
	for range rounds {
		stored, err := s.findings(ctx, op, left)
		if err != nil {
			return err
		}
		var items []item
		var of []string
		for _, id := range left {
			f, old := best[id], stored[id]
			out := object{"finding_id": id, "typology": term(f.Typology), "score": f.Score, "revision": f.Revision, "document": f, "dockets": []string{w.Docket}}
			it := item{index: s.index(findingsIndex, month(f.DetectedAt)), id: key(id), create: true}
			if old != nil {
				filed := slices.Contains(old.Dockets, w.Docket)
				if filed && old.Revision >= f.Revision {
					continue
				}
				it.index, it.create, it.seq, it.term = old.Index, false, old.Seq, old.Term
				dockets := old.Dockets
				if !filed {
					dockets = append(slices.Clone(dockets), w.Docket)
					slices.Sort(dockets)
				}
				out["dockets"] = dockets
				if old.Revision >= f.Revision {
					var kept vw.Finding
					if err := decode(op, old.Document, &kept); err != nil {
						return err
					}
					out["document"], out["revision"], out["score"], out["typology"] = &kept, kept.Revision, kept.Score, term(kept.Typology)
				}
			}
			if at := f.DetectedAt; month(at) != "undated" {
				out["at"] = at
			}
			if it.body, it.hash, err = sealed(op, out); err != nil {
				return err
			}
			items, of = append(items, it), append(of, id)
		}
		left = left[:0]
		for i, err := range s.bulk(ctx, op, items) {
			switch {
			case vw.CodeOf(err) == vw.Conflict:
				left = append(left, of[i]) // somebody filed it meanwhile
			case err != nil:
				return err
			}
		}
		if len(left) == 0 {
			return nil
		}
	}
	return &vw.Error{Op: op, Code: vw.Unavailable, Hint: "too many writers on one finding; try again", Err: errBusy}
}

// sealed is a document as JSON with the hash of its content in it.
func sealed(op string, document object) (body []byte, hash string, err error) {
	b, err := json.Marshal(document, json.Deterministic(true))
	if err != nil {
		return nil, "", &vw.Error{Op: op, Code: vw.Invalid, Err: err}
	}
	hash = key(string(b))
	body = append(append(make([]byte, 0, len(b)+len(hash)+12), `{"hash":"`+hash+`",`...), b[1:]...) // no document is empty
	return body, hash, nil
}

// file lists the findings in the docket.
func (s *Store) file(ctx context.Context, op string, w *cases.Write) error {
	index, id := s.aliasOf(docketsIndex), key(w.Docket)
	for range rounds {
		old, err := s.get(ctx, op, index, id)
		if err != nil {
			return err
		}
		it := item{index: index, id: id, create: true}
		var ids []string
		if old != nil {
			ids, it.create, it.seq, it.term = old.Findings, false, old.Seq, old.Term
		}
		before := len(ids)
		for i := range w.Findings {
			ids = append(ids, w.Findings[i].FindingID)
		}
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) == before {
			return nil
		}
		if it.body, it.hash, err = sealed(op, object{"docket": w.Docket, "findings": ids}); err != nil {
			return err
		}
		if err := s.write(ctx, op, it); vw.CodeOf(err) != vw.Conflict {
			return err
		}
	}
	return &vw.Error{Op: op, Code: vw.Unavailable, Hint: "too many writers on one docket; try again", Err: errBusy}
}

// putCase writes a case over the revision before it. Work nil keeps what is there.
func (s *Store) putCase(ctx context.Context, op string, c *vw.Case, work *cases.Work) error {
	index, id := s.aliasOf(casesIndex), key(c.CaseID)
	stale := &vw.Error{Op: op, Code: vw.Conflict, Err: errors.New("the case has been changed since it was read")}
	d := cases.Document{Case: *c}
	if work != nil {
		d.Work = *work
	}
	it := item{index: index, id: id, create: true}
	if c.Revision > 1 {
		fields := []string{"revision"}
		if work == nil {
			fields = append(fields, "work")
		}
		old, err := s.get(ctx, op, index, id, fields...)
		switch {
		case err != nil:
			return err
		case old == nil || old.Revision != c.Revision-1:
			return stale
		case work == nil:
			if err := decode(op, old.Work, &d.Work); err != nil {
				return err
			}
		}
		it.create, it.seq, it.term = false, old.Seq, old.Term
	}
	r := cases.RowOf(&d)
	typologies := make([]string, len(c.Typologies))
	for i, t := range c.Typologies {
		typologies[i] = term(t)
	}
	var err error
	if it.body, it.hash, err = sealed(op, object{"id": sortID(c.CaseID), "revision": c.Revision, "status": c.Status, "subject_kind": term(c.Subject.Kind),
		"subject": term(c.Subject.ID), "state": r.State, "typologies": typologies, "severity": term(string(r.Severity)), "assignee": term(r.Assignee), "track": r.Track,
		"score": r.Score, "subsidy": r.SubsidyFen, "at": r.AtKey(), "due": r.DueKey(), "pending": r.Pending, "words": d.SearchText(),
		"case": &d.Case, "work": &d.Work, "row": &r}); err != nil {
		return err
	}
	return s.write(ctx, op, it)
}

func (s *Store) PutDocument(ctx context.Context, d *cases.Document) error {
	const op = "elastic.PutDocument"
	if err := d.Check(); err != nil {
		return err
	}
	return s.unblocked(ctx, op, func() error { return s.putCase(ctx, op, &d.Case, &d.Work) })
}

// findings are those that are stored, by id. An id that stands in several months (two machines raised it with another first
// detection at the same moment) is the highest revision, filed under all its dockets.
func (s *Store) findings(ctx context.Context, op string, ids []string) (map[string]*hit, error) {
	out, err := s.findingsIn(ctx, op, ids)
	if err != nil || len(out) == len(ids) {
		return out, err
	}
	// Another machine may have begun a month.
	names, err := s.behind(ctx, op, s.aliasOf(findingsIndex))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, &vw.Error{Op: op, Code: vw.Invalid, Hint: "make the indices first: voucherwatch index create", Err: errors.New("there is no index of findings")}
	}
	s.mu.Lock()
	news := false
	for _, name := range names {
		news = news || !s.months[name]
		s.months[name] = true
	}
	s.mu.Unlock()
	if !news {
		return out, nil
	}
	return s.findingsIn(ctx, op, ids)
}

func (s *Store) findingsIn(ctx context.Context, op string, ids []string) (map[string]*hit, error) {
	s.mu.Lock()
	var months []string
	for name := range s.months {
		months = append(months, name)
	}
	s.mu.Unlock()
	slices.Sort(months)
	var places []place
	var of []string
	for _, id := range ids {
		for _, m := range months {
			places, of = append(places, place{m, key(id)}), append(of, id)
		}
	}
	hits, err := s.mget(ctx, op, places, nil)
	if err != nil {
		return nil, err
	}
	out := map[string]*hit{}
	for i, h := range hits {
		switch old := out[of[i]]; {
		case h == nil:
		case old == nil:
			out[of[i]] = h
		default:
			dockets := append(slices.Clone(h.Dockets), old.Dockets...)
			if old.Revision > h.Revision {
				h = old
			}
			slices.Sort(dockets)
			h.Dockets = slices.Compact(dockets)
			out[of[i]] = h
		}
	}
	return out, nil
}

func (s *Store) Findings(ctx context.Context, ids ...string) ([]vw.Finding, error) {
	const op = "elastic.Findings"
	if len(ids) == 0 {
		return nil, nil
	}
	asked := slices.Compact(slices.Sorted(slices.Values(ids)))
	stored, err := s.findings(ctx, op, asked)
	if err != nil {
		return nil, err
	}
	out := make([]vw.Finding, len(ids))
	for i, id := range ids {
		h := stored[id]
		if h == nil {
			return nil, cases.Unknown(op, "finding")
		}
		if err := decode(op, h.Document, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Store) Docket(ctx context.Context, docket string) ([]vw.Finding, error) {
	const op = "elastic.Docket"
	h, err := s.get(ctx, op, s.aliasOf(docketsIndex), key(docket))
	if err != nil || h == nil {
		return nil, err
	}
	return s.Findings(ctx, h.Findings...)
}

func (s *Store) Dockets(ctx context.Context, findingID string) ([]string, error) {
	const op = "elastic.Dockets"
	stored, err := s.findings(ctx, op, []string{findingID})
	if err != nil || stored[findingID] == nil {
		return nil, err
	}
	return stored[findingID].Dockets, nil
}
