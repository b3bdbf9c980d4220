//go:build integration

package elastic_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	vw "voucherwatch"
	"voucherwatch/cases"
	"voucherwatch/cases/elastic"
	"voucherwatch/cases/sqlite"
)

func procedure(t testing.TB) *cases.Procedure {
	t.Helper()
	p, err := cases.LoadProcedure("", nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var noon = time.Date(2022, 9, 26, 12, 0, 0, 0, cases.Zone)

func numbered(i, revision int) vw.Finding {
	m := fmt.Sprint("m", i%7)
	return vw.Finding{FindingID: fmt.Sprint("f", i), Typology: []string{"T01", "T04", "T10"}[i%3], Subject: vw.Subject{Kind: "merchant", ID: m}, MerchantIDs: []string{m},
		FirstAt: "2022-09-20T10:00:00+08:00", LastAt: "2022-09-20T12:00:00+08:00", DetectedAt: fmt.Sprintf("2022-%02d-20T12:00:00+08:00", 9+i%2),
		Score: 500 + (i*37+revision)%400, Severity: "high", RedemptionIDs: []string{fmt.Sprint("r", i)}, SubsidyFen: vw.Fen(i), Revision: revision}
}

// workload is what a desk and some people do, recorded: the same steps for every archive.
func workload(t testing.TB, s cases.Archive) {
	t.Helper()
	p := procedure(t)
	desk, err := cases.NewDesk(cases.Options{Store: s, Campaign: "g", OpenAt: 600, AskToReopen: true, ReopenDays: 14})
	if err != nil {
		t.Fatal(err)
	}
	people := []cases.Actor{{ID: "li", Roles: []cases.Role{cases.Investigator}}, {ID: "zhao", Roles: []cases.Role{cases.Supervisor}}, {ID: "sun", Roles: []cases.Role{cases.LegalReviewer}}}
	for round := range 12 {
		var in []vw.Finding
		for i := range 10 {
			in = append(in, numbered(round*5+i, 1+round%3))
		}
		changed, err := desk.Apply(t.Context(), in, noon.Add(time.Duration(round)*time.Hour).Format(time.RFC3339))
		if err != nil {
			t.Fatal(err)
		}
		if err := cases.RaiseAll(t.Context(), s, "g", in, changed); err != nil {
			t.Fatal(err)
		}
		for n, c := range changed {
			for i, cmd := range []cases.Command{{Verb: "declare"}, {Verb: "take"}, {Verb: "note", Text: fmt.Sprint("第", round, "轮核查，商户说明已收")}, {Verb: "stop", Reason: "监控显示连续空刷，先行停用"},
				{Verb: "suspend", Code: "appraisal", Reason: "送检"}, {Verb: "close", Reason: "不许"}} {
				d, err := s.Document(t.Context(), c.CaseID)
				if err != nil {
					t.Fatal(err)
				}
				next, err := p.Apply(d, cmd, people[(n+i/4)%3], noon.Add(time.Duration(round*10+i)*time.Hour))
				if err != nil {
					continue // refused: the same everywhere
				}
				if err := s.PutDocument(t.Context(), &next); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Append(t.Context(), cases.Entered{At: noon.Format(time.RFC3339), Actor: "li", Action: "case.view", CaseID: c.CaseID}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestOneWorkloadLeavesTheSameInSQLiteAndElasticsearch compares them document by document.
func TestOneWorkloadLeavesTheSameInSQLiteAndElasticsearch(t *testing.T) {
	e := open(t, t.TempDir())
	q, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "cases.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	workload(t, q)
	workload(t, e)
	compared := 0
	same := func(what string, a, b any, err1, err2 error) {
		t.Helper()
		compared++
		if diff := cmp.Diff(a, b, cmpopts.EquateEmpty()); diff != "" || err1 != nil || err2 != nil {
			t.Errorf("%s: %v %v (-sqlite +elasticsearch):\n%s", what, err1, err2, diff)
		}
	}
	ctx := t.Context()
	page, err := q.List(ctx, cases.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	other, err := e.List(ctx, cases.Filter{Limit: 1000})
	same("list", page, other, nil, err)
	for _, c := range page.Cases {
		a, err1 := q.Document(ctx, c.CaseID)
		b, err2 := e.Document(ctx, c.CaseID)
		same("document "+c.CaseID, a, b, err1, err2)
		fs, err1 := q.Docket(ctx, c.CaseID)
		gs, err2 := e.Docket(ctx, c.CaseID)
		same("docket "+c.CaseID, fs, gs, err1, err2)
		for _, f := range fs {
			x, err1 := q.Dockets(ctx, f.FindingID)
			y, err2 := e.Dockets(ctx, f.FindingID)
			same("dockets of "+f.FindingID, x, y, err1, err2)
			m, err1 := q.Alerts(ctx, f.FindingID)
			n, err2 := e.Alerts(ctx, f.FindingID)
			same("alert "+f.FindingID, m, n, err1, err2)
		}
	}
	for _, query := range []cases.Query{{Kind: cases.CaseRow}, {Kind: cases.AlertRow}, {Kind: cases.CaseRow, Text: "核查 商户"}, {Kind: cases.CaseRow, Sort: "due", Pending: true},
		{Kind: cases.AlertRow, Sort: "subsidy", Typology: "T04", Limit: 5}} {
		query.Count = []string{"state", "typology", "severity", "assignee", "track"}
		a, err1 := q.Search(ctx, query)
		b, err2 := e.Search(ctx, query)
		same(fmt.Sprintf("%+v", query), a, b, err1, err2)
	}
	a, err1 := q.Lines(ctx, 1, 1000)
	b, err2 := e.Lines(ctx, 1, 1000)
	same("audit log", a, b, err1, err2)
	if len(page.Cases) < 7 || compared < 100 {
		t.Errorf("%d cases, %d comparisons: the workload is too small", len(page.Cases), compared)
	}
	t.Logf("%d documents compared", compared)
}

// TestANodeThatIsKilledInTheMiddleLosesNothingAcknowledged: writers of cases, of findings and of the audit log go on while the node is
// killed twice and started again on its data.
func TestANodeThatIsKilledInTheMiddleLosesNothingAcknowledged(t *testing.T) {
	s, p := open(t, t.TempDir()), procedure(t)
	if node == nil {
		t.Fatal("the node is not ours to kill")
	}
	const writers, each, casesN = 16, 24, 4
	for i := range casesN {
		d := cases.Document{Case: vw.Case{CaseID: fmt.Sprint("c", i), Campaign: "g", Subject: vw.Subject{Kind: "merchant", ID: "m"}, Status: cases.Open, OpenedAt: "2022-09-26T10:00:00+08:00", Revision: 1}}
		if err := s.PutDocument(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
	}
	var acknowledged, conflicts atomic.Int64
	done := make(chan struct{}, writers*each)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			who, left := cases.Actor{ID: fmt.Sprint("p", w), Roles: []cases.Role{cases.Investigator}}, each
			defer func() { // who gives up lets the test come to its end
				for range left {
					done <- struct{}{}
				}
			}()
			for n := range each {
				id := fmt.Sprint("c", (w+n)%casesN)
				for {
					d, err := s.Document(t.Context(), id)
					if err != nil {
						t.Error(err)
						return
					}
					next, err := p.Apply(d, cases.Command{Verb: "note", Text: fmt.Sprintf("w%d n%d", w, n)}, who, noon)
					if err != nil {
						t.Error(err)
						return
					}
					err = s.PutDocument(t.Context(), &next)
					if vw.CodeOf(err) == vw.Conflict {
						conflicts.Add(1)
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					acknowledged.Add(1)
					break
				}
				if err := s.Put(t.Context(), cases.Write{Docket: "d", Findings: []vw.Finding{numbered(w*each+n, 1)}}); err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Append(t.Context(), cases.Entered{At: noon.Format(time.RFC3339), Actor: who.ID, Action: "case.view", Ref: fmt.Sprint(n)}); err != nil {
					t.Error(err)
					return
				}
				left--
				done <- struct{}{}
			}
		})
	}
	for range 2 {
		for range writers * each / 3 {
			<-done
		}
		if err := node.Kill(); err != nil {
			t.Error(err)
		}
		if err := node.Again(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	notes := 0
	for i := range casesN {
		d, err := s.Document(t.Context(), fmt.Sprint("c", i))
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, n := range d.Work.Notes {
			text := n.By + n.Versions[0].Text
			if seen[text] {
				t.Errorf("%s was written twice", text)
			}
			seen[text] = true
		}
		notes += len(seen)
		if d.Case.Revision != 1+len(seen) || len(d.Work.Outbox) != len(seen) {
			t.Errorf("case %d: revision %d, %d notes, %d messages", i, d.Case.Revision, len(seen), len(d.Work.Outbox))
		}
	}
	filed, err := s.Docket(t.Context(), "d")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := s.Lines(t.Context(), 1, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	if _, damage := cases.Verify(lines, "", ""); len(damage) > 0 {
		t.Errorf("audit log: %v", damage)
	}
	if notes != writers*each || int(acknowledged.Load()) != notes || len(filed) != writers*each || len(lines) < writers*each {
		t.Errorf("%d acknowledged, %d notes, %d findings, %d lines; want %d of each", acknowledged.Load(), notes, len(filed), len(lines), writers*each)
	}
	t.Logf("%d writes acknowledged over two kills, %d conflicts met and resolved, %d audit lines", notes, conflicts.Load(), len(lines))
}

func TestIndicesAreMadeCheckedMigratedAndPruned(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	faults := func(s *elastic.Store) (out []string) {
		t.Helper()
		states, err := s.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range states {
			if x.Fault != "" {
				out = append(out, x.Index+" "+x.Fault)
			}
		}
		return out
	}
	if f := faults(s); len(f) > 0 {
		t.Fatalf("fresh: %v", f)
	}
	workload(t, s)
	before, err := s.Search(t.Context(), cases.Query{Kind: cases.CaseRow, Count: []string{"state"}})
	if err != nil {
		t.Fatal(err)
	}
	lines, err := s.Lines(t.Context(), 1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	newer := elastic.AtSchema(s, 2)
	if f := faults(newer); len(f) < 6 || !strings.Contains(f[0], "index migrate") {
		t.Errorf("an old schema: %v", f)
	}
	// People go on while the indices move: they wait, and lose nothing.
	p, wrote := procedure(t), 0
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			d, err := s.Document(context.Background(), before.Rows[0].ID)
			if err == nil {
				d, err = p.Apply(d, cases.Command{Verb: "note", Text: fmt.Sprint("n", wrote)}, cases.Actor{ID: "wang", Roles: []cases.Role{cases.Investigator}}, noon)
			}
			if err == nil {
				err = s.PutDocument(context.Background(), &d)
			}
			switch vw.CodeOf(err) {
			case "":
				wrote++
			case vw.Conflict:
			default:
				ended <- err
				return
			}
		}
	}()
	if err := newer.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if f := faults(newer); len(f) > 0 {
		t.Errorf("migrated: %v", f)
	}
	if f := faults(s); len(f) == 0 || !strings.Contains(strings.Join(f, " "), "newer program") {
		t.Errorf("the old program does not see it: %v", f)
	}
	after, err := newer.Search(t.Context(), cases.Query{Kind: cases.CaseRow, Count: []string{"state"}})
	if err != nil || after.Total != before.Total || cmp.Diff(before.Counts, after.Counts) != "" {
		t.Errorf("%d cases before, %d after: %v", before.Total, after.Total, err)
	}
	d, err := newer.Document(t.Context(), before.Rows[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	mine := 0
	for _, n := range d.Work.Notes {
		if n.By == "wang" {
			mine++
		}
	}
	if mine != wrote || wrote == 0 {
		t.Errorf("%d notes acknowledged, %d there", wrote, mine)
	}
	now, err := newer.Lines(t.Context(), 1, 1000)
	if err != nil || cmp.Diff(lines, now) != "" {
		t.Errorf("the audit log changed: %v", err)
	}
	gone, err := newer.Prune(t.Context(), time.Date(2023, 4, 15, 0, 0, 0, 0, cases.Zone), 6, 60, true)
	if err != nil || len(gone) != 1 || !strings.HasSuffix(gone[0], "-findings-v2-2022.09") {
		t.Errorf("to be pruned: %v, %v", gone, err)
	}
	if _, err := newer.Prune(t.Context(), noon, 1, 1, true); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("a retention below the law's: %v", err)
	}
	missing, err := elastic.Open(elastic.Options{URLs: []string{url}, Prefix: "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	fresh := cases.Document{Case: vw.Case{CaseID: "c", Status: cases.Open, Revision: 1}}
	if err := missing.PutDocument(t.Context(), &fresh); vw.CodeOf(err) != vw.Invalid && vw.CodeOf(err) != vw.NotFound || !strings.Contains(err.Error(), "index create") {
		t.Errorf("without indices: %v", err)
	}
}
