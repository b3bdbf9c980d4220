package cases_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
	"voucherwatch/cases"
)

// The people of the tests. Each has one role, and nobody knows the merchant.
var (
	li    = cases.Actor{ID: "li", Roles: []cases.Role{cases.Investigator}}
	wang  = cases.Actor{ID: "wang", Roles: []cases.Role{cases.Investigator}}
	zhao  = cases.Actor{ID: "zhao", Roles: []cases.Role{cases.Supervisor}}
	qian  = cases.Actor{ID: "qian", Roles: []cases.Role{cases.Supervisor}}
	sun   = cases.Actor{ID: "sun", Roles: []cases.Role{cases.LegalReviewer}}
	audit = cases.Actor{ID: "audit", Roles: []cases.Role{cases.Auditor}}
	root  = cases.Actor{ID: "root", Roles: []cases.Role{cases.Administrator}}
)

// monday is a working day of September 2022, at ten.
var monday = time.Date(2022, 9, 26, 10, 0, 0, 0, cases.Zone)

func procedure(t testing.TB) *cases.Procedure {
	t.Helper()
	p, err := cases.LoadProcedure("", nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fresh is a case as the Desk opens it.
func freshCase(subsidy vw.Fen) cases.Document {
	return cases.Document{Case: vw.Case{CaseID: "case-1", Campaign: "g", Subject: vw.Subject{Kind: "merchant", ID: "m1"}, Status: cases.Open,
		Typologies: []string{"T01"}, Agencies: []string{"GX"}, Score: 900, Severity: "high", SubsidyFen: subsidy, FindingIDs: []string{"f1"},
		OpenedAt: monday.Format(time.RFC3339), DueAt: monday.Add(24 * time.Hour).Format(time.RFC3339), Revision: 1}}
}

// office runs commands on one case.
type office struct {
	t   testing.TB
	p   *cases.Procedure
	doc cases.Document
	now time.Time
}

func (o *office) do(who cases.Actor, cmd cases.Command) {
	o.t.Helper()
	next, err := o.p.Apply(o.doc, cmd, who, o.now)
	if err != nil {
		o.t.Fatalf("%s by %s: %v", cmd.Verb, who.ID, err)
	}
	o.doc = next
}

// refused checks that a command is refused for a reason and leaves the case alone.
func (o *office) refused(reason string, code vw.Code, who cases.Actor, cmd cases.Command) {
	o.t.Helper()
	before, _ := json.Marshal(o.doc)
	next, err := o.p.Apply(o.doc, cmd, who, o.now)
	var r *cases.Refusal
	if !errors.As(err, &r) || r.Reason != reason || vw.CodeOf(err) != code {
		o.t.Fatalf("%s by %s: %v with code %q, want %s (%s)", cmd.Verb, who.ID, err, vw.CodeOf(err), reason, code)
	}
	after, _ := json.Marshal(next)
	if string(before) != string(after) {
		o.t.Errorf("%s changed the case although it was refused", cmd.Verb)
	}
}

// approve agrees to the open approval, as whoever has seen the papers.
func (o *office) approve(who ...cases.Actor) {
	o.t.Helper()
	for _, a := range who {
		p := o.pending()
		o.do(a, cases.Command{Verb: "approve", Target: p.ID, Hash: p.Hash.SHA256})
	}
}

func (o *office) pending() cases.Approval {
	o.t.Helper()
	for _, a := range o.doc.Work.Approvals {
		if a.Open() {
			return a
		}
	}
	o.t.Fatal("nothing waits for approval")
	return cases.Approval{}
}

func (o *office) stage(want cases.State) {
	o.t.Helper()
	if got := o.doc.Work.Stage; got != want {
		o.t.Fatalf("stage %q, want %q", got, want)
	}
}

const because = "经核查，小票与收银流水一致，理由充分。"

func newOffice(t testing.TB, subsidy vw.Fen) *office {
	return &office{t: t, p: procedure(t), doc: freshCase(subsidy), now: monday}
}

// toReview takes the case of li to review with frozen evidence.
func (o *office) toReview(outcome string) {
	o.t.Helper()
	o.do(li, cases.Command{Verb: "declare"})
	o.do(li, cases.Command{Verb: "take"})
	o.do(li, cases.Command{Verb: "add_evidence", Evidence: &cases.Evidence{Kind: cases.FrozenEvidence, Title: "固定", Type: "application/json", Bytes: 2, Hash: cases.DigestOf([]byte("{}"))}})
	for _, task := range o.doc.Work.Tasks {
		o.do(li, cases.Command{Verb: "finish_task", Target: task.ID, Text: "已核"})
	}
	o.do(li, cases.Command{Verb: "assess", Typology: "T01", Code: "proven", Text: "同一笔消费拆成三单", Refs: []string{"ev-1"}})
	o.do(li, cases.Command{Verb: "submit", Code: outcome})
	o.stage(cases.InReviewStage)
}

func (o *office) toConfirmed() {
	o.t.Helper()
	o.toReview("confirmed")
	o.do(wang, cases.Command{Verb: "technical_review", Text: "数据来源与算法版本已核"})
	o.do(li, cases.Command{Verb: "confirm", Reason: because})
	o.approve(zhao, sun)
	o.stage(cases.Confirmed)
}

// toExecuting takes the case to its measures: until is the end of an exclusion, empty for none.
func (o *office) toExecuting(measures ...cases.MeasureDraft) {
	o.t.Helper()
	o.toConfirmed()
	o.do(li, cases.Command{Verb: "propose_measures", Measures: measures})
	for _, e := range o.doc.Work.Entries {
		o.do(li, cases.Command{Verb: "file_gates", Target: e.ID, Gates: &cases.Gates{USCC: "91140581MA0GXX01X8", Minimised: true}})
	}
	o.do(li, cases.Command{Verb: "notify", Notice: &cases.Notice{Number: "高专告〔2022〕1号", ServedAt: o.now.Format(time.RFC3339), Hash: cases.DigestOf([]byte("n"))}})
	o.approve(zhao)
	o.do(li, cases.Command{Verb: "waive", Reason: "书面放弃"})
	o.do(zhao, cases.Command{Verb: "decide", Reason: because})
	for _, r := range o.pending().Roles {
		o.approve(map[cases.Role]cases.Actor{cases.Supervisor: qian, cases.LegalReviewer: sun}[r])
	}
	o.stage(cases.Approved)
	o.do(li, cases.Command{Verb: "execute"})
	o.stage(cases.Executing)
}

func TestACaseFromSuspicionToItsEnd(t *testing.T) {
	o := newOffice(t, 1000_00)
	o.toExecuting(cases.MeasureDraft{Kind: "disqualify", Article: "公告第七条", Until: "2023-09-30"}, cases.MeasureDraft{Kind: "recover", Article: "协议第四条", AmountFen: 1000_00})
	o.refused("measures", vw.Conflict, zhao, cases.Command{Verb: "close", Reason: "办结"})
	o.do(li, cases.Command{Verb: "publish", Target: "case-1/e-1", Reason: because})
	o.approve(zhao)
	o.do(li, cases.Command{Verb: "in_force", Target: "m-1", Reason: "回执 1"})
	o.do(li, cases.Command{Verb: "in_force", Target: "m-2", Reason: "回执 2"})
	o.do(li, cases.Command{Verb: "complete", Target: "m-2", Reason: "已缴 1000 元"})
	o.refused("told", vw.Conflict, zhao, cases.Command{Verb: "close", Reason: "办结"})
	o.do(li, cases.Command{Verb: "told", Text: "已当面告知"})
	o.do(zhao, cases.Command{Verb: "close", Reason: "办结"})
	o.stage(cases.ClosedStage)
	if o.doc.Case.Status != cases.Closed || o.doc.Work.Entries[0].State != cases.EntryPublished {
		t.Errorf("status %s, entry %s", o.doc.Case.Status, o.doc.Work.Entries[0].State)
	}
	var kinds []string
	for i, m := range o.doc.Work.Outbox {
		kinds = append(kinds, m.Kind)
		if slices.ContainsFunc(o.doc.Work.Outbox[:i], func(x cases.Message) bool { return x.ID == m.ID }) {
			t.Errorf("message id %s is given twice", m.ID)
		}
	}
	for _, kind := range []string{cases.AuditMessage, cases.VerdictMessage, cases.MeasureMessage, cases.ListMessage, cases.PartyMessage} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("no %s message in %v", kind, kinds)
		}
	}
	o.refused("closed", vw.Conflict, li, cases.Command{Verb: "note", Text: "补记"})
	o.refused("new_fact", vw.Invalid, li, cases.Command{Verb: "reopen", Reason: because})
	o.do(li, cases.Command{Verb: "reopen", Reason: because, Refs: []string{"新账册"}})
	o.stage(cases.ClosedStage)
	o.refused("self_approval", vw.Forbidden, li, cases.Command{Verb: "approve", Target: o.pending().ID, Hash: o.pending().Hash.SHA256})
	o.approve(qian)
	o.stage(cases.Reopened)
}

// TestOnlyTheTablesTransitionsExist tries every verb at every stage as everybody: what the table does not list is refused, and
// nothing but a listed row ever changes a stage.
func TestOnlyTheTablesTransitionsExist(t *testing.T) {
	p := procedure(t)
	everybody := cases.Actor{ID: "all", Roles: append(slices.Clone(cases.Roles), cases.System)}
	stages := []cases.State{cases.Suspicion, cases.Investigating, cases.Suspended, cases.InReviewStage, cases.Returned, cases.Refuted, cases.Inconclusive,
		cases.Confirmed, cases.PenaltyProposed, cases.Notified, cases.Approved, cases.Executing, cases.ClosedStage, cases.Reopened}
	for _, row := range cases.Table() {
		if row.Machine != cases.CaseMachine || len(row.From) == 0 {
			continue
		}
		for _, stage := range stages {
			doc := freshCase(1)
			doc.Work.Stage = stage
			_, err := p.Apply(doc, cases.Command{Verb: row.Verb}, everybody, monday)
			var r *cases.Refusal
			wrong := errors.As(err, &r) && r.Reason == "wrong_stage" && vw.CodeOf(err) == vw.Conflict
			if listed := slices.Contains(row.From, stage); listed == wrong {
				t.Errorf("%s at %s: %v", row.Verb, stage, err)
			}
		}
	}
	doc := freshCase(1)
	if _, err := p.Apply(doc, cases.Command{Verb: "conjure"}, everybody, monday); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("an unknown verb: %v", err)
	}
}

func TestOnlyTheTablesRolesMay(t *testing.T) {
	p := procedure(t)
	for _, row := range cases.Table() {
		if row.Machine != cases.CaseMachine {
			continue
		}
		doc := freshCase(1)
		if len(row.From) > 0 {
			doc.Work.Stage = row.From[0]
		}
		for _, role := range append(slices.Clone(cases.Roles), cases.System) {
			_, err := p.Apply(doc, cases.Command{Verb: row.Verb}, cases.Actor{ID: "x", Roles: []cases.Role{role}}, monday)
			var r *cases.Refusal
			refused := errors.As(err, &r) && r.Reason == "wrong_role" && vw.CodeOf(err) == vw.Forbidden
			if listed := slices.Contains(row.Roles, role); listed == refused {
				t.Errorf("%s by %s: %v", row.Verb, role, err)
			}
		}
	}
}

// TestNobodyApprovesTheirOwn is the rule of four eyes over every pair of people, roles and deputies.
func TestNobodyApprovesTheirOwn(t *testing.T) {
	ids := []string{"li", "a", "b"}
	var people []cases.Actor
	for _, id := range ids {
		for mask := range 1 << len(cases.Roles) {
			a := cases.Actor{ID: id}
			for i, r := range cases.Roles {
				if mask>>i&1 == 1 {
					a.Roles = append(a.Roles, r)
				}
			}
			if len(a.Roles) > 2 {
				continue
			}
			for _, deputy := range append([]string{""}, ids...) {
				if b := a; deputy != id {
					if deputy != "" {
						b.StandsFor = []string{deputy}
					}
					people = append(people, b)
				}
			}
		}
	}
	o := newOffice(t, 1000_00)
	o.toReview("refuted")
	agreed, tried := 0, 0
	for _, proposer := range people {
		if !slices.ContainsFunc(proposer.Roles, func(r cases.Role) bool {
			return r == cases.Investigator || r == cases.Supervisor || r == cases.LegalReviewer
		}) || len(proposer.Roles) > 1 {
			continue
		}
		proposed, err := o.p.Apply(o.doc, cases.Command{Verb: "refute", Reason: because}, proposer, o.now)
		if err != nil {
			t.Fatal(err)
		}
		a := proposed.Work.Approvals[len(proposed.Work.Approvals)-1]
		for _, approver := range people {
			tried++
			done, err := o.p.Apply(proposed, cases.Command{Verb: "approve", Target: a.ID, Hash: a.Hash.SHA256}, approver, o.now)
			same := approver.ID == proposer.ID || slices.Contains(approver.StandsFor, proposer.ID) || slices.Contains(proposer.StandsFor, approver.ID) ||
				slices.ContainsFunc(proposer.StandsFor, func(id string) bool { return slices.Contains(approver.StandsFor, id) })
			author := approver.ID == "li" || slices.Contains(approver.StandsFor, "li")
			may := !same && !author && slices.Contains(approver.Roles, cases.Supervisor)
			switch {
			case err == nil && !may:
				t.Fatalf("%+v approved what %+v proposed", approver, proposer)
			case err != nil && may:
				t.Fatalf("%+v could not approve what %+v proposed: %v", approver, proposer, err)
			case err == nil:
				agreed++
				if done.Work.Stage != cases.Refuted {
					t.Fatalf("stage %s", done.Work.Stage)
				}
				if _, err := o.p.Apply(done, cases.Command{Verb: "approve", Target: a.ID, Hash: a.Hash.SHA256}, approver, o.now); vw.CodeOf(err) != vw.Conflict {
					t.Fatalf("an approval was used twice: %v", err)
				}
			case vw.CodeOf(err) != vw.Forbidden:
				t.Fatalf("%v", err)
			}
		}
	}
	if agreed == 0 || tried < 5_000 {
		t.Errorf("%d of %d agreed: the test is empty", agreed, tried)
	}
}

func TestAnApprovalIsForThePapersAsTheyWere(t *testing.T) {
	o := newOffice(t, 1000_00)
	o.toReview("refuted")
	o.do(li, cases.Command{Verb: "refute", Reason: because})
	first := o.pending()
	o.refused("stale_payload", vw.Conflict, zhao, cases.Command{Verb: "approve", Target: first.ID, Hash: strings.Repeat("0", 64)})
	o.refused("already_proposed", vw.Conflict, li, cases.Command{Verb: "refute", Reason: because})
	o.do(li, cases.Command{Verb: "add_evidence", Evidence: &cases.Evidence{Kind: cases.Attachment, Title: "小票", Type: "image/png", Bytes: 3, Hash: cases.DigestOf([]byte("png"))}})
	o.refused("stale_payload", vw.Conflict, zhao, cases.Command{Verb: "approve", Target: first.ID, Hash: first.Hash.SHA256})
	o.do(li, cases.Command{Verb: "refute", Reason: because})
	o.refused("approval_void", vw.Conflict, zhao, cases.Command{Verb: "approve", Target: first.ID, Hash: first.Hash.SHA256})
	second := o.pending()
	o.now = o.now.Add(121 * time.Hour)
	o.refused("approval_expired", vw.Conflict, zhao, cases.Command{Verb: "approve", Target: second.ID, Hash: second.Hash.SHA256})
	o.do(li, cases.Command{Verb: "refute", Reason: because})
	o.do(zhao, cases.Command{Verb: "reject", Target: o.pending().ID, Reason: "再核一遍"})
	o.stage(cases.InReviewStage)
}

func TestTheQuorumGrowsWithTheMoney(t *testing.T) {
	o := newOffice(t, 5000_00)
	o.toReview("refuted")
	o.do(li, cases.Command{Verb: "refute", Reason: because})
	o.approve(zhao)
	o.stage(cases.InReviewStage)
	o.refused("wrong_role", vw.Forbidden, qian, cases.Command{Verb: "approve", Target: o.pending().ID, Hash: o.pending().Hash.SHA256})
	o.refused("self_approval", vw.Forbidden, zhao, cases.Command{Verb: "approve", Target: o.pending().ID, Hash: o.pending().Hash.SHA256})
	o.approve(sun)
	o.stage(cases.Refuted)
}

func TestWhoHasTwoRolesSaysInWhichOneTheyAgree(t *testing.T) {
	both := cases.Actor{ID: "chen", Roles: []cases.Role{cases.Supervisor, cases.LegalReviewer}}
	o := newOffice(t, 5000_00)
	o.toReview("refuted")
	o.do(li, cases.Command{Verb: "refute", Reason: because})
	a := o.pending()
	o.refused("wrong_role", vw.Forbidden, both, cases.Command{Verb: "approve", Target: a.ID, Hash: a.Hash.SHA256, Code: "investigator"})
	o.do(both, cases.Command{Verb: "approve", Target: a.ID, Hash: a.Hash.SHA256, Code: "legal_reviewer"})
	o.approve(zhao)
	o.stage(cases.Refuted)
}

func TestARefutedCaseReleasesItsMerchantInTheSameWrite(t *testing.T) {
	o := newOffice(t, 1000_00)
	o.do(li, cases.Command{Verb: "stop", Reason: "监控显示连续空刷，先行停用"})
	o.do(zhao, cases.Command{Verb: "confirm_stop", Target: "case-1/s-1", Reason: "同意"})
	o.toReview("refuted")
	o.do(li, cases.Command{Verb: "refute", Reason: because})
	before := len(o.doc.Work.Outbox)
	o.approve(zhao)
	if s := o.doc.Work.Stops[0]; s.Ended != "refuted" || s.InForce(o.now) {
		t.Errorf("the stop is still in force: %+v", s)
	}
	var kinds []string
	for _, m := range o.doc.Work.Outbox[before:] {
		kinds = append(kinds, m.Kind)
	}
	if diff := cmp.Diff([]string{cases.StopMessage, cases.VerdictMessage, cases.AuditMessage}, kinds); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if !strings.Contains(string(o.doc.Work.Outbox[before+1].Body), `"verdict":"benign"`) {
		t.Errorf("verdict: %s", o.doc.Work.Outbox[before+1].Body)
	}
}

func TestAStopOfOnePersonEndsAfterADay(t *testing.T) {
	o := newOffice(t, 1)
	o.do(li, cases.Command{Verb: "stop", Reason: "监控显示连续空刷，先行停用"})
	if !slices.ContainsFunc(o.doc.Work.Outbox, func(m cases.Message) bool {
		return m.Kind == cases.NotifyMessage && slices.Contains(m.To, string(cases.Supervisor))
	}) {
		t.Error("the supervisor was not told")
	}
	self := cases.Actor{ID: "li", Roles: []cases.Role{cases.Supervisor}}
	o.refused("self_approval", vw.Forbidden, self, cases.Command{Verb: "confirm_stop", Target: "case-1/s-1", Reason: "同意"})
	o.now = o.now.Add(24*time.Hour - time.Second)
	if !o.doc.Work.Stops[0].InForce(o.now) {
		t.Error("the stop ended early")
	}
	o.now = o.now.Add(time.Second)
	if o.doc.Work.Stops[0].InForce(o.now) {
		t.Error("the stop did not end")
	}
	next, changed, err := o.p.Tick(o.doc, o.now)
	if err != nil || !changed || next.Work.Stops[0].Ended != "expired" {
		t.Fatalf("tick: %v %v %+v", changed, err, next.Work.Stops)
	}
	if again, changed, err := o.p.Tick(next, o.now); err != nil || changed || again.Case.Revision != next.Case.Revision {
		t.Errorf("a second tick did something: %v %v", changed, err)
	}
	o.refused("ended", vw.Conflict, zhao, cases.Command{Verb: "confirm_stop", Target: "case-1/s-1", Reason: "同意"})
}

func TestAConfirmedStopLastsUntilItIsLifted(t *testing.T) {
	o := newOffice(t, 1)
	o.do(li, cases.Command{Verb: "stop", Reason: "监控显示连续空刷，先行停用"})
	o.do(zhao, cases.Command{Verb: "confirm_stop", Target: "case-1/s-1", Reason: "同意"})
	o.now = o.now.Add(100 * time.Hour)
	next, _, err := o.p.Tick(o.doc, o.now)
	if err != nil || !next.Work.Stops[0].InForce(o.now) {
		t.Errorf("%+v %v", next.Work.Stops, err)
	}
	o.do(li, cases.Command{Verb: "lift_stop", Target: "case-1/s-1", Reason: "已核实正常"})
	if o.doc.Work.Stops[0].InForce(o.now) {
		t.Error("it was not lifted")
	}
}

// TestNobodyTookTheCaseInTime: the desk's due time is a clock like any other, with its warnings and its breach.
func TestNobodyTookTheCaseInTime(t *testing.T) {
	o := newOffice(t, 1)
	var told []string
	for hour := range 40 {
		next, _, err := o.p.Tick(o.doc, o.now.Add(time.Duration(hour)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range next.Work.Outbox[len(o.doc.Work.Outbox):] {
			if m.Kind == cases.NotifyMessage {
				told = append(told, fmt.Sprint(hour, " ", m.To))
			}
		}
		o.doc = next
	}
	if diff := cmp.Diff([]string{"12 [supervisor]", "20 [supervisor]", "24 [supervisor]"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	o.do(li, cases.Command{Verb: "declare"})
	o.do(li, cases.Command{Verb: "take"})
	if o.doc.Work.Clocks[0].StoppedAt == "" {
		t.Error("the clock goes on although somebody took the case")
	}
}

func TestTheTracksNeverMix(t *testing.T) {
	o := newOffice(t, 1000_00)
	o.toConfirmed()
	for kind, m := range o.p.Measures {
		draft := cases.MeasureDraft{Kind: kind, Article: "条", AmountFen: 1, Until: "2023-09-30"}
		if m.Track == cases.TrackB {
			o.refused("wrong_track", vw.Conflict, li, cases.Command{Verb: "propose_measures", Measures: []cases.MeasureDraft{draft}})
		}
	}
	if _, err := o.p.Statutory(o.doc, li, o.now); vw.CodeOf(err) != vw.Conflict {
		t.Errorf("track B without penalty power or receipt: %v", err)
	}
	o = newOffice(t, 1000_00)
	o.toExecuting(cases.MeasureDraft{Kind: "refer_market", Article: "移送"})
	o.refused("receipt", vw.Conflict, li, cases.Command{Verb: "in_force", Target: "m-1", Reason: "x"})
	o.do(li, cases.Command{Verb: "hand_over", Target: "m-1", Reason: "高市监收〔2022〕3号"})
	b, err := o.p.Statutory(o.doc, li, o.now)
	if err != nil || b.Work.Track != cases.TrackB || b.Case.CaseID == o.doc.Case.CaseID || b.Work.Links[0].To != o.doc.Case.CaseID {
		t.Fatalf("statutory: %v %+v", err, b.Work)
	}
	other := &office{t: t, p: o.p, doc: b, now: o.now}
	other.do(wang, cases.Command{Verb: "declare"})
	other.do(wang, cases.Command{Verb: "take"})
	if c := other.doc.Work.Clocks; c[1].Name != "investigation" || c[1].N != 15 || c[2].Name != "decision" || c[2].N != 90 {
		t.Errorf("clocks of track B: %+v", c)
	}
}

func TestAStatutoryEntryNeedsEveryGate(t *testing.T) {
	o := newOffice(t, 1000_00)
	o.doc.Work.Track = cases.TrackB
	o.doc.Work.Links = []cases.Link{{To: "case-0", Kind: "track_a"}}
	o.toConfirmed()
	o.do(li, cases.Command{Verb: "propose_measures", Measures: []cases.MeasureDraft{{Kind: "serious_list", Article: "44号令第五条", Until: "2025-09-30"}}})
	o.do(li, cases.Command{Verb: "notify", Notice: &cases.Notice{Number: "告1", ServedAt: o.now.Format(time.RFC3339), Hash: cases.DigestOf([]byte("n"))}})
	o.approve(zhao)
	o.refused("heard", vw.Conflict, zhao, cases.Command{Verb: "decide", Reason: because})
	o.do(li, cases.Command{Verb: "reply", Reason: "确有实际交易"})
	o.now = time.Date(2022, 10, 12, 9, 0, 0, 0, cases.Zone)
	o.refused("heard", vw.Conflict, zhao, cases.Command{Verb: "decide", Reason: because})
	o.do(li, cases.Command{Verb: "answer", Target: "reply-1", Reason: "与监控不符"})
	all := cases.Gates{USCC: "91140581MA0GXX01X8", Instrument: "罚字1号", Authority: "高平市市场监督管理局", DecidedAt: "2022-10-01", ServedAt: "2022-10-02",
		Hearing: "not_applicable", Litigation: "none", Consent: "晋市监函1号", Minimised: true}
	for name, drop := range map[string]func(*cases.Gates){
		"entity": func(g *cases.Gates) { g.USCC = "" }, "instrument": func(g *cases.Gates) { g.Instrument = "" }, "authority": func(g *cases.Gates) { g.Authority = "" },
		"date": func(g *cases.Gates) { g.DecidedAt = "" }, "service": func(g *cases.Gates) { g.ServedAt = "" }, "hearing": func(g *cases.Gates) { g.Hearing = "" },
		"litigation": func(g *cases.Gates) { g.Litigation = "" }, "consent": func(g *cases.Gates) { g.Consent = "" }, "minimised": func(g *cases.Gates) { g.Minimised = false },
	} {
		t.Run(name, func(t *testing.T) {
			one, g := *o, all
			one.t = t
			drop(&g)
			one.do(li, cases.Command{Verb: "file_gates", Target: "case-1/e-1", Gates: &g})
			one.refused("gates", vw.Conflict, zhao, cases.Command{Verb: "decide", Reason: because})
		})
	}
	o.do(li, cases.Command{Verb: "file_gates", Target: "case-1/e-1", Gates: &all})
	o.do(zhao, cases.Command{Verb: "decide", Reason: because})
	if diff := cmp.Diff([]cases.Role{cases.Supervisor, cases.LegalReviewer}, o.pending().Roles); diff != "" {
		t.Errorf("quorum (-want +got):\n%s", diff)
	}
	o.approve(qian, sun)
	o.stage(cases.Approved)
}

func TestWhoHasAnInterestStandsAside(t *testing.T) {
	o := newOffice(t, 1)
	owner := li
	owner.Interests = []string{"m1"}
	o.refused("conflict_of_interest", vw.Forbidden, owner, cases.Command{Verb: "note", Text: "看看"})
	o.refused("declaration", vw.Conflict, li, cases.Command{Verb: "take"})
	o.do(li, cases.Command{Verb: "declare", Flag: true, Text: "表亲"})
	o.refused("conflict_of_interest", vw.Forbidden, li, cases.Command{Verb: "take"})
	o.do(wang, cases.Command{Verb: "declare"})
	o.do(wang, cases.Command{Verb: "take"})
}

func TestAnAppealIsReviewedBySomebodyNewAndUndoesWhatItMust(t *testing.T) {
	o := newOffice(t, 1000_00)
	o.toExecuting(cases.MeasureDraft{Kind: "disqualify", Article: "公告第七条", Until: "2023-09-30"})
	o.do(li, cases.Command{Verb: "publish", Target: "case-1/e-1"})
	o.approve(zhao)
	o.do(wang, cases.Command{Verb: "appeal", Code: "appeal", Text: "确有实际消费"})
	if !o.doc.Work.Objected() || !o.doc.Work.Entries[0].Objected {
		t.Error("the objection is not shown")
	}
	o.do(wang, cases.Command{Verb: "accept_appeal", Target: "appeal-1"})
	for _, a := range []cases.Actor{li, zhao, qian, sun} {
		o.refused("new_reviewer", vw.Forbidden, a, cases.Command{Verb: "review_appeal", Target: "appeal-1"})
	}
	chen := cases.Actor{ID: "chen", Roles: []cases.Role{cases.LegalReviewer}}
	o.do(chen, cases.Command{Verb: "review_appeal", Target: "appeal-1"})
	o.refused("reviewer", vw.Forbidden, sun, cases.Command{Verb: "uphold", Target: "appeal-1", Reason: because})
	o.do(chen, cases.Command{Verb: "uphold", Target: "appeal-1", Reason: because})
	o.approve(qian)
	if o.doc.Work.Measures[0].State != cases.MeasureRevoked || o.doc.Work.Entries[0].State != cases.EntryRevoked {
		t.Errorf("measure %s, entry %s", o.doc.Work.Measures[0].State, o.doc.Work.Entries[0].State)
	}
	o.do(wang, cases.Command{Verb: "notify_appeal", Target: "appeal-1", Text: "申诉成立"})
	if o.doc.Work.Objected() {
		t.Error("the objection is still shown")
	}
}

func TestCreditIsRepairedAfterTheDisplayTimeOfItsDay(t *testing.T) {
	o := newOffice(t, 1000_00)
	o.toExecuting(cases.MeasureDraft{Kind: "disqualify", Article: "公告第七条", Until: "2023-09-30"})
	o.do(li, cases.Command{Verb: "publish", Target: "case-1/e-1"})
	o.approve(zhao)
	o.do(li, cases.Command{Verb: "apply_repair", Target: "case-1/e-1", Text: "申请修复"})
	full := &cases.RepairCheck{Performed: true, HarmRemoved: true, NoRepeat: true}
	o.refused("repair", vw.Conflict, li, cases.Command{Verb: "check_repair", Target: "repair-1", Check: &cases.RepairCheck{Performed: true, HarmRemoved: true}})
	o.refused("display_time", vw.Conflict, li, cases.Command{Verb: "check_repair", Target: "repair-1", Check: full})
	o.now = o.now.AddDate(0, 3, 0)
	o.do(li, cases.Command{Verb: "check_repair", Target: "repair-1", Check: full})
	o.do(li, cases.Command{Verb: "approve_repair", Target: "repair-1"})
	o.approve(qian)
	o.do(li, cases.Command{Verb: "remove_entry", Target: "repair-1"})
	o.do(li, cases.Command{Verb: "notify_repair", Target: "repair-1", Text: "已通知信用平台"})
	if e := o.doc.Work.Entries[0]; e.State != cases.EntryRepaired {
		t.Errorf("entry %s", e.State)
	}
}

func TestWhatNoCaseTakesIn(t *testing.T) {
	o := newOffice(t, 1)
	o.refused("too_long", vw.Invalid, li, cases.Command{Verb: "note", Text: strings.Repeat("长", 10<<20/3)})
	o.refused("control_character", vw.Invalid, li, cases.Command{Verb: "note", Text: "a\x1b[31m"})
	o.refused("control_character", vw.Invalid, li, cases.Command{Verb: "note", Text: "abc\u202edcba"})
	o.refused("not_text", vw.Invalid, li, cases.Command{Verb: "note", Text: "\xff"})
	o.refused("media_type", vw.Invalid, li, cases.Command{Verb: "add_evidence", Evidence: &cases.Evidence{Kind: cases.Attachment, Title: "x", Type: "text/html", Hash: cases.DigestOf(nil)}})
	o.refused("too_large", vw.Invalid, li, cases.Command{Verb: "add_evidence", Evidence: &cases.Evidence{Kind: cases.Attachment, Title: "x", Type: "image/png", Bytes: 1 << 40, Hash: cases.DigestOf(nil)}})
	o.refused("stale_revision", vw.Conflict, li, cases.Command{Verb: "note", Text: "x", Seen: 9})
	o.do(li, cases.Command{Verb: "note", Text: "'; DROP TABLE cases; -- ${jndi:x} <script>{{1}}</script>"})
	o.refused("not_yours", vw.Forbidden, wang, cases.Command{Verb: "edit_note", Target: "n-1", Text: "改"})
	o.do(li, cases.Command{Verb: "edit_note", Target: "n-1", Text: "改", Seen: 1})
	o.refused("stale_revision", vw.Conflict, li, cases.Command{Verb: "note", Text: "x", Seen: 1})
	if n := o.doc.Work.Notes[0]; len(n.Versions) != 2 {
		t.Errorf("an edit lost a version: %+v", n)
	}
}

func TestAReturnedCaseHasATaskAndItsClockGoesOn(t *testing.T) {
	o := newOffice(t, 1)
	o.toReview("confirmed")
	o.refused("reason", vw.Invalid, zhao, cases.Command{Verb: "return", Reason: "不足"})
	o.do(zhao, cases.Command{Verb: "return", Reason: "请补充收银流水并逐笔核对"})
	o.do(li, cases.Command{Verb: "rework"})
	o.refused("tasks", vw.Conflict, li, cases.Command{Verb: "submit", Code: "confirmed"})
}

func TestDuplicatesAreLinkedAndUnlinkedAndNothingIsLost(t *testing.T) {
	o := newOffice(t, 1)
	o.do(li, cases.Command{Verb: "link", To: "case-2", Code: "duplicate_of", Reason: "同一商户"})
	o.refused("linked", vw.Conflict, li, cases.Command{Verb: "link", To: "case-2", Code: "duplicate_of", Reason: "同一商户"})
	o.do(li, cases.Command{Verb: "unlink", To: "case-2", Code: "duplicate_of", Reason: "不是同一商户"})
	if l := o.doc.Work.Links; len(l) != 1 || l[0].Undone == nil || len(o.doc.Case.Timeline) != 2 {
		t.Errorf("links %+v", l)
	}
	_ = audit
	_ = root
}

func TestTheDocumentShowsTheTableAsItIs(t *testing.T) {
	doc, err := os.ReadFile("../docs/cases.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	if err := cases.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(doc), table.String()) {
		t.Error("docs/cases.md does not end with the table: put the output of voucherwatch case verbs there")
	}
}
