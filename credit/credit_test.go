package credit_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
	"voucherwatch/credit"
	"voucherwatch/credit/credittest"
)

func TestMemory(t *testing.T) {
	stores := map[string]credit.Store{}
	credittest.Run(t, func(t *testing.T) credit.Store {
		if stores[t.Name()] == nil {
			stores[t.Name()] = credit.NewMemory()
		}
		return stores[t.Name()]
	})
}

func TestCodesAreCheckedByTheStandard(t *testing.T) {
	for _, tt := range []struct {
		code                string
		form, check, inside bool
		suggestion          string
	}{
		{"914403001922038216", true, true, true, ""},
		{"9144030071526726XG", true, true, true, ""},
		{"91440300708461136T", true, true, true, ""},
		{"91110000802100433B", true, true, true, ""},
		{"91330100799655058B", true, true, true, ""},
		{"91350200MA2YJ1XR9G", true, true, true, ""},
		{"123502001549897397", true, true, true, ""},
		{"92140581MA0LTE029Y", true, true, true, ""},
		{" 91330203674737244w", true, true, true, ""},
		{"９１３３０２０３６７４７３７２４４Ｗ", true, true, true, ""},
		{"9133 0203 6747 3724 4W", true, true, true, ""},
		{"91350203M0001QAY9B", true, false, true, ""},
		{"91350211M00013FA1N", true, false, true, ""},
		{"9144O3001922038216", false, false, false, "914403001922038216"},
		{"91440300I922038216", false, false, false, "914403001922038216"},
		{"91440300192203821", false, false, false, ""},
		{"9144030019220382160", false, false, false, ""},
		{"91AA0300192203821X", false, false, false, ""},
		{"91440300192203821S", false, false, false, ""},
		{"", false, false, false, ""},
	} {
		u := credit.ParseUSCC(tt.code)
		if u.Form != tt.form || u.Check != tt.check || u.Suggestion != tt.suggestion || u.Form && u.Check && u.Organisation != tt.inside {
			t.Errorf("%q: %+v, want form %v, check %v, suggestion %q", tt.code, u, tt.form, tt.check, tt.suggestion)
		}
	}
	// One character put wrong is always found.
	const good, alphabet = "914403001922038216", "0123456789ABCDEFGHJKLMNPQRTUWXY"
	for i := range good {
		for _, c := range alphabet {
			if bad := good[:i] + string(c) + good[i+1:]; bad != good && credit.ParseUSCC(bad).Check {
				t.Errorf("%s passes", bad)
			}
		}
	}
	vectors(t)
}

// vectors are collected from public text; they lie outside the repository and are read where they are.
func vectors(t *testing.T) {
	f, err := os.Open("/work/shared/data/uscc_vectors/uscc_vectors.csv.gz")
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows[1:] {
		if u := credit.ParseUSCC(r[0]); u.Check != (r[1] == "1") || string(u.Expected) != r[2] {
			t.Errorf("%s (%s): %+v, want check %s, digit %s", r[0], r[3], u, r[1], r[2])
		}
	}
	t.Logf("%d vectors", len(rows)-1)
}

// office is a desk over a proposal and its grounds.
type office struct {
	*credit.Desk
	t     *testing.T
	gate  credit.Fixed
	store *credit.Memory
}

func newOffice(t *testing.T) *office {
	t.Helper()
	rules, err := credit.LoadRules("")
	if err != nil {
		t.Fatal(err)
	}
	o := &office{t: t, gate: credit.Fixed{}, store: credit.NewMemory()}
	if o.Desk, err = credit.NewDesk(credit.Desk{Rules: rules, Store: o.store, Gate: o.gate}); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *office) ground(p *credit.Proposal, g credit.Grounds) {
	if o.gate[p.Case] == nil {
		o.gate[p.Case] = map[credit.Tier]credit.Grounds{}
	}
	o.gate[p.Case][p.Tier] = g
}

// enter lists the n-th merchant.
func (o *office) enter(tier credit.Tier, n int) credit.Entry {
	o.t.Helper()
	p := credittest.Proposal(tier, n)
	o.ground(&p, credittest.Grounds(&p))
	e, err := o.Enter(o.t.Context(), p, credittest.Now)
	if err != nil {
		o.t.Fatal(err)
	}
	return e
}

// TestNobodyIsListedWithoutEveryGate takes one thing away at a time, and then everything.
func TestNobodyIsListedWithoutEveryGate(t *testing.T) {
	both, record, exclusion := []credit.Tier{credit.Record, credit.Exclusion}, []credit.Tier{credit.Record}, []credit.Tier{credit.Exclusion}
	for _, tt := range []struct {
		name  string
		tiers []credit.Tier
		take  func(p *credit.Proposal, g *credit.Grounds)
		gate  string
		want  string
	}{
		{"no name", both, func(p *credit.Proposal, _ *credit.Grounds) { p.Party.Name = " " }, "party", "has no name"},
		{"a natural person", both, func(p *credit.Proposal, _ *credit.Grounds) { p.Party.Kind = "person" }, "party", "never natural persons"},
		{"nobody identified", record, func(p *credit.Proposal, _ *credit.Grounds) { p.Party.USCC = "" }, "party", "not identified"},
		{"a code of 17 characters", both, func(p *credit.Proposal, _ *credit.Grounds) { p.Party.USCC = p.Party.USCC[:17] }, "party", "18 characters"},
		{"a code in lower case", both, func(p *credit.Proposal, _ *credit.Grounds) { p.Party.USCC = "91330203674737244w" }, "party", "write the code as 91330203674737244W"},
		{"a wrong check digit and nobody asked the registry", record, func(p *credit.Proposal, _ *credit.Grounds) { p.Party.USCC = "91350203M0001QAY9B" }, "party", "look"},
		{"no merchant id", exclusion, func(p *credit.Proposal, _ *credit.Grounds) { p.Party.MerchantID = "" }, "party", "cannot take effect"},
		{"no facts", both, func(p *credit.Proposal, _ *credit.Grounds) { p.Deed = credit.Deed{} }, "basis", "what was done"},
		{"a deed of tomorrow", both, func(p *credit.Proposal, _ *credit.Grounds) { p.Deed.To = "2022-10-21" }, "basis", "what was done"},
		{"a rule that came later", both, func(p *credit.Proposal, _ *credit.Grounds) { p.Basis.From = "2022-09-23" }, "basis", "not in force"},
		{"a rule that had ended", both, func(p *credit.Proposal, _ *credit.Grounds) { p.Basis.To = "2022-09-29" }, "basis", "not in force"},
		{"the plan as the basis of a credit record", record, func(p *credit.Proposal, _ *credit.Grounds) { p.Basis.For = credit.Exclusion }, "basis", "does not authorise this list"},
		{"the word 失信 for an exclusion", exclusion, func(p *credit.Proposal, _ *credit.Grounds) { p.Measure = "列入失信名单" }, "basis", "does not speak of dishonesty"},
		{"no instrument", both, func(p *credit.Proposal, _ *credit.Grounds) { p.Instrument.Number = "" }, "instrument", "number, authority or date"},
		{"an office's decision for a credit record", record, func(p *credit.Proposal, _ *credit.Grounds) { p.Instrument.Kind = credit.Decision }, "instrument", "penalty decision, judgment or ruling"},
		{"an instrument without effect", record, func(p *credit.Proposal, _ *credit.Grounds) { p.Instrument.Effective = "2022-12-17" }, "instrument", "no legal effect yet"},
		{"an instrument not served", both, func(p *credit.Proposal, _ *credit.Grounds) { p.Instrument.Served = "" }, "instrument", "not been served"},
		{"no authority", record, func(p *credit.Proposal, _ *credit.Grounds) { p.Instrument.AuthorityUSCC = "" }, "instrument", "authority's code"},
		{"no notice", both, func(_ *credit.Proposal, g *credit.Grounds) { g.Notice = credit.Notice{} }, "notice", "not recorded as served"},
		{"a notice after the decision", both, func(_ *credit.Proposal, g *credit.Grounds) {
			g.Notice.Served, g.Notice.ReplyBy = "2022-10-16", "2022-10-18"
		}, "notice", "came after the decision"},
		{"time to reply is left", both, func(_ *credit.Proposal, g *credit.Grounds) { g.Reply, g.Notice.ReplyBy = credit.Reply{}, "2022-10-20" }, "reply", "time to reply is not over"},
		{"a reply that nobody reviewed", both, func(_ *credit.Proposal, g *credit.Grounds) { g.Reply.Reviewed = credit.Review{} }, "reply", "not been reviewed"},
		{"a reply that nobody answered", both, func(_ *credit.Proposal, g *credit.Grounds) { g.Reply.Answered = "" }, "reply", "not been answered"},
		{"nothing about a hearing", record, func(_ *credit.Proposal, g *credit.Grounds) { g.Hearing = "" }, "hearing", "not recorded"},
		{"no legal review", record, func(_ *credit.Proposal, g *credit.Grounds) { g.Legal = credit.Review{} }, "legal_review", "no legal review"},
		{"the proposer as legal reviewer", record, func(p *credit.Proposal, g *credit.Grounds) { g.Legal.By = p.Proposer }, "legal_review", "is the proposer"},
		{"the city was not asked", record, func(p *credit.Proposal, _ *credit.Grounds) { p.Basis.CityConsent = true }, "city_consent", "has not agreed"},
		{"nothing about an appeal", both, func(_ *credit.Proposal, g *credit.Grounds) { g.Appeal.State = "" }, "appeal", "not recorded"},
		{"an instrument that was overturned", both, func(_ *credit.Proposal, g *credit.Grounds) { g.Appeal.State = "overturned" }, "appeal", "was overturned"},
		{"no end", both, func(p *credit.Proposal, _ *credit.Grounds) { p.End = "" }, "term", "beginning and end"},
		{"before the decision", both, func(p *credit.Proposal, _ *credit.Grounds) { p.Start = "2022-10-14" }, "term", "begins before the decision"},
		{"four years", both, func(p *credit.Proposal, _ *credit.Grounds) { p.End = "2026-10-15" }, "term", "lasts longer than"},
		{"one approval", both, func(_ *credit.Proposal, g *credit.Grounds) { g.Approvals = g.Approvals[:1] }, "approvals", "two people must approve it as it stands; 1 have"},
		{"one person twice", both, func(_ *credit.Proposal, g *credit.Grounds) { g.Approvals[1].By = g.Approvals[0].By }, "approvals", "1 have"},
		{"the proposer approves", both, func(p *credit.Proposal, g *credit.Grounds) { g.Approvals[1].By = p.Proposer }, "approvals", "approved their own"},
		{"an approval of tomorrow", both, func(_ *credit.Proposal, g *credit.Grounds) { g.Approvals[1].At = credittest.Now.Add(time.Hour) }, "approvals", "1 have"},
		{"changed after the approvals", both, func(p *credit.Proposal, _ *credit.Grounds) { p.End = "2022-11-30" }, "approvals", "2 approvals are of another content"},
	} {
		for _, tier := range tt.tiers {
			t.Run(tt.name+"/"+string(tier), func(t *testing.T) {
				o := newOffice(t)
				p := credittest.Proposal(tier, 1)
				g := credittest.Grounds(&p)
				old := p.Hash()
				tt.take(&p, &g)
				if tt.name != "changed after the approvals" { // the approvals are of what is proposed
					for i := range g.Approvals {
						if g.Approvals[i].Payload == old {
							g.Approvals[i].Payload = p.Hash()
						}
					}
				}
				o.ground(&p, g)
				_, err := o.Enter(t.Context(), p, credittest.Now)
				refusal, ok := errors.AsType[*credit.Refusal](err)
				if !ok || vw.CodeOf(err) != vw.Invalid {
					t.Fatalf("%v, want a refusal", err)
				}
				for _, m := range refusal.Missing {
					if m.Gate != tt.gate {
						t.Errorf("another gate: %s: %s", m.Gate, m.Text.En)
					}
				}
				if !strings.Contains(refusal.Error(), tt.want) {
					t.Errorf("%v, want %q", refusal, tt.want)
				}
				if head, _ := o.store.Head(t.Context()); head != 0 {
					t.Error("it was written all the same")
				}
			})
		}
	}
	t.Run("nothing at all", func(t *testing.T) {
		o := newOffice(t)
		p := credit.Proposal{Tier: credit.Record, Case: "case-1"}
		o.ground(&p, credit.Grounds{})
		_, err := o.Enter(t.Context(), p, credittest.Now)
		refusal, _ := errors.AsType[*credit.Refusal](err)
		var gates []string
		for _, m := range refusal.Missing {
			gates = append(gates, m.Gate)
		}
		slices.Sort(gates)
		if diff := cmp.Diff([]string{"appeal", "approvals", "basis", "hearing", "instrument", "legal_review", "notice", "party", "reply", "term"}, slices.Compact(gates)); diff != "" {
			t.Errorf("gates (-want +got):\n%s", diff)
		}
	})
}

func TestAGoodProposalIsListedOnce(t *testing.T) {
	o := newOffice(t)
	for _, tier := range []credit.Tier{credit.Record, credit.Exclusion} {
		e := o.enter(tier, 1)
		if again := o.enter(tier, 1); again.Revision != 1 || again.ID != e.ID {
			t.Errorf("entered twice: %+v", again)
		}
	}
	if head, _ := o.store.Head(t.Context()); head != 2 {
		t.Errorf("%d writes, want 2", head)
	}
	other := credittest.Proposal(credit.Record, 1)
	other.End = "2022-11-15"
	o.ground(&other, credittest.Grounds(&other))
	if _, err := o.Enter(t.Context(), other, credittest.Now); vw.CodeOf(err) != vw.Conflict {
		t.Errorf("another proposal about the same instrument: %v", err)
	}
	unknown := credittest.Proposal(credit.Record, 2)
	if _, err := o.Enter(t.Context(), unknown, credittest.Now); vw.CodeOf(err) != vw.NotFound {
		t.Errorf("a case that is not there: %v", err)
	}
}

func TestAWrongCheckDigitWarnsAndAsksForTheRegistry(t *testing.T) {
	o := newOffice(t)
	p := credittest.Proposal(credit.Record, 1)
	p.Party.USCC, p.Party.RegistryChecked = "91350203M0001QAY9B", &credit.Review{By: "李四", On: "2022-10-10"}
	g := credittest.Grounds(&p)
	g.Appeal = credit.Appeal{State: "reconsideration", Since: "2022-10-18", Number: "晋复〔2022〕1号"}
	o.ground(&p, g)
	e, err := o.Enter(t.Context(), p, credittest.Now)
	if err != nil || len(e.Warnings) != 2 || !strings.Contains(e.Warnings[0], "should be 9: look it up") || !strings.Contains(e.Warnings[1], "复议") {
		t.Errorf("%v, %v", e.Warnings, err)
	}
}

func TestTheTwoListsNeverMix(t *testing.T) {
	o := newOffice(t)
	a, b := o.enter(credit.Exclusion, 1), o.enter(credit.Record, 1)
	if a.ID == b.ID || strings.Contains(credit.RowOf(&a).Label, "失信") || credit.RowOf(&a).Label == credit.RowOf(&b).Label {
		t.Errorf("%s %s", a.ID, b.ID)
	}
	// Grounds of the one are no grounds of the other.
	p := credittest.Proposal(credit.Record, 5)
	x := credittest.Proposal(credit.Exclusion, 5)
	o.ground(&x, credittest.Grounds(&x))
	if _, err := o.Enter(t.Context(), p, credittest.Now); vw.CodeOf(err) != vw.NotFound {
		t.Errorf("an exclusion's approvals let a credit record in: %v", err)
	}
	if !a.Excluded("m000001", "2022-10-20") || a.Excluded("m000001", "2023-01-01") || a.Excluded("m000001", "2022-10-14") || a.Excluded("m000002", "2022-10-20") || b.Excluded("m000001", "2022-10-20") {
		t.Error("who is excluded when")
	}
}

func revocation() credit.Revocation {
	return credit.Revocation{Reason: "复议决定撤销处罚", Number: "晋复〔2022〕1号", Decided: credittest.Now.Add(24 * time.Hour), By: "孙八", Second: "周九"}
}

func TestARevocationMustBeKnownWithinThreeWorkingDays(t *testing.T) {
	o := newOffice(t)
	e := o.enter(credit.Record, 1)
	now := credittest.Now.Add(48 * time.Hour)
	r := revocation() // decided on Friday 2022-10-21
	for range 2 {
		got, err := o.Revoke(t.Context(), e.ID, r, now)
		if err != nil || got.State != credit.Revoked || got.Revision != 2 || got.Ended.TellBy.Format(time.RFC3339) != "2022-10-26T23:59:59+08:00" {
			t.Fatalf("%+v, %v", got.Ended, err)
		}
		if row := credit.RowOf(&got); row.Name != "" || row.USCC != "" || row.EndedOn != "2022-10-22" || row.State != credit.Revoked {
			t.Errorf("the row still says who it was: %+v", row)
		}
	}
	r.Number = "another"
	if _, err := o.Revoke(t.Context(), e.ID, r, now); vw.CodeOf(err) != vw.Conflict {
		t.Errorf("revoked again: %v", err)
	}
	for name, bad := range map[string]func(r *credit.Revocation){
		"alone": func(r *credit.Revocation) { r.Second = r.By }, "without reason": func(r *credit.Revocation) { r.Reason = "" },
		"without number": func(r *credit.Revocation) { r.Number = "" }, "tomorrow's": func(r *credit.Revocation) { r.Decided = now.Add(time.Hour) },
	} {
		r := revocation()
		bad(&r)
		if _, err := o.Revoke(t.Context(), o.enter(credit.Record, 2).ID, r, now); vw.CodeOf(err) != vw.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEntriesExpireAfterTheirLastDay(t *testing.T) {
	o := newOffice(t)
	short, long := o.enter(credit.Exclusion, 1), o.enter(credit.Record, 2) // until 2022-12-31 and 2023-10-15
	lastDay := time.Date(2022, 12, 31, 23, 59, 0, 0, credittest.Now.Location())
	if ids, err := o.Expire(t.Context(), lastDay); err != nil || len(ids) != 0 {
		t.Errorf("on the last day: %v, %v", ids, err)
	}
	for i, want := range [][]string{{short.ID}, nil} {
		if ids, err := o.Expire(t.Context(), lastDay.Add(time.Hour)); err != nil || !cmp.Equal(ids, want) {
			t.Errorf("run %d on the day after: %v, %v", i+1, ids, err)
		}
	}
	if e, err := o.store.Entry(t.Context(), long.ID); err != nil || e.State != credit.InForce {
		t.Errorf("the other: %s, %v", e.State, err)
	}
}

func TestAnObjectionIsSeenAtOnceAndDecidedBySomebodyNew(t *testing.T) {
	o := newOffice(t)
	e := o.enter(credit.Record, 1)
	now := credittest.Now.Add(48 * time.Hour)
	got, err := o.Object(t.Context(), e.ID, credit.Objection{By: "高平市第1面馆", Text: "处罚对象不是本店", Entered: "张三"}, now)
	if err != nil || !got.Disputed() || !credit.RowOf(&got).Disputed {
		t.Fatalf("%+v, %v", got.Objections, err)
	}
	id := got.Objections[0].ID
	for _, who := range []string{"", "张三", "李四", "王五", "赵六", "钱七"} { // proposer, approvers, who reviewed the reply, legal
		r := revocation()
		r.By = who
		if _, err := o.Decide(t.Context(), e.ID, id, "rejected", r, now); vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), "had no part") {
			t.Errorf("reviewer %q: %v", who, err)
		}
	}
	if _, err := o.Decide(t.Context(), e.ID, "none", "rejected", revocation(), now); vw.CodeOf(err) != vw.NotFound {
		t.Errorf("no such objection: %v", err)
	}
	if got, err = o.Decide(t.Context(), e.ID, id, "rejected", revocation(), now); err != nil || got.Disputed() || got.State != credit.InForce {
		t.Fatalf("%+v, %v", got.Objections, err)
	}
	if _, err := o.Decide(t.Context(), e.ID, id, "upheld", revocation(), now); vw.CodeOf(err) != vw.Conflict {
		t.Errorf("decided again: %v", err)
	}
	if got, err = o.Object(t.Context(), e.ID, credit.Objection{By: "高平市第1面馆", Text: "已经复议撤销", Entered: "张三"}, now); err != nil {
		t.Fatal(err)
	}
	alone := revocation()
	alone.Second = ""
	if _, err := o.Decide(t.Context(), e.ID, got.Objections[1].ID, "upheld", alone, now); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("upheld by one person: %v", err)
	}
	if got, err = o.Decide(t.Context(), e.ID, got.Objections[1].ID, "upheld", revocation(), now); err != nil || got.State != credit.Revoked || got.Ended.TellBy.IsZero() || got.Disputed() {
		t.Errorf("%+v, %v", got.Ended, err)
	}
	if _, err := o.Object(t.Context(), e.ID, credit.Objection{By: "x", Text: "y", Entered: "z"}, now); vw.CodeOf(err) != vw.Conflict {
		t.Errorf("against what is gone: %v", err)
	}
}

func TestARepairNeedsEverythingAndTime(t *testing.T) {
	later := time.Date(2023, 1, 15, 9, 0, 0, 0, credittest.Now.Location()) // three months after the start
	good := credit.Repair{Applied: later.Add(-48 * time.Hour), Decided: later, Performed: true, Removed: true, NoRepeat: true, Reviewer: "孙八", Second: "周九", Approved: true, Reason: "已履行", Number: "修〔2023〕1号"}
	for _, tt := range []struct {
		name   string
		change func(r *credit.Repair, now *time.Time)
		want   string
	}{
		{"not performed", func(r *credit.Repair, _ *time.Time) { r.Performed = false }, "all must hold"},
		{"repeated", func(r *credit.Repair, _ *time.Time) { r.NoRepeat = false }, "all must hold"},
		{"too early", func(r *credit.Repair, now *time.Time) {
			*now = now.Add(-24 * time.Hour)
			r.Applied, r.Decided = now.Add(-time.Hour), *now
		}, "less than 3 months"},
		{"by an approver", func(r *credit.Repair, _ *time.Time) { r.Reviewer = "李四" }, "had no part"},
		{"alone", func(r *credit.Repair, _ *time.Time) { r.Second = "孙八" }, "another person"},
		{"without number", func(r *credit.Repair, _ *time.Time) { r.Number = "" }, "number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t)
			e := o.enter(credit.Record, 1)
			r, now := good, later
			tt.change(&r, &now)
			if _, err := o.Restore(t.Context(), e.ID, r, now); vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	o := newOffice(t)
	e := o.enter(credit.Record, 1)
	refused := good
	refused.Approved, refused.Performed, refused.Reason = false, false, "罚款未缴清"
	if got, err := o.Restore(t.Context(), e.ID, refused, later); err != nil || got.State != credit.InForce || len(got.Repairs) != 1 {
		t.Fatalf("refused: %+v, %v", got.Repairs, err)
	}
	if got, err := o.Restore(t.Context(), e.ID, good, later); err != nil || got.State != credit.Repaired || len(got.Repairs) != 2 || got.Ended.TellBy.Before(later) {
		t.Errorf("%+v, %v", got.Ended, err)
	}
}

func TestAnAppealIsNoted(t *testing.T) {
	o := newOffice(t)
	e := o.enter(credit.Record, 1)
	a := credit.Appeal{State: "litigation", Since: "2022-10-22", Number: "（2022）晋0581行初7号"}
	for range 2 {
		if got, err := o.SetAppeal(t.Context(), e.ID, a); err != nil || got.Revision != 2 || got.Grounds.Appeal != a {
			t.Fatalf("%+v, %v", got.Grounds.Appeal, err)
		}
	}
	if _, err := o.SetAppeal(t.Context(), e.ID, credit.Appeal{State: "litigation"}); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("without number: %v", err)
	}
}

func TestRulesAreDatedAndStrict(t *testing.T) {
	good := string(credit.Default())
	for _, tt := range []struct{ name, old, new, want string }{
		{"an unknown list", "tier: credit_record", "tier: blacklist", `terms[1].tier: is "blacklist": use activity_exclusion, credit_record`},
		{"without a source", ", source: 总局令第45号第十一条；行政处罚法第四十八条（三日内撤回）", "", "revoke[0].source: is missing"},
		{"an endless term", "months: 36", "months: 999", "terms[1].months: is 999: want 1 to 120"},
		{"the wrong way round", "to: 2023-04-30", "to: 2017-04-30", "repair[0].to: is 2017-04-30, before from"},
		{"no zone", `zone: "+08:00"`, `zone: Beijing`, `zone: is "Beijing"`},
	} {
		if _, err := credit.ParseRules("r.yaml", []byte(strings.Replace(good, tt.old, tt.new, 1))); vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestSignaturesAreVerifiedByAnotherProgram(t *testing.T) {
	_, ed, sm, err := credit.GenerateSigner("gaoping-2022", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := credit.NewSigner("gaoping-2022", ed, sm)
	if err != nil {
		t.Fatal(err)
	}
	message, err := credit.Canonical(map[string]any{"名称": "高平市老王面馆", "b": 1.0, "a": []int{3, 2}})
	if err != nil || string(message) != `{"a":[3,2],"b":1,"名称":"高平市老王面馆"}` {
		t.Fatalf("%s, %v", message, err)
	}
	sig, err := s.Sign(message)
	if err != nil {
		t.Fatal(err)
	}
	edPub, smPub, err := s.Public()
	if err != nil {
		t.Fatal(err)
	}
	v, err := credit.NewVerifier(edPub, smPub)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(message, sig); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]credit.Signature{
		"another Ed25519": {Ed25519: base64.StdEncoding.EncodeToString(make([]byte, 64)), SM2: sig.SM2}, "another SM2": {Ed25519: sig.Ed25519, SM2: base64.StdEncoding.EncodeToString([]byte("x"))}, "no base64": {Ed25519: "?", SM2: "?"},
	} {
		if v.Verify(message, bad) == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if v.Verify(append(message, ' '), sig) == nil {
		t.Error("a changed message is taken")
	}
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		return // where there is one, it must agree
	}
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	raw := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	msg, changed := file("msg", message), file("changed", bytes.Replace(message, []byte("王"), []byte("李"), 1))
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"Ed25519", []string{"pkeyutl", "-verify", "-pubin", "-inkey", file("ed.pem", edPub), "-rawin", "-sigfile", file("ed.sig", raw(sig.Ed25519))}},
		{"SM2 with SM3", []string{"pkeyutl", "-verify", "-pubin", "-inkey", file("sm.pem", smPub), "-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678", "-sigfile", file("sm.sig", raw(sig.SM2))}},
	} {
		if out, err := exec.Command(openssl, append(tt.args, "-in", msg)...).CombinedOutput(); err != nil || !strings.Contains(string(out), "Verified Successfully") {
			t.Errorf("openssl says of %s: %s %v", tt.name, out, err)
		}
		if out, err := exec.Command(openssl, append(tt.args, "-in", changed)...).CombinedOutput(); err == nil {
			t.Errorf("openssl takes %s of another message: %s", tt.name, out)
		}
	}
	// And the other way: keys that openssl made are read.
	var pems [][]byte
	for _, algorithm := range []string{"ed25519", "SM2"} {
		out, err := exec.Command(openssl, "genpkey", "-algorithm", algorithm).Output()
		if err != nil {
			t.Fatal(err)
		}
		pems = append(pems, out)
	}
	if _, err := credit.NewSigner("k", pems[0], pems[1]); err != nil {
		t.Errorf("keys of openssl: %v", err)
	}
	if _, err := credit.NewSigner("", pems[1], []byte("x")); vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), "openssl genpkey") {
		t.Errorf("wrong keys: %v", err)
	}
}

func TestSentInMemory(t *testing.T) {
	s := credit.NewSent()
	credittest.RunOutbox(t, func(*testing.T) credit.Outbox { return s })
}

func FuzzUSCC(f *testing.F) {
	for _, s := range []string{"914403001922038216", "９１３３０２０３６７４７３７２４４Ｗ", "9144O3001922038216", "", "\xff", "91440300192203821\u3000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u := credit.ParseUSCC(s)
		if again := credit.ParseUSCC(u.Code); again != u {
			t.Errorf("%q reads %+v, and its code %+v", s, u, again)
		}
		if u.Check && (!u.Form || len(u.Code) != 18) || u.Suggestion != "" && !credit.ParseUSCC(u.Suggestion).Check {
			t.Errorf("%q: %+v", s, u)
		}
	})
}
