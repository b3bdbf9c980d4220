package cases_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	vw "voucherwatch"
	"voucherwatch/cases"
)

const now = "2022-09-21T10:00:00+08:00"

func desk(t testing.TB, s cases.Store, change ...func(*cases.Options)) *cases.Desk {
	t.Helper()
	o := cases.Options{Store: s, Campaign: "gaoping-2022-2", OpenAt: 600, ReopenDays: 14,
		Agencies: func(typology string) []string {
			return map[string][]string{"T01": {"YL"}, "T04": {"GA", "CZ"}}[typology]
		}}
	for _, f := range change {
		f(&o)
	}
	d, err := cases.NewDesk(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// finding is one about merchant m1 unless changed.
func finding(id, typology string, score int, fen vw.Fen, redemptions ...string) vw.Finding {
	return vw.Finding{FindingID: id, Typology: typology, Subject: vw.Subject{Kind: "merchant", ID: "m1"}, MerchantIDs: []string{"m1"},
		FirstAt: "2022-09-20T10:00:00+08:00", LastAt: "2022-09-20T12:00:00+08:00", Score: score, Severity: "medium",
		SubsidyFen: fen, RedemptionIDs: redemptions, Revision: 1}
}

func with(f vw.Finding, change func(*vw.Finding)) vw.Finding { change(&f); return f }

func revision(f vw.Finding, n, score int) vw.Finding {
	f.Revision, f.Score = n, score
	return f
}

func apply(t testing.TB, d *cases.Desk, at string, fs ...vw.Finding) []vw.Case {
	t.Helper()
	got, err := d.Apply(t.Context(), fs, at)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func all(t testing.TB, s cases.Store) []vw.Case {
	t.Helper()
	page, err := s.List(t.Context(), cases.Filter{Limit: 1000})
	if err != nil || page.Next != "" {
		t.Fatal(err, page.Next)
	}
	slices.SortFunc(page.Cases, func(a, b vw.Case) int { return strings.Compare(a.CaseID, b.CaseID) })
	return page.Cases
}

func whats(c vw.Case) string {
	var out []string
	for _, e := range c.Timeline {
		out = append(out, strings.TrimSpace(e.What+" "+e.Ref))
	}
	return strings.Join(out, ", ")
}

func TestDeskOpensACaseWithTheWholeDocket(t *testing.T) {
	s := cases.NewMemory()
	d := desk(t, s)
	if got := apply(t, d, now, finding("weak", "T04", 599, 1000, "r1")); got != nil {
		t.Fatalf("a weak finding opened %v", got)
	}
	got := apply(t, d, now, finding("strong", "T01", 600, 20000, "r2", "r3"), finding("other", "T01", 100, 500, "r3"))
	id := cases.CaseID("gaoping-2022-2", vw.Subject{Kind: "merchant", ID: "m1"}, 1)
	want := []vw.Case{{CaseID: id, Campaign: "gaoping-2022-2", Subject: vw.Subject{Kind: "merchant", ID: "m1"}, Status: "open",
		Typologies: []string{"T01", "T04"}, Agencies: []string{"CZ", "GA", "GX", "YL"}, Score: 600, Severity: "medium", SubsidyFen: 21000,
		FindingIDs: []string{"other", "strong", "weak"}, OpenedAt: now, UpdatedAt: now, DueAt: "2022-09-28T10:00:00+08:00", Revision: 1}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(vw.Case{}, "Timeline")); diff != "" {
		t.Errorf("case (-want +got):\n%s", diff)
	}
	if got, want := whats(got[0]), "opened strong, attached other, attached weak"; got != want {
		t.Errorf("timeline %q, want %q", got, want)
	}
	if id != "case-2cab61eb265b" {
		t.Errorf("case id is now %s: ids that were given out may not change", id)
	}
}

func TestDeskGroupsByTheOnlyMerchantElseBySubject(t *testing.T) {
	ring := vw.Subject{Kind: "ring", ID: "g1"}
	pair := vw.Subject{Kind: "pair", ID: "m1", With: "c1"}
	for _, tt := range []struct {
		name      string
		subject   vw.Subject
		merchants []string
		want      vw.Subject
	}{
		{"a pair with its merchant", pair, []string{"m1"}, vw.Subject{Kind: "merchant", ID: "m1"}},
		{"a ring over two", ring, []string{"m1", "m2"}, ring},
		{"a pair with no merchant named", pair, nil, pair},
	} {
		f := with(finding("f", "T01", 900, 1), func(f *vw.Finding) { f.Subject, f.MerchantIDs = tt.subject, tt.merchants })
		if got := apply(t, desk(t, cases.NewMemory()), now, f); len(got) != 1 || got[0].Subject != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestDeskNotesOnTheTimelineOnlyWhatMatters(t *testing.T) {
	s := cases.NewMemory()
	d := desk(t, s)
	f := finding("f", "T01", 700, 120_00, "r1")
	apply(t, d, now, f)
	for i, step := range []struct {
		name  string
		score int
		fen   vw.Fen
		sev   vw.Severity
		want  int // entries
		due   string
	}{
		{"a small rise", 710, 130_00, "medium", 1, "2022-09-28"},
		{"a rise creeping on", 720, 199_99, "medium", 1, "2022-09-28"},
		{"a subsidy over the next step", 720, 200_00, "medium", 2, "2022-09-28"},
		{"a higher band", 800, 200_00, "medium", 3, "2022-09-28"},
		{"a higher severity, due sooner", 800, 200_00, "critical", 4, "2022-09-22"},
		{"a fall below the line", 599, 200_00, "critical", 5, "2022-09-22"},
	} {
		g := revision(f, i+2, step.score)
		g.SubsidyFen, g.Severity = step.fen, step.sev
		got := apply(t, d, "2022-09-22T10:00:00+08:00", g)
		if len(got) != 1 || got[0].Revision != i+2 || len(got[0].Timeline) != step.want || got[0].Score != step.score || got[0].DueAt[:10] != step.due {
			t.Errorf("%s: %+v", step.name, got)
		}
		if again := apply(t, d, "2022-09-23T10:00:00+08:00", g, f); again != nil {
			t.Errorf("%s: the same again changed %+v", step.name, again)
		}
	}
}

func TestSeverityIsTheWorstOfFindingsAndPolicy(t *testing.T) {
	d := desk(t, cases.NewMemory(), func(o *cases.Options) {
		o.Severity = func(typology string, fen vw.Fen) vw.Severity {
			if typology == "T04" && fen >= 3000 {
				return "critical"
			}
			return "low"
		}
	})
	if got := apply(t, d, now, finding("a", "T01", 700, 2000, "r1")); got[0].Severity != "medium" {
		t.Errorf("severity %s, want the finding's", got[0].Severity)
	}
	if got := apply(t, d, now, finding("b", "T04", 700, 1000, "r2")); got[0].Severity != "critical" {
		t.Errorf("severity %s, want the policy's of the whole", got[0].Severity)
	}
}

func TestSubsidyCountsARedemptionOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		fs   []vw.Finding
		want vw.Fen
	}{
		{"disjoint lists add up", []vw.Finding{finding("a", "T01", 700, 1000, "1", "2"), finding("b", "T01", 700, 333, "3")}, 1333},
		{"equal lists count once", []vw.Finding{finding("a", "T01", 700, 1000, "1", "2"), finding("b", "T04", 700, 1000, "2", "1")}, 1000},
		{"a list inside another adds nothing", []vw.Finding{finding("a", "T01", 700, 900, "1"), finding("b", "T04", 700, 1000, "1", "2", "3")}, 1000},
		{"an overlap is taken off in proportion", []vw.Finding{finding("a", "T01", 700, 3000, "1", "2", "3"), finding("b", "T04", 700, 1000, "3", "4")}, 3500},
		{"never below the largest", []vw.Finding{finding("a", "T01", 700, 10, "1", "2"), finding("b", "T04", 700, 1000, "2")}, 1000},
		{"no list counts by its own sum", []vw.Finding{finding("a", "C04", 700, 5000), finding("b", "T04", 700, 1000, "2")}, 5000},
	} {
		if got := apply(t, desk(t, cases.NewMemory()), now, tt.fs...); got[0].SubsidyFen != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got[0].SubsidyFen, tt.want)
		}
	}
}

// closeCase does what the workflow will.
func closeCase(t testing.TB, s cases.Store, id, at string) vw.Case {
	t.Helper()
	c, err := s.Case(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	c.Status, c.UpdatedAt, c.Revision = cases.Closed, at, c.Revision+1
	c.Timeline = append(slices.Clone(c.Timeline), vw.TimelineEntry{At: at, Who: "王五", What: cases.WasClosed})
	if err := s.Put(t.Context(), cases.Write{Case: &c}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAfterClosing(t *testing.T) {
	const closed, soon, later = "2022-09-25T10:00:00+08:00", "2022-09-26T10:00:00+08:00", "2022-10-20T10:00:00+08:00"
	at := func(f vw.Finding, last string) vw.Finding { f.LastAt = last; return f }
	f := finding("f", "T01", 700, 150_00, "r1")
	for _, tt := range []struct {
		name   string
		reopen int // days
		in     vw.Finding
		want   string // case number (1 the first) and its status, findings
	}{
		{"the same evidence changes nothing", 14, f, ""},
		{"a revision without newer evidence changes nothing", 14, revision(f, 2, 990), ""},
		{"newer evidence of the same weight soon leaves the decision", 14, at(revision(f, 2, 710), soon), ""},
		{"newer evidence that is graver reopens soon", 14, at(revision(f, 2, 900), soon), "1 open f"},
		{"another typology reopens soon", 14, at(finding("g", "T04", 650, 10_00, "r2"), soon), "1 open f,g"},
		{"a weak finding stays in the docket", 14, at(finding("g", "T04", 599, 10_00, "r2"), soon), ""},
		{"later evidence begins a new case, of the fresh findings", 14, at(finding("g", "T01", 650, 10_00, "r2"), later), "2 open g"},
		{"later evidence of the same finding begins a new case", 14, at(revision(f, 2, 700), later), "2 open f"},
		{"with no days to reopen a new case begins at once", 0, at(revision(f, 2, 700), soon), "2 open f"},
		{"what came to light about the time before reopens", 14, finding("g", "T04", 650, 10_00, "r2"), "1 open f,g"},
		{"with no days to reopen it begins a new case", 0, finding("g", "T04", 650, 10_00, "r2"), "2 open g"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := cases.NewMemory()
			d := desk(t, s, func(o *cases.Options) { o.ReopenDays = tt.reopen })
			first := apply(t, d, now, f)[0].CaseID
			frozen := closeCase(t, s, first, closed)
			got := ""
			for _, c := range apply(t, d, later, tt.in) {
				n := "2"
				if c.CaseID == first {
					n = "1"
				} else if c.Revision != 1 {
					t.Errorf("the new case was written %d times", c.Revision)
				} else if diff := cmp.Diff(frozen, must(s.Case(t.Context(), first))); diff != "" {
					t.Errorf("the closed case changed:\n%s", diff)
				}
				got += n + " " + c.Status + " " + strings.Join(c.FindingIDs, ",")
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if again := apply(t, d, later, tt.in, f); again != nil {
				t.Errorf("the same again changed %+v", again)
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestNewDeskNamesEveryFault(t *testing.T) {
	_, err := cases.NewDesk(cases.Options{OpenAt: 1001, ReopenDays: -1, DueHours: map[vw.Severity]int{"low": 1, "hgih": 3}})
	for _, field := range []string{"store", "campaign", "open_at", "reopen_days", "due_hours.high", "due_hours: must name"} {
		if vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}

func TestApplyRefusesWithoutWriting(t *testing.T) {
	good := finding("good", "T01", 700, 1, "r")
	for name, tt := range map[string]struct {
		now string
		bad func(*vw.Finding)
	}{
		"no time":       {"yesterday", func(*vw.Finding) {}},
		"no id":         {now, func(f *vw.Finding) { f.FindingID = "" }},
		"no subject":    {now, func(f *vw.Finding) { f.Subject = vw.Subject{} }},
		"no last time":  {now, func(f *vw.Finding) { f.LastAt = "" }},
		"a wrong score": {now, func(f *vw.Finding) { f.Score = 1001 }},
	} {
		s := cases.NewMemory()
		_, err := desk(t, s).Apply(t.Context(), []vw.Finding{good, with(finding("bad", "T01", 700, 1), tt.bad)}, tt.now)
		if vw.CodeOf(err) != vw.Invalid || len(all(t, s)) != 0 {
			t.Errorf("%s: %v, %d cases", name, err, len(all(t, s)))
		}
	}
}

// randomRevisions are revisions of findings about a few subjects; a finding may come to touch a second
// merchant, and its score may fall below the line.
func randomRevisions(r *rand.Rand) (out []vw.Finding) {
	for i := range 30 {
		m := fmt.Sprint("m", r.IntN(4))
		f := finding(fmt.Sprint("f", i), fmt.Sprintf("T%02d", 1+r.IntN(4)), 0, 0)
		f.Subject, f.MerchantIDs = vw.Subject{Kind: "customer", ID: fmt.Sprint("c", r.IntN(3))}, []string{m}
		for n := range 1 + r.IntN(4) {
			f.Revision, f.Score, f.SubsidyFen = n+1, r.IntN(760), vw.Fen(r.IntN(50_000))
			f.RedemptionIDs = append(slices.Clone(f.RedemptionIDs), fmt.Sprint("r", r.IntN(40)))
			if r.IntN(6) == 0 {
				f.MerchantIDs = []string{m, "m9"}
			}
			out = append(out, f)
		}
	}
	return out
}

// lasting leaves the fields that no order may change.
func lasting(cs []vw.Case) []vw.Case {
	out := slices.Clone(cs)
	for i := range out {
		c := &out[i]
		c.Timeline, c.Revision, c.OpenedAt, c.UpdatedAt, c.DueAt = nil, 0, "", "", ""
	}
	return out
}

// deal applies the revisions in random order, parts and repetitions, until all are in.
func deal(r *rand.Rand, fs []vw.Finding, apply func([]vw.Finding)) {
	fs = slices.Concat(fs, fs[:len(fs)/2])
	r.Shuffle(len(fs), func(i, j int) { fs[i], fs[j] = fs[j], fs[i] })
	for len(fs) > 0 {
		n := 1 + r.IntN(min(9, len(fs)))
		apply(fs[:n])
		fs = fs[n:]
	}
}

func TestNeitherOrderNorPartsNorRepetitionMatter(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		fs := randomRevisions(r)
		whole := cases.NewMemory()
		apply(t, desk(t, whole), now, fs...)
		s := cases.NewMemory()
		d := desk(t, s)
		deal(r, fs, func(part []vw.Finding) { apply(t, d, now, part...) })
		if diff := cmp.Diff(lasting(all(t, whole)), lasting(all(t, s))); diff != "" {
			t.Fatalf("seed %d: cases (-whole +parts):\n%s", seed, diff)
		}
		before := all(t, s)
		if len(before) < 2 {
			t.Fatalf("seed %d: only %d cases", seed, len(before))
		}
		if got := apply(t, d, "2022-10-30T10:00:00+08:00", fs...); got != nil || !cmp.Equal(before, all(t, s)) {
			t.Fatalf("seed %d: all of it again changed %d cases", seed, len(got))
		}
	}
}

// torn is a Store whose process dies now and then: before a Put, after its findings, or after all of it.
type torn struct {
	*cases.Memory
	r *rand.Rand
}

var errDied = errors.New("died")

func (s torn) Put(ctx context.Context, w cases.Write) error {
	switch s.r.IntN(6) {
	case 0:
		return errDied
	case 1:
		if err := s.Memory.Put(ctx, cases.Write{Docket: w.Docket, Findings: w.Findings}); err != nil {
			return err
		}
		return errDied
	case 2:
		if err := s.Memory.Put(ctx, w); err != nil {
			return err
		}
		return errDied
	}
	return s.Memory.Put(ctx, w)
}

func TestADeathBetweenAnyTwoWritesIsMadeGoodByApplyingAgain(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		fs := randomRevisions(r)
		whole := cases.NewMemory()
		apply(t, desk(t, whole), now, fs...)
		s := torn{cases.NewMemory(), r}
		d := desk(t, s)
		deal(r, fs, func(part []vw.Finding) {
			for {
				if _, err := d.Apply(t.Context(), part, now); err == nil {
					return
				} else if !errors.Is(err, errDied) {
					t.Fatal(err)
				}
			}
		})
		if diff := cmp.Diff(lasting(all(t, whole)), lasting(all(t, s))); diff != "" {
			t.Fatalf("seed %d: cases (-whole +died):\n%s", seed, diff)
		}
	}
}

// slow gives other goroutines their turn between reads and writes.
type slow struct{ *cases.Memory }

func (s slow) Docket(ctx context.Context, id string) ([]vw.Finding, error) {
	defer runtime.Gosched()
	return s.Memory.Docket(ctx, id)
}

func TestManyDesksOnOneStoreLoseNothing(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		fs := randomRevisions(r)
		whole, s := cases.NewMemory(), slow{cases.NewMemory()}
		apply(t, desk(t, whole), now, fs...)
		var wg sync.WaitGroup
		for i := range 8 {
			d := desk(t, s)
			wg.Go(func() {
				for j := i; j < len(fs); j += 8 {
					if _, err := d.Apply(t.Context(), fs[j:j+1], now); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if diff := cmp.Diff(lasting(all(t, whole)), lasting(all(t, s))); diff != "" {
			t.Fatalf("seed %d: cases (-whole +many):\n%s", seed, diff)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, p := range []cases.Position{{0, "a"}, {1000, "case-2cab61eb265b"}, {7, "a:b"}, {7, "\x00高平"}} {
		f.Add(p.Cursor())
	}
	f.Add("")
	f.Add("LTE6YQ") // -1:a
	f.Add("MDE6YQ") // 01:a
	f.Fuzz(func(t *testing.T, s string) {
		p, err := cases.ParseCursor(s)
		if err != nil {
			return
		}
		if p.Cursor() != s || p.ID == "" || p.Score < 0 || p.Score > 1000 {
			t.Errorf("%q is read as %+v, which is %q", s, p, p.Cursor())
		}
	})
}

func BenchmarkApply(b *testing.B) {
	var in []vw.Finding
	for i := range 64 {
		f := finding(fmt.Sprint("f", i), "T01", 700, 1000, fmt.Sprint("r", i), fmt.Sprint("s", i))
		f.MerchantIDs = []string{fmt.Sprint("m", i%16)}
		in = append(in, f)
	}
	d := desk(b, cases.NewMemory())
	n := 0
	for b.Loop() { // every round is a new revision of every finding
		n++
		for i := range in {
			in[i].Revision, in[i].Score = n, 600+n%100
		}
		if _, err := d.Apply(b.Context(), in, now); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*len(in))/b.Elapsed().Seconds(), "findings/s")
}

func TestAClosedCaseIsNotReopenedByAnImport(t *testing.T) {
	s := cases.NewMemory()
	d := desk(t, s, func(o *cases.Options) { o.AskToReopen = true })
	first := apply(t, d, now, finding("f", "T01", 700, 150_00, "r1"))[0].CaseID
	frozen := closeCase(t, s, first, "2022-09-25T10:00:00+08:00")
	graver := with(revision(finding("f", "T01", 700, 150_00, "r1"), 2, 900), func(f *vw.Finding) { f.LastAt = "2022-09-26T10:00:00+08:00" })
	got := apply(t, d, "2022-09-27T10:00:00+08:00", graver)
	if len(got) != 1 || got[0].Status != cases.Closed || got[0].Score != frozen.Score || got[0].Timeline[len(got[0].Timeline)-1].What != cases.WasAsked {
		t.Errorf("%+v", got)
	}
	if again := apply(t, d, "2022-09-28T10:00:00+08:00", graver); again != nil {
		t.Errorf("it asks twice: %+v", again)
	}
}

func TestBeyondFiveHundredFindingsACaseTakesAllInAndSaysHowMany(t *testing.T) {
	s := cases.NewMemory()
	d := desk(t, s)
	add := func(from, to int) vw.Case {
		var fs []vw.Finding
		for i := from; i < to; i++ {
			fs = append(fs, finding(fmt.Sprintf("f%04d", i), "T01", 700, 100, fmt.Sprint("r", i)))
		}
		return apply(t, d, now, fs...)[0]
	}
	before := len(add(0, 500).Timeline)
	c := add(500, 620)
	last := c.Timeline[len(c.Timeline)-1]
	if len(c.FindingIDs) != 620 || c.SubsidyFen != 62_000 || len(c.Timeline) > before+2 || !strings.Contains(c.Timeline[before].Text.En+last.Text.En, "120 more findings attached, 620 in all") {
		t.Errorf("%d findings, %d lines, %q", len(c.FindingIDs), len(c.Timeline), last.Text.En)
	}
}
