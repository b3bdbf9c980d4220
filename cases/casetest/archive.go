package casetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	vw "voucherwatch"
	"voucherwatch/cases"
)

// RunArchive tests an archive: all that Run tests, and what people do.
func RunArchive(t *testing.T, open func(t testing.TB, dir string) cases.Archive) {
	Run(t, func(t testing.TB, dir string) cases.Store { return open(t, dir) })
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, s cases.Archive)
	}{
		{"a case and its work are read back whole", documents},
		{"the desk's write keeps the work", deskKeepsWork},
		{"of 64 people on four cases none loses what was acknowledged", people},
		{"alerts are written over the revision before them only", alerts},
		{"a queue is filtered, in order, counted and paged", queue},
		{"Chinese text is found wherever it stands", chinese},
		{"the audit log is one chain, whoever writes", auditChain},
		{"records keep their revisions", records},
		{"hostile input is kept as it is or refused", hostile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.run(t, start(t, func(t testing.TB, dir string) cases.Store { return open(t, dir) }, t.TempDir()).(cases.Archive))
		})
	}
}

var (
	li   = cases.Actor{ID: "li", Roles: []cases.Role{cases.Investigator}}
	zhao = cases.Actor{ID: "zhao", Roles: []cases.Role{cases.Supervisor}}
	noon = time.Date(2022, 9, 26, 12, 0, 0, 0, cases.Zone)
)

func procedure(t testing.TB) *cases.Procedure {
	t.Helper()
	p, err := cases.LoadProcedure("", nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// apply reads, applies and writes until nobody was in between.
func apply(t testing.TB, s cases.Archive, p *cases.Procedure, id string, cmd cases.Command, who cases.Actor) error {
	for {
		d, err := s.Document(t.Context(), id)
		if err != nil {
			return err
		}
		next, err := p.Apply(d, cmd, who, noon)
		if err != nil {
			return err
		}
		if err := s.PutDocument(t.Context(), &next); vw.CodeOf(err) != vw.Conflict {
			return err
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func documents(t *testing.T, s cases.Archive) {
	p, c := procedure(t), newCase("c1", 900)
	c.Assignee, c.Timeline = "", nil
	put(t, s, cases.Write{Case: &c})
	for _, cmd := range []cases.Command{{Verb: "declare"}, {Verb: "take"}, {Verb: "note", Text: "已电话联系商户，约周三到店", Mentions: []string{"zhao"}},
		{Verb: "stop", Reason: "监控显示连续空刷，先行停用"}, {Verb: "suspend", Code: "appraisal", Reason: "送检"}} {
		must(t, apply(t, s, p, "c1", cmd, li))
	}
	want, err := s.Document(t.Context(), "c1")
	must(t, err)
	w := &want.Work
	if want.Case.Revision != 6 || w.Stage != cases.Investigating || len(w.Notes) != 1 || len(w.Stops) != 1 || len(w.Approvals) != 1 || len(w.Outbox) == 0 || len(w.Clocks) == 0 {
		t.Fatalf("revision %d, %+v", want.Case.Revision, w)
	}
	wantCase(t, s, want.Case)
	same(t, "rows", []cases.Row{cases.RowOf(&want)}, rowsOf(t, s, cases.Query{Kind: cases.CaseRow}))
	again := want
	wantCode(t, "the same revision again", vw.Conflict, s.PutDocument(t.Context(), &again))
	again.Case.Revision += 2
	wantCode(t, "a revision left out", vw.Conflict, s.PutDocument(t.Context(), &again))
	_, err = s.Document(t.Context(), "none")
	wantCode(t, "no case", vw.NotFound, err)
	fresh := cases.Document{Case: newCase("c2", 1)}
	must(t, s.PutDocument(t.Context(), &fresh))
	wantCode(t, "a new case again", vw.Conflict, s.PutDocument(t.Context(), &fresh))
}

func deskKeepsWork(t *testing.T, s cases.Archive) {
	p, c := procedure(t), newCase("c1", 900)
	put(t, s, cases.Write{Case: &c})
	must(t, apply(t, s, p, "c1", cases.Command{Verb: "note", Text: "先看监控"}, li))
	before, err := s.Document(t.Context(), "c1")
	must(t, err)
	found := before.Case
	found.Revision, found.Score, found.SubsidyFen = found.Revision+1, 950, 99
	put(t, s, cases.Write{Docket: "c1", Findings: []vw.Finding{finding("f9", 1)}, Case: &found})
	after, err := s.Document(t.Context(), "c1")
	must(t, err)
	same(t, "work", before.Work, after.Work)
	same(t, "case", found, after.Case)
	same(t, "found by its text", []string{"c1"}, idsOf(t, s, cases.Query{Kind: cases.CaseRow, Text: "监控"}))
}

// people: 64 of them write notes on four cases at once, and some try what is not allowed.
func people(t *testing.T, s cases.Archive) {
	p := procedure(t)
	for i := range 4 {
		c := newCase(fmt.Sprint("c", i), 900)
		c.Timeline = nil
		put(t, s, cases.Write{Case: &c})
	}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			id, who := fmt.Sprint("c", i%4), cases.Actor{ID: fmt.Sprint("p", i), Roles: []cases.Role{cases.Investigator}}
			if err := apply(t, s, p, id, cases.Command{Verb: "note", Text: fmt.Sprint("备注 ", i)}, who); err != nil {
				t.Error(err)
			}
			if i%8 == 0 {
				err := apply(t, s, p, id, cases.Command{Verb: "close", Reason: "x"}, who)
				if vw.CodeOf(err) != vw.Forbidden {
					t.Errorf("closed by an investigator: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for i := range 4 {
		d, err := s.Document(t.Context(), fmt.Sprint("c", i))
		must(t, err)
		who, messages := map[string]bool{}, map[string]bool{}
		for _, n := range d.Work.Notes {
			who[n.By] = true
		}
		for _, m := range d.Work.Outbox {
			messages[m.ID] = true
		}
		if len(who) != 16 || d.Case.Revision != 17 || len(d.Case.Timeline) != 16 || len(messages) != len(d.Work.Outbox) || len(messages) != 16 {
			t.Errorf("case %d: %d authors, revision %d, %d lines, %d messages", i, len(who), d.Case.Revision, len(d.Case.Timeline), len(messages))
		}
	}
}

func alert(i int) cases.Alert {
	return cases.Alert{AlertID: fmt.Sprintf("f%03d", i), Campaign: "g", Group: "merchant/m/T01", Subject: vw.Subject{Kind: "merchant", ID: fmt.Sprint("m", i%3)},
		Typology: []string{"T01", "T04"}[i%2], Rules: []string{"split.session"}, Score: i * 37 % 101, Severity: []vw.Severity{"low", "high"}[i/2%2], SubsidyFen: vw.Fen(i * 100),
		At: noon.Add(time.Duration(i) * time.Minute).Format(time.RFC3339), LastAt: "2022-09-26T12:00:00+08:00", Finding: 1, State: cases.AlertNew, Revision: 1}
}

func alerts(t *testing.T, s cases.Archive) {
	a, b := alert(1), alert(2)
	late, err := s.PutAlerts(t.Context(), []cases.Alert{a, b})
	if err != nil || len(late) > 0 {
		t.Fatal(late, err)
	}
	p := procedure(t)
	b2, err := p.ApplyAlert(b, cases.Command{Verb: "dismiss", Code: "verified_normal", Text: "家庭聚餐"}, li, noon)
	must(t, err)
	c := alert(3)
	skipped := alert(4)
	skipped.Revision = 2
	late, err = s.PutAlerts(t.Context(), []cases.Alert{a, b2, c, skipped})
	must(t, err)
	same(t, "stale", []int{0, 3}, late)
	got, err := s.Alerts(t.Context(), "f003", "none", "f001", "f002", "f004")
	must(t, err)
	slices.SortFunc(got, func(x, y cases.Alert) int { return strings.Compare(x.AlertID, y.AlertID) })
	same(t, "alerts", []cases.Alert{a, b2, c}, got)
	bad := alert(5)
	bad.AlertID = "\xff"
	_, err = s.PutAlerts(t.Context(), []cases.Alert{bad})
	wantCode(t, "an id that is not UTF-8", vw.Invalid, err)
}

func rowsOf(t testing.TB, s cases.Archive, q cases.Query) (out []cases.Row) {
	t.Helper()
	for {
		r, err := s.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r.Rows...)
		if q.Cursor = r.Next; q.Cursor == "" {
			return out
		}
	}
}

func idsOf(t testing.TB, s cases.Archive, q cases.Query) (out []string) {
	t.Helper()
	for _, r := range rowsOf(t, s, q) {
		out = append(out, r.ID)
	}
	return out
}

// queue compares an archive with the one in memory, whose search is a loop over everything.
func queue(t *testing.T, s cases.Archive) {
	model, p := cases.NewMemory(), procedure(t)
	for _, x := range []cases.Archive{s, model} {
		var all []cases.Alert
		for i := range 60 {
			a := alert(i)
			if i%5 == 0 {
				a.State, a.CaseID = cases.AlertAttached, "c1"
			}
			all = append(all, a)
		}
		late, err := x.PutAlerts(t.Context(), all)
		if err != nil || len(late) > 0 {
			t.Fatal(late, err)
		}
		for i := range 30 {
			c := newCase(fmt.Sprintf("c%02d", i), i*31%97)
			c.Subject.ID, c.Assignee, c.Typologies, c.SubsidyFen = fmt.Sprint("m", i%4), "", [][]string{{"T01"}, {"T01", "T04"}, {}}[i%3], vw.Fen(i%7)
			c.Severity = []vw.Severity{"low", "medium", "high"}[i%3]
			put(t, x, cases.Write{Case: &c})
			if i%2 == 0 {
				must(t, apply(t, x, p, c.CaseID, cases.Command{Verb: "declare"}, li))
				must(t, apply(t, x, p, c.CaseID, cases.Command{Verb: "take"}, li))
			}
		}
	}
	all := []string{"state", "typology", "severity", "assignee", "track"}
	for _, q := range []cases.Query{
		{Kind: cases.AlertRow}, {Kind: cases.CaseRow},
		{Kind: cases.AlertRow, States: []cases.State{cases.AlertNew}, Sort: "subsidy"}, {Kind: cases.AlertRow, Typology: "T04", Sort: "at"},
		{Kind: cases.AlertRow, CaseID: "c1"}, {Kind: cases.AlertRow, SubjectID: "m1", Severity: "high", MinScore: 40},
		{Kind: cases.CaseRow, States: []cases.State{cases.Investigating, cases.Suspicion}, Sort: "due"}, {Kind: cases.CaseRow, Assignee: "li", Sort: "subsidy"},
		{Kind: cases.CaseRow, Typology: "T04"}, {Kind: cases.CaseRow, Pending: true, Sort: "at"}, {Kind: cases.CaseRow, DueBefore: "2022-09-25T00:00:00+08:00"},
		{Kind: cases.CaseRow, Text: "认领"}, {Kind: cases.CaseRow, SubjectID: "' OR 1=1 --"},
	} {
		for _, limit := range []int{1, 7, 100} {
			q.Limit, q.Count = limit, all
			what := fmt.Sprintf("%+v", q)
			same(t, what, rowsOf(t, model, q), rowsOf(t, s, q))
		}
		want, err1 := model.Search(t.Context(), q)
		got, err2 := s.Search(t.Context(), q)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		same(t, fmt.Sprintf("counts of %+v", q), want.Counts, got.Counts)
		if want.Total != got.Total {
			t.Errorf("%+v: total %d, want %d", q, got.Total, want.Total)
		}
	}
	for name, q := range map[string]cases.Query{"no kind": {}, "limit": {Kind: cases.CaseRow, Limit: 1001}, "sort": {Kind: cases.CaseRow, Sort: "document"},
		"count": {Kind: cases.CaseRow, Count: []string{"document"}}, "cursor": {Kind: cases.CaseRow, Cursor: "x"}, "text of alerts": {Kind: cases.AlertRow, Text: "x"},
		"text without a letter": {Kind: cases.CaseRow, Text: `"*"`}, "due": {Kind: cases.CaseRow, DueBefore: "tomorrow"}} {
		_, err := s.Search(t.Context(), q)
		wantCode(t, name, vw.Invalid, err)
	}
}

func chinese(t *testing.T, s cases.Archive) {
	p := procedure(t)
	for id, text := range map[string]string{
		"a": "高平市老街面馆十分钟内连开三单，Split orders on POS-12", "b": "加油站按金额加油，属正常", "c": "面馆老板的亲属核销",
		"d": "老", "e": "街面", "f": "split"} {
		c := newCase(id, 1)
		c.Timeline = nil
		put(t, s, cases.Write{Case: &c})
		must(t, apply(t, s, p, id, cases.Command{Verb: "note", Text: text}, li))
	}
	// A phrase does not reach from one note into the next.
	must(t, apply(t, s, p, "d", cases.Command{Verb: "note", Text: "街心"}, li))
	for query, want := range map[string]string{
		"老街": "a", "街心": "d", "面馆": "a c", "老街面馆": "a", "街面": "a e", "馆面": "", "老": "a c d", "三单": "a", "加油 正常": "b", "面馆 核销": "c",
		"SPLIT": "a f", "orders on": "a", "pos": "a", "spli": "", "pos-12": "a", "核销加油": "", "NOT 加油": "", "加*": "b"} {
		if got := strings.Join(idsOf(t, s, cases.Query{Kind: cases.CaseRow, Text: query}), " "); got != want {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
}

func auditChain(t *testing.T, s cases.Archive) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 4 {
				e := cases.Entered{At: noon.Format(time.RFC3339), Actor: fmt.Sprint("p", i), Action: "case.view", Ref: fmt.Sprint(j)}
				if _, err := s.Append(t.Context(), e, e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var texts []string
	for from := int64(1); ; {
		some, err := s.Lines(t.Context(), from, 50)
		must(t, err)
		if len(some) == 0 {
			break
		}
		texts, from = append(texts, some...), from+int64(len(some))
	}
	end, damage := cases.Verify(texts, "", "")
	if len(texts) != 128 || end.Seq != 128 || len(damage) > 0 {
		t.Errorf("%d lines, the last %d, %v", len(texts), end.Seq, damage)
	}
	for i := 0; i+1 < len(texts); i += 2 { // what is entered in one call stands together
		a, _ := cases.ReadLine(texts[i])
		b, _ := cases.ReadLine(texts[i+1])
		if a.Actor != b.Actor || a.Ref != b.Ref {
			t.Errorf("lines %d and %d are of two calls", i+1, i+2)
		}
	}
}

func records(t *testing.T, s cases.Archive) {
	one := cases.Record{Kind: "user", ID: "李", Revision: 1, Body: []byte(`{"a":1,"z":"高"}`)}
	must(t, s.PutRecord(t.Context(), one))
	wantCode(t, "again", vw.Conflict, s.PutRecord(t.Context(), one))
	late := one
	late.Revision = 3
	wantCode(t, "a revision left out", vw.Conflict, s.PutRecord(t.Context(), late))
	two := one
	two.Revision, two.Body = 2, []byte(`{}`)
	must(t, s.PutRecord(t.Context(), two))
	must(t, s.PutRecord(t.Context(), cases.Record{Kind: "user", ID: "a", Revision: 1, Body: []byte(`[]`)}))
	must(t, s.PutRecord(t.Context(), cases.Record{Kind: "users", ID: "x", Revision: 1, Body: []byte(`1`)}))
	got, err := s.Record(t.Context(), "user", "李")
	must(t, err)
	same(t, "record", two, got)
	all, err := s.Records(t.Context(), "user")
	must(t, err)
	if len(all) != 2 || all[0].ID != "a" || all[1].ID != "李" {
		t.Errorf("records %+v", all)
	}
	_, err = s.Record(t.Context(), "user", "none")
	wantCode(t, "unknown", vw.NotFound, err)
	wantCode(t, "no JSON", vw.Invalid, s.PutRecord(t.Context(), cases.Record{Kind: "user", ID: "b", Revision: 1, Body: []byte(`{`)}))
}

// hostile is what an archive must survive: names that are no mapping of an index, scripts and queries as text, what is too large.
func hostile(t *testing.T, s cases.Archive) {
	p := procedure(t)
	c := newCase("c1", 1)
	c.Timeline = nil
	put(t, s, cases.Write{Case: &c})
	texts := []string{"'; DROP TABLE cases; --", `{"script":{"source":"ctx._source.remove('x')"}}`, `{"query":{"match_all":{}}}`, "${jndi:ldap://x}", "<script>alert(1)</script>",
		`" OR "a"="a`, "_id:* AND NOT x", "\\u0000 \\", "😀👨‍👩‍👧 表情", strings.Repeat("a", 9_000), strings.Repeat("甲", 9_000), "_doc\nindex"}
	for _, text := range texts {
		must(t, apply(t, s, p, "c1", cases.Command{Verb: "note", Text: text}, li))
	}
	d, err := s.Document(t.Context(), "c1")
	must(t, err)
	for i, n := range d.Work.Notes {
		if n.Versions[0].Text != texts[i] {
			t.Errorf("note %d came back changed: %.60q", i, n.Versions[0].Text)
		}
	}
	for _, text := range texts {
		_, err := s.Search(t.Context(), cases.Query{Kind: cases.CaseRow, Text: text})
		if code := vw.CodeOf(err); code != "" && code != vw.Invalid {
			t.Errorf("search for %.40q: %v", text, err)
		}
	}
	// A body with thousands of names of fields: no archive may make a mapping of each.
	var wide strings.Builder
	for i := range 5_000 {
		fmt.Fprintf(&wide, `%s"field_%d.sub":{"x":%d}`, map[bool]string{true: ",", false: ""}[i > 0], i, i)
	}
	must(t, s.PutRecord(t.Context(), cases.Record{Kind: "view", ID: "wide", Revision: 1, Body: []byte("{" + wide.String() + "}")}))
	must(t, s.PutRecord(t.Context(), cases.Record{Kind: "view", ID: "other", Revision: 1, Body: []byte(`{"field_1.sub":"text","field_2":[1,{"a":[[]]}]}`)}))
	deep := strings.Repeat("[", 400) + strings.Repeat("]", 400)
	must(t, s.PutRecord(t.Context(), cases.Record{Kind: "view", ID: "deep", Revision: 1, Body: []byte(deep)}))
	got, err := s.Record(t.Context(), "view", "deep")
	if err != nil || string(got.Body) != deep {
		t.Errorf("a deep body came back changed: %v", err)
	}
	d.Case.Revision++
	d.Work.Source = strings.Repeat("x", cases.MaxDocument)
	wantCode(t, "a case of 8 MB", vw.Invalid, s.PutDocument(t.Context(), &d))
	wantCode(t, "a note of 10 MB", vw.Invalid, apply(t, s, p, "c1", cases.Command{Verb: "note", Text: strings.Repeat("x", 10<<20)}, li))
	wantCode(t, "a note with an escape", vw.Invalid, apply(t, s, p, "c1", cases.Command{Verb: "note", Text: "\x1b[2J"}, li))
	if _, err := p.Apply(d, cases.Command{Verb: "note", Text: "x", Mentions: make([]string, 101)}, zhao, noon); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("101 mentions: %v", err)
	}
}
