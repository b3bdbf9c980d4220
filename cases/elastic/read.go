package elastic

import (
	"context"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	vw "voucherwatch"
	"voucherwatch/cases"
)

// hit is a stored document with its version.
type hit struct {
	Index string
	ID    string
	Seq   int64
	Term  int64
	Sort  []jsontext.Value
	Raw   jsontext.Value // _source as stored
	Source
}

// Source are the fields that this package reads back, of all kinds.
type Source struct {
	Hash     string         `json:"hash"`
	Revision int            `json:"revision"`
	Dockets  []string       `json:"dockets"`
	Docket   string         `json:"docket"`
	Findings []string       `json:"findings"`
	Document jsontext.Value `json:"document"`
	Case     jsontext.Value `json:"case"`
	Work     jsontext.Value `json:"work"`
	Row      jsontext.Value `json:"row"`
	ID       string         `json:"id"`
	Body     string         `json:"body"`
	Line     string         `json:"line"`
	Seq      int64          `json:"seq"`
}

type wireHit struct {
	Index string           `json:"_index"`
	ID    string           `json:"_id"`
	Seq   int64            `json:"_seq_no"`
	Term  int64            `json:"_primary_term"`
	Found bool             `json:"found"`
	Sort  []jsontext.Value `json:"sort"`
	Raw   jsontext.Value   `json:"_source"`
	Error struct {
		Type string `json:"type"`
	} `json:"error"`
}

func (w *wireHit) hit(op string) (hit, error) {
	h := hit{Index: w.Index, ID: w.ID, Seq: w.Seq, Term: w.Term, Sort: w.Sort, Raw: w.Raw}
	if len(w.Raw) == 0 {
		return h, nil
	}
	if err := json.Unmarshal(w.Raw, &h.Source); err != nil {
		return h, &vw.Error{Op: op, Code: vw.Internal, Err: err}
	}
	return h, nil
}

// get reads a document by id, at its newest version; nil when there is none. Fields: of the source, all when none.
func (s *Store) get(ctx context.Context, op, index, id string, fields ...string) (*hit, error) {
	path := "/" + index + "/_doc/" + id
	for i, f := range fields {
		path += map[bool]string{true: "?_source_includes=", false: ","}[i == 0] + f
	}
	status, answer, err := s.call(ctx, op, "GET", path, nil, 404)
	if err != nil {
		return nil, err
	}
	var w wireHit
	if err := json.Unmarshal(answer, &w); err != nil {
		return nil, &vw.Error{Op: op, Code: vw.Internal, Err: err}
	}
	if status == 404 || !w.Found {
		return nil, missing(op, answer)
	}
	h, err := w.hit(op)
	return &h, err
}

// missing is nil when a document is missing, an error when its index is.
func missing(op string, answer []byte) error {
	var e struct {
		Error jsontext.Value `json:"error"`
	}
	if json.Unmarshal(answer, &e) == nil && len(e.Error) > 0 {
		return refusal(op, 404, answer)
	}
	return nil
}

// place is where a document may be.
type place struct{ index, id string }

// mget reads documents by id, at their newest version, in the order asked for; nil for those that are missing.
func (s *Store) mget(ctx context.Context, op string, places []place, source any) ([]*hit, error) {
	out := make([]*hit, 0, len(places))
	const most = 500
	for from := 0; from < len(places); from += most {
		part := places[from:min(from+most, len(places))]
		docs := make([]object, len(part))
		for i, p := range part {
			docs[i] = object{"_index": p.index, "_id": p.id}
			if source != nil {
				docs[i]["_source"] = source
			}
		}
		body, err := json.Marshal(object{"docs": docs})
		if err != nil {
			return nil, &vw.Error{Op: op, Code: vw.Internal, Err: err}
		}
		var got struct {
			Docs []wireHit `json:"docs"`
		}
		// A shard that is still starting is told document by document, in an answer that is called a success.
		if err := s.patiently(ctx, op, func() error {
			_, answer, err := s.once(ctx, op, "POST", "/_mget", body)
			if err != nil {
				return err
			}
			got.Docs = nil
			if err := json.Unmarshal(answer, &got); err != nil {
				return &vw.Error{Op: op, Code: vw.Internal, Err: err}
			}
			for i := range got.Docs {
				if kind := got.Docs[i].Error.Type; kind != "" && kind != "index_not_found_exception" {
					return classified(op, 503, kind)
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
		for i := range got.Docs {
			if !got.Docs[i].Found {
				out = append(out, nil)
				continue
			}
			h, err := got.Docs[i].hit(op)
			if err != nil {
				return nil, err
			}
			out = append(out, &h)
		}
	}
	return out, nil
}

// found is the answer to a search.
type found struct {
	Hits struct {
		Total struct {
			Value int `json:"value"`
		} `json:"total"`
		Hits []wireHit `json:"hits"`
	} `json:"hits"`
	Aggregations map[string]struct {
		Buckets []struct {
			Key   string `json:"key"`
			Count int    `json:"doc_count"`
		} `json:"buckets"`
	} `json:"aggregations"`
	PIT    string `json:"pit_id"`
	Shards struct {
		Failed int `json:"failed"`
	} `json:"_shards"`
}

// search runs a search on an index, or on the point in time of the body when index is empty.
func (s *Store) search(ctx context.Context, op, index string, body object) (*found, []hit, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, nil, &vw.Error{Op: op, Code: vw.Internal, Err: err}
	}
	path := "/_search?allow_partial_search_results=false"
	if index != "" {
		path = "/" + index + path
	}
	_, answer, err := s.call(ctx, op, "POST", path, b)
	if err != nil {
		return nil, nil, err
	}
	var f found
	if err := json.Unmarshal(answer, &f); err != nil {
		return nil, nil, &vw.Error{Op: op, Code: vw.Internal, Err: err}
	}
	hits := make([]hit, len(f.Hits.Hits))
	for i := range f.Hits.Hits {
		if hits[i], err = f.Hits.Hits[i].hit(op); err != nil {
			return nil, nil, err
		}
	}
	return &f, hits, nil
}

// walk visits every document of an index once, as it was at one moment, whatever is written meanwhile.
func (s *Store) walk(ctx context.Context, op, index string, visit func([]hit) error) error {
	if err := s.fresh(ctx, op, index); err != nil {
		return err
	}
	_, answer, err := s.call(ctx, op, "POST", "/"+index+"/_pit?keep_alive=5m", nil)
	if err != nil {
		return err
	}
	var pit struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer, &pit); err != nil {
		return &vw.Error{Op: op, Code: vw.Internal, Err: err}
	}
	defer func() {
		b, _ := json.Marshal(pit)
		_, _, _ = s.once(context.WithoutCancel(ctx), op, "DELETE", "/_pit", b, 404)
	}()
	body := object{"size": 500, "sort": []object{{"_shard_doc": "asc"}}, "track_total_hits": false}
	for {
		body["pit"] = object{"id": pit.ID, "keep_alive": "5m"}
		f, hits, err := s.search(ctx, op, "", body)
		if err != nil || len(hits) == 0 {
			return err
		}
		if f.PIT != "" {
			pit.ID = f.PIT
		}
		if err := visit(hits); err != nil {
			return err
		}
		body["search_after"] = hits[len(hits)-1].Sort
	}
}

func (s *Store) Case(ctx context.Context, id string) (c vw.Case, err error) {
	const op = "elastic.Case"
	h, err := s.get(ctx, op, s.aliasOf(casesIndex), key(id), "case")
	if err != nil {
		return c, err
	}
	if h == nil {
		return c, cases.Unknown(op, "case")
	}
	return c, decode(op, h.Case, &c)
}

func (s *Store) Document(ctx context.Context, id string) (d cases.Document, err error) {
	const op = "elastic.Document"
	h, err := s.get(ctx, op, s.aliasOf(casesIndex), key(id), "case", "work")
	if err != nil {
		return d, err
	}
	if h == nil {
		return d, cases.Unknown(op, "case")
	}
	if err := decode(op, h.Case, &d.Case); err != nil {
		return d, err
	}
	return d, decode(op, h.Work, &d.Work)
}

func decode(op string, b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return &vw.Error{Op: op, Code: vw.Internal, Err: err}
	}
	return nil
}

func (s *Store) List(ctx context.Context, f cases.Filter) (cases.Page, error) {
	const op = "elastic.List"
	after, err := f.Check()
	if err != nil {
		return cases.Page{}, err
	}
	var filter []object
	add := func(field, value string) {
		if value != "" {
			filter = append(filter, object{"term": object{field: term(value)}})
		}
	}
	add("status", f.Status)
	add("subject_kind", f.SubjectKind)
	add("subject", f.SubjectID)
	add("typologies", f.Typology)
	if f.MinScore > 0 {
		filter = append(filter, object{"range": object{"score": object{"gte": f.MinScore}}})
	}
	index := s.aliasOf(casesIndex)
	if err := s.fresh(ctx, op, index); err != nil {
		return cases.Page{}, err
	}
	body := object{"size": f.Limit + 1, "query": object{"bool": object{"filter": filter}}, "_source": []string{"case"}, "track_total_hits": false,
		"sort": []object{{"score": "desc"}, {"id": "asc"}}}
	if f.Cursor != "" {
		body["search_after"] = []any{after.Score, sortID(after.ID)}
	}
	_, hits, err := s.search(ctx, op, index, body)
	if err != nil {
		return cases.Page{}, err
	}
	out := make([]vw.Case, len(hits))
	for i := range hits {
		if err := decode(op, hits[i].Case, &out[i]); err != nil {
			return cases.Page{}, err
		}
	}
	return cases.Paged(out, f.Limit), nil
}

func (s *Store) Search(ctx context.Context, q cases.Query) (cases.Result, error) {
	const op = "elastic.Search"
	after, err := q.Check()
	if err != nil {
		return cases.Result{}, err
	}
	var filter []object
	add := func(field, value string) {
		if value != "" {
			filter = append(filter, object{"term": object{field: term(value)}})
		}
	}
	if len(q.States) > 0 {
		filter = append(filter, object{"terms": object{"state": q.States}})
	}
	add("subject", q.SubjectID)
	add("typologies", q.Typology)
	add("severity", string(q.Severity))
	add("assignee", q.Assignee)
	add("case_id", q.CaseID)
	if q.MinScore > 0 {
		filter = append(filter, object{"range": object{"score": object{"gte": q.MinScore}}})
	}
	if q.DueBefore != "" {
		mark := cases.Row{DueAt: q.DueBefore}
		filter = append(filter, object{"range": object{"due": object{"lt": mark.DueKey()}}})
	}
	if q.Pending {
		filter = append(filter, object{"range": object{"pending": object{"gt": 0}}})
	}
	for _, p := range cases.Phrases(q.Text) {
		filter = append(filter, phrase(p))
	}
	kind, source := casesIndex, "row"
	if q.Kind == cases.AlertRow {
		kind, source = alertsIndex, "document"
	}
	index := s.aliasOf(kind)
	if err := s.fresh(ctx, op, index); err != nil {
		return cases.Result{}, err
	}
	order := "desc"
	if q.Sort == "due" {
		order = "asc"
	}
	body := object{"size": max(0, q.Limit+1), "query": object{"bool": object{"filter": filter}}, "_source": []string{source}, "track_total_hits": true,
		"sort": []object{{q.Sort: order}, {"id": "asc"}}}
	if q.Limit < 0 {
		body["size"] = 0
	}
	if after != nil {
		body["search_after"] = []any{after.Key, sortID(after.ID)}
	}
	if len(q.Count) > 0 {
		aggregations := object{}
		for _, name := range q.Count {
			field := name
			if name == "typology" {
				field = "typologies"
			}
			aggregations[name] = object{"terms": object{"field": field, "size": 1000}}
		}
		body["aggs"] = aggregations
	}
	f, hits, err := s.search(ctx, op, index, body)
	if err != nil {
		return cases.Result{}, err
	}
	out := cases.Result{Total: f.Hits.Total.Value, Counts: map[string]map[string]int{}}
	for _, name := range q.Count {
		out.Counts[name] = map[string]int{}
		for _, b := range f.Aggregations[name].Buckets {
			out.Counts[name][b.Key] = b.Count
		}
	}
	rows := make([]cases.Row, len(hits))
	for i := range hits {
		if kind == casesIndex {
			err = decode(op, hits[i].Row, &rows[i])
		} else {
			var a cases.Alert
			if err = decode(op, hits[i].Document, &a); err == nil {
				rows[i] = a.Row()
			}
		}
		if err != nil {
			return cases.Result{}, err
		}
	}
	out.Rows, out.Next = q.Cut(rows)
	return out, nil
}

// phrase is a query for words that stand side by side. Pairs of neighbours overlap, so that a phrase of pairs in a
// row is the phrase.
func phrase(words []string) object {
	if len(words) == 1 {
		return object{"term": object{"words": words[0]}}
	}
	text := ""
	for i, w := range words {
		if i > 0 {
			text += " "
		}
		text += w
	}
	return object{"match_phrase": object{"words.pairs": text}}
}
