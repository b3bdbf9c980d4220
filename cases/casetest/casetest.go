// Package casetest is the contract of cases.Store as tests. Each implementation calls Run in one line.
package casetest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	vw "voucherwatch"
	"voucherwatch/cases"
)

// Run tests a store. Open opens the store that lives in dir: a new one in an empty directory, the same
// one again in a directory that was used before. A store that implements io.Closer is taken to persist,
// and must find after Close and open what was acknowledged.
func Run(t *testing.T, open func(t testing.TB, dir string) cases.Store) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, s cases.Store)
	}{
		{"what was put is read back whole", roundTrip},
		{"an older or equal revision of a finding changes nothing", staleFinding},
		{"a case is written only over the revision before it", staleCase},
		{"an unknown id is not found", unknown},
		{"what no store accepts is invalid", refused},
		{"what Put got may be changed by the caller afterwards", ownership},
		{"a finding stays in every docket it was filed under", dockets},
		{"a list is filtered and in order", lists},
		{"any id is kept byte for byte", unusual},
		{"of 64 writers on one case none loses an update", writers},
		{"writers of the same finding leave its highest revision", findingWriters},
		{"pages of ten thousand cases neither skip nor repeat while others are written", paging},
		{"a call whose context has ended is unavailable and writes nothing", ended},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, start(t, open, t.TempDir())) })
	}
	t.Run("what was acknowledged is there after closing and opening", func(t *testing.T) { reopened(t, open) })
}

func start(t testing.TB, open func(testing.TB, string) cases.Store, dir string) cases.Store {
	s := open(t, dir)
	if c, ok := s.(io.Closer); ok {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	return s
}

func finding(id string, revision int) vw.Finding {
	return vw.Finding{FindingID: id, Typology: "T01", Subject: vw.Subject{Kind: "pair", ID: "m1", With: "c1"}, Period: "day",
		FirstAt: "2022-09-20T10:00:00+08:00", LastAt: "2022-09-20T11:00:00.5+08:00", DetectedAt: "2022-09-20T11:00:00+08:00",
		Score: 700 + revision, Severity: "high", RedemptionIDs: []string{"r1", "r2"}, SubsidyFen: math.MaxInt64, MerchantIDs: []string{"m1"},
		Reasons: []vw.Reason{{Typology: "T01", Code: "split.session", Weight: -1.25e-9, Text: vw.Bilingual{Zh: "十分钟内两单", En: "two orders in ten minutes"},
			Observed: 2, Expected: new(0.0), PValue: new(1e-300), Window: "day", Peers: "41 merchants", Evidence: []string{"r1"}}},
		PolicyVersion: "p1", BaselineVersion: "b1", Revision: revision}
}

func newCase(id string, score int) vw.Case {
	return vw.Case{CaseID: id, Campaign: "g", Subject: vw.Subject{Kind: "merchant", ID: "m1"}, Status: cases.Open, Typologies: []string{"T01"},
		Agencies: []string{"GX"}, Score: score, Severity: "high", SubsidyFen: 123, FindingIDs: []string{"f1"}, Assignee: "王五",
		OpenedAt: "2022-09-20T12:00:00+08:00", UpdatedAt: "2022-09-20T12:00:00+08:00", DueAt: "2022-09-23T12:00:00+08:00",
		Timeline: []vw.TimelineEntry{{At: "2022-09-20T12:00:00+08:00", Who: "system", What: "opened", Text: vw.Bilingual{Zh: "立案", En: "opened"}, Ref: "f1"}},
		Revision: 1}
}

func put(t testing.TB, s cases.Store, w cases.Write) {
	t.Helper()
	if err := s.Put(t.Context(), w); err != nil {
		t.Fatalf("put: %v", err)
	}
}

func same(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func wantCode(t testing.TB, what string, want vw.Code, err error) {
	t.Helper()
	if got := vw.CodeOf(err); got != want {
		t.Errorf("%s: code = %q, want %q (%v)", what, got, want, err)
	}
}

// wantFindings checks the findings by id and what a docket holds.
func wantFindings(t testing.TB, s cases.Store, docket string, want ...vw.Finding) {
	t.Helper()
	got, err := s.Docket(t.Context(), docket)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "docket", want, got)
	var ids []string
	for i := len(want) - 1; i >= 0; i-- { // asked for backwards: the order is the caller's
		ids = append(ids, want[i].FindingID)
	}
	if got, err = s.Findings(t.Context(), ids...); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(got)
	same(t, "findings", want, got)
}

func wantCase(t testing.TB, s cases.Store, want vw.Case) {
	t.Helper()
	got, err := s.Case(t.Context(), want.CaseID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "case", want, got)
}

func roundTrip(t *testing.T, s cases.Store) {
	c, f1, f2 := newCase("c1", 812), finding("f1", 1), finding("f2", 3)
	put(t, s, cases.Write{Docket: "d", Findings: []vw.Finding{f2, f1}, Case: &c})
	wantCase(t, s, c)
	wantFindings(t, s, "d", f1, f2)
}

func staleFinding(t *testing.T, s cases.Store) {
	two := finding("f1", 2)
	put(t, s, cases.Write{Docket: "d", Findings: []vw.Finding{two}})
	equal, older := finding("f1", 2), finding("f1", 1)
	equal.Score = 1
	put(t, s, cases.Write{Docket: "d", Findings: []vw.Finding{equal, older}})
	wantFindings(t, s, "d", two)
	three := finding("f1", 3)
	put(t, s, cases.Write{Docket: "d", Findings: []vw.Finding{three, older}})
	wantFindings(t, s, "d", three)
}

func staleCase(t *testing.T, s cases.Store) {
	c := newCase("c1", 500)
	early := c
	early.Revision = 2
	wantCode(t, "revision 2 of a new case", vw.Conflict, s.Put(t.Context(), cases.Write{Case: &early}))
	put(t, s, cases.Write{Case: &c})
	wantCode(t, "revision 1 again", vw.Conflict, s.Put(t.Context(), cases.Write{Case: &c}))
	second, third := c, c
	second.Revision, second.Assignee = 2, "李四"
	third.Revision = 3
	wantCode(t, "a revision left out", vw.Conflict, s.Put(t.Context(), cases.Write{Case: &third}))
	put(t, s, cases.Write{Case: &second})
	wantCode(t, "a write by who read revision 1", vw.Conflict, s.Put(t.Context(), cases.Write{Case: &second}))
	wantCase(t, s, second)
}

func unknown(t *testing.T, s cases.Store) {
	put(t, s, cases.Write{Docket: "d", Findings: []vw.Finding{finding("f1", 1)}})
	_, err := s.Case(t.Context(), "none")
	wantCode(t, "case", vw.NotFound, err)
	_, err = s.Findings(t.Context(), "f1", "none")
	wantCode(t, "findings", vw.NotFound, err)
	if none, err := s.Findings(t.Context()); err != nil || len(none) != 0 {
		t.Errorf("findings of no id = %v, %v", none, err)
	}
	wantFindings(t, s, "none")
	page, err := s.List(t.Context(), cases.Filter{})
	if err != nil || len(page.Cases) != 0 || page.Next != "" {
		t.Errorf("list of an empty store = %v, %v", page, err)
	}
}

func refused(t *testing.T, s cases.Store) {
	for name, change := range map[string]func(w *cases.Write){
		"findings without a docket":   func(w *cases.Write) { w.Docket = "" },
		"a finding without id":        func(w *cases.Write) { w.Findings[0].FindingID = "" },
		"a finding id not in UTF-8":   func(w *cases.Write) { w.Findings[0].FindingID = "\xff" },
		"a finding without revision":  func(w *cases.Write) { w.Findings[0].Revision = 0 },
		"a finding score above 1000":  func(w *cases.Write) { w.Findings[0].Score = 1001 },
		"a case without id":           func(w *cases.Write) { w.Case.CaseID = "" },
		"a case id not in UTF-8":      func(w *cases.Write) { w.Case.CaseID = "a\xc3" },
		"a case without revision":     func(w *cases.Write) { w.Case.Revision = 0 },
		"a case score below 0":        func(w *cases.Write) { w.Case.Score = -1 },
		"a status that is not a word": func(w *cases.Write) { w.Case.Status = "opened" },
	} {
		c := newCase("c1", 1)
		w := cases.Write{Docket: "d", Findings: []vw.Finding{finding("f1", 1)}, Case: &c}
		change(&w)
		wantCode(t, name, vw.Invalid, s.Put(t.Context(), w))
	}
	wantFindings(t, s, "d")
	for name, f := range map[string]cases.Filter{
		"a limit above 1000": {Limit: 1001}, "a limit below 0": {Limit: -1}, "an unknown status": {Status: "x"},
		"a score above 1000": {MinScore: 1001}, "a cursor made up": {Cursor: "x"},
	} {
		_, err := s.List(t.Context(), f)
		wantCode(t, name, vw.Invalid, err)
	}
}

func ownership(t *testing.T, s cases.Store) {
	c, f := newCase("c1", 1), finding("f1", 1)
	put(t, s, cases.Write{Docket: "d", Findings: []vw.Finding{f}, Case: &c})
	c.Typologies[0], c.FindingIDs[0], c.Agencies[0], c.Timeline[0].Who = "x", "x", "x", "x"
	f.RedemptionIDs[0], f.MerchantIDs[0], f.Reasons[0].Code, f.Reasons[0].Evidence[0] = "x", "x", "x", "x"
	*f.Reasons[0].Expected, *f.Reasons[0].PValue = 9, 9
	wantCase(t, s, newCase("c1", 1))
	wantFindings(t, s, "d", finding("f1", 1))
}

func dockets(t *testing.T, s cases.Store) {
	f1, f2 := finding("f1", 2), finding("f1", 1)
	put(t, s, cases.Write{Docket: "a", Findings: []vw.Finding{f1}})
	put(t, s, cases.Write{Docket: "b", Findings: []vw.Finding{f2}}) // stale, and filed all the same
	wantFindings(t, s, "a", f1)
	wantFindings(t, s, "b", f1)
	for id, want := range map[string][]string{"f1": {"a", "b"}, "none": nil} {
		got, err := s.Dockets(t.Context(), id)
		if err != nil {
			t.Error(err)
		}
		same(t, "dockets of "+id, want, got)
	}
}

func lists(t *testing.T, s cases.Store) {
	for i, c := range []struct {
		id, status, kind, subject, typologies string
		score                                 int
	}{
		{"b", cases.Open, "merchant", "m1", "T01 T04", 500},
		{"a", cases.Open, "merchant", "m2", "T04", 500},
		{"B", cases.Closed, "merchant", "m1", "T04", 500},
		{"d", cases.InReview, "ring", "m1", "P01", 900},
		{"e", cases.Open, "customer", "u1", "", 0},
	} {
		v := newCase(c.id, c.score)
		v.Status, v.Subject, v.Typologies = c.status, vw.Subject{Kind: c.kind, ID: c.subject}, strings.Fields(c.typologies)
		put(t, s, cases.Write{Case: &v})
		if i == 0 { // what a case was before is not found any more
			v.Revision, v.Typologies = 2, []string{"T01"}
			put(t, s, cases.Write{Case: &v})
		}
	}
	for _, tt := range []struct {
		name   string
		filter cases.Filter
		want   string
	}{
		{"all", cases.Filter{}, "d B a b e"},
		{"by status", cases.Filter{Status: cases.Open}, "a b e"},
		{"by subject", cases.Filter{SubjectKind: "merchant", SubjectID: "m1"}, "B b"},
		{"by subject kind", cases.Filter{SubjectKind: "ring"}, "d"},
		{"by subject id of any kind", cases.Filter{SubjectID: "m1"}, "d B b"},
		{"by typology", cases.Filter{Typology: "T04"}, "B a"},
		{"by a typology it still has", cases.Filter{Typology: "T01"}, "b"},
		{"by score", cases.Filter{MinScore: 500}, "d B a b"},
		{"by everything", cases.Filter{Status: cases.Open, SubjectKind: "merchant", SubjectID: "m2", Typology: "T04", MinScore: 500}, "a"},
		{"none", cases.Filter{SubjectID: "' OR 1=1 --"}, ""},
	} {
		for limit := range 6 {
			tt.filter.Limit = limit
			if got := strings.Join(walk(t, s, tt.filter), " "); got != tt.want {
				t.Errorf("%s, %d a page: %q, want %q", tt.name, limit, got, tt.want)
			}
		}
	}
}

// walk follows the cursors to the end.
func walk(t testing.TB, s cases.Store, f cases.Filter) (ids []string) {
	t.Helper()
	for {
		page, err := s.List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Cases {
			ids = append(ids, c.CaseID)
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return ids
		}
	}
}

func unusual(t *testing.T, s cases.Store) {
	ids := []string{"\x00", "a\x00b", "a", "\x1b[31m", "'", `"`, `\`, "'; DROP TABLE cases; --", "%", "_", "*", "?", ":", "a b", " a", "高平", "é", "e\u0301",
		"\U0001f9fe", "\u202e", "\ufffd", "null", "0", "00", "1e3", "A", strings.Repeat("长", 100_000)}
	for _, id := range ids {
		c, f := newCase(id, 500), finding(id, 1)
		c.Subject.ID, c.Typologies, c.FindingIDs = id, []string{id}, []string{id}
		put(t, s, cases.Write{Docket: id, Findings: []vw.Finding{f}, Case: &c})
	}
	for _, id := range ids {
		c, f := newCase(id, 500), finding(id, 1)
		c.Subject.ID, c.Typologies, c.FindingIDs = id, []string{id}, []string{id}
		wantCase(t, s, c)
		wantFindings(t, s, id, f)
		same(t, "by subject", []string{id}, walk(t, s, cases.Filter{SubjectID: id}))
		same(t, "by typology", []string{id}, walk(t, s, cases.Filter{Typology: id}))
	}
	slices.Sort(ids)
	same(t, "in byte order", ids, walk(t, s, cases.Filter{Limit: 1}))
}

func writers(t *testing.T, s cases.Store) {
	c := newCase("c1", 1)
	c.Timeline = nil
	put(t, s, cases.Write{Case: &c})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for { // until it got its line in
				c, err := s.Case(t.Context(), "c1")
				if err != nil {
					t.Error(err)
					return
				}
				c.Revision++
				c.Timeline = append(slices.Clone(c.Timeline), vw.TimelineEntry{Who: fmt.Sprint(i)})
				switch err := s.Put(t.Context(), cases.Write{Case: &c}); vw.CodeOf(err) {
				case "":
					return
				case vw.Conflict:
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	got, err := s.Case(t.Context(), "c1")
	if err != nil || got.Revision != 65 || len(got.Timeline) != 64 {
		t.Fatalf("revision %d with %d lines, %v; want 65 with 64", got.Revision, len(got.Timeline), err)
	}
	who := map[string]bool{}
	for _, e := range got.Timeline {
		who[e.Who] = true
	}
	if len(who) != 64 {
		t.Errorf("%d writers are on the timeline, want 64", len(who))
	}
}

func findingWriters(t *testing.T, s cases.Store) {
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			if err := s.Put(t.Context(), cases.Write{Docket: "d", Findings: []vw.Finding{finding("f1", i*37%64+1)}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantFindings(t, s, "d", finding("f1", 64))
}

func paging(t *testing.T, s cases.Store) {
	const n, others = 10_000, 400
	var want []string
	scores := map[string]int{}
	next := make(chan int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range next {
				c := vw.Case{CaseID: fmt.Sprintf("a-%05d", i), Score: i * 7919 % 1001 / 50, Status: cases.Open, Revision: 1}
				if err := s.Put(t.Context(), cases.Write{Case: &c}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		id := fmt.Sprintf("a-%05d", i)
		want, scores[id] = append(want, id), i*7919%1001/50
		next <- i
	}
	close(next)
	wg.Wait()
	slices.SortFunc(want, func(a, b string) int { return cmp.Or(scores[b]-scores[a], strings.Compare(a, b)) })
	var written atomic.Int64
	wg.Go(func() {
		for i := range others { // before, between and after those that are looked at
			c := vw.Case{CaseID: fmt.Sprintf("%c-%05d", "09Zbz"[i%5], i), Score: i % 21, Status: cases.Open, Revision: 1}
			if err := s.Put(t.Context(), cases.Write{Case: &c}); err != nil {
				t.Error(err)
			}
			written.Add(1)
		}
	})
	got := walk(t, s, cases.Filter{Limit: 97})
	during := written.Load()
	wg.Wait()
	mine := slices.DeleteFunc(slices.Clone(got), func(id string) bool { return !strings.HasPrefix(id, "a-") })
	if !slices.Equal(mine, want) {
		t.Errorf("%d cases seen, want %d in order", len(mine), len(want))
	}
	slices.Sort(got)
	if len(slices.Compact(got)) != len(got) {
		t.Error("a case was seen twice")
	}
	if during == 0 {
		t.Log("no case was written while the pages were read")
	}
}

func ended(t *testing.T, s cases.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := newCase("c1", 1)
	wantCode(t, "put", vw.Unavailable, s.Put(ctx, cases.Write{Docket: "d", Findings: []vw.Finding{finding("f1", 1)}, Case: &c}))
	_, err := s.Case(ctx, "c1")
	wantCode(t, "case", vw.Unavailable, err)
	_, err = s.Findings(ctx, "f1")
	wantCode(t, "findings", vw.Unavailable, err)
	_, err = s.Docket(ctx, "d")
	wantCode(t, "docket", vw.Unavailable, err)
	_, err = s.Dockets(ctx, "f1")
	wantCode(t, "dockets", vw.Unavailable, err)
	_, err = s.List(ctx, cases.Filter{})
	wantCode(t, "list", vw.Unavailable, err)
	_, err = s.Case(t.Context(), "c1")
	wantCode(t, "case afterwards", vw.NotFound, err)
}

func reopened(t *testing.T, open func(testing.TB, string) cases.Store) {
	dir := t.TempDir()
	s := open(t, dir)
	closer, ok := s.(io.Closer)
	if !ok {
		return // a store that is not closed keeps nothing
	}
	c, f := newCase("c1", 812), finding("f1", 1)
	put(t, s, cases.Write{Docket: "d", Findings: []vw.Finding{f}, Case: &c})
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, open, dir)
	wantCase(t, s, c)
	wantFindings(t, s, "d", f)
	same(t, "list", []string{"c1"}, walk(t, s, cases.Filter{Typology: "T01"}))
	wantCode(t, "the same write again", vw.Conflict, s.Put(t.Context(), cases.Write{Case: &c}))
}
