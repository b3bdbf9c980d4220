package cases_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	vw "voucherwatch"
	"voucherwatch/cases"
)

// TestWhateverPeopleTryTheInvariantsHold lets seven people try verbs at random, with sense and without, for hundreds of steps.
func TestWhateverPeopleTryTheInvariantsHold(t *testing.T) {
	p, stages := procedure(t), map[cases.State]int{}
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		w := walk{t: t, p: p, r: r, doc: freshCase(vw.Fen(r.IntN(10_000_00))), now: monday, ids: map[string]bool{}}
		if seed%3 == 0 {
			w.doc.Work.Track, w.doc.Work.Links = cases.TrackB, []cases.Link{{To: "case-0", Kind: "track_a"}}
		}
		for range 500 {
			w.step()
			stages[w.doc.Work.Stage]++
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
	for _, s := range []cases.State{cases.Investigating, cases.Suspended, cases.InReviewStage, cases.Returned, cases.Refuted, cases.Inconclusive, cases.Confirmed,
		cases.PenaltyProposed, cases.Notified, cases.Approved, cases.Executing, cases.ClosedStage, cases.Reopened} {
		if stages[s] == 0 {
			t.Errorf("no walk came to %s: the test sees too little", s)
		}
	}
}

type walk struct {
	t   *testing.T
	p   *cases.Procedure
	r   *rand.Rand
	doc cases.Document
	now time.Time
	ids map[string]bool // of messages
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (w *walk) command() cases.Command {
	r, x := w.r, &w.doc.Work
	cmd := cases.Command{Reason: pick(r, "", "短", because, because, because), Text: pick(r, "", "已核", "已核"), Code: pick(r, "", "confirmed", "refuted", "inconclusive", "proven", "not_proven", "appraisal", "related", "appeal", "no_penalty", "rectify"),
		To: pick(r, "", "wang", "case-2"), Typology: pick(r, "T01", "T01", "T99"), Flag: r.IntN(8) == 0}
	// A target of some kind that there is.
	targets := []string{"", "nothing"}
	for _, a := range x.Approvals {
		targets = append(targets, a.ID)
	}
	for _, a := range x.Measures {
		targets = append(targets, a.ID)
	}
	for _, a := range x.Entries {
		targets = append(targets, a.ID)
	}
	for _, a := range x.Appeals {
		targets = append(targets, a.ID)
	}
	for _, a := range x.Repairs {
		targets = append(targets, a.ID)
	}
	for _, a := range x.Stops {
		targets = append(targets, a.ID)
	}
	for _, a := range x.Tasks {
		targets = append(targets, a.ID)
	}
	for _, a := range x.Notes {
		targets = append(targets, a.ID)
	}
	if x.Notice != nil {
		for _, a := range x.Notice.Replies {
			targets = append(targets, a.ID)
		}
	}
	cmd.Target = pick(r, targets...)
	if len(x.Evidence) > 0 && r.IntN(2) == 0 {
		cmd.Refs = []string{pick(r, x.Evidence...).ID}
	}
	if r.IntN(2) == 0 {
		cmd.Evidence = &cases.Evidence{Kind: pick(r, cases.FrozenEvidence, cases.Attachment), Title: "证据", Type: "image/png", Hash: cases.DigestOf([]byte{byte(r.IntN(9))})}
		cmd.Notice = &cases.Notice{Number: "1号", ServedAt: w.now.Format(time.RFC3339), Hash: cases.DigestOf(nil)}
		cmd.Gates = &cases.Gates{USCC: "x", Instrument: "x", Authority: "x", DecidedAt: "x", ServedAt: "x", Hearing: "done", Litigation: "none", Consent: "x", Minimised: r.IntN(4) > 0}
		cmd.Check = &cases.RepairCheck{Performed: true, HarmRemoved: true, NoRepeat: r.IntN(3) > 0}
	}
	if r.IntN(2) == 0 {
		kinds := []string{"disqualify", "recover", "refer_police", "refer_market", "stop_redemption", "fine", "serious_list", "warning", "nonsense"}
		cmd.Measures = []cases.MeasureDraft{{Kind: pick(r, kinds...), Article: "条", AmountFen: 100, Until: "2024-09-30"}}
	}
	// Mostly what the table lists for this stage, sometimes anything.
	var verbs, forward []string
	for _, row := range cases.Table() {
		if row.Machine == cases.AlertMachine {
			continue
		}
		if row.Machine == cases.CaseMachine && row.To != "" && slices.Contains(row.From, w.stage()) {
			forward = append(forward, row.Verb)
		}
		if len(row.From) == 0 || slices.Contains(row.From, w.stage()) || row.Machine != cases.CaseMachine || r.IntN(20) == 0 {
			verbs = append(verbs, row.Verb)
		}
	}
	if cmd.Verb = pick(r, verbs...); len(forward) > 0 && r.IntN(3) == 0 {
		cmd.Verb = pick(r, forward...)
	}
	if r.IntN(2) == 0 {
		for _, a := range x.Approvals {
			if a.Open() {
				cmd.Verb, cmd.Target, cmd.Hash, cmd.Code = pick(r, "approve", "approve", "approve", "approve", "reject"), a.ID, a.Hash.SHA256, ""
			}
		}
	}
	if r.IntN(6) == 0 { // what a diligent investigator does
		cmd = cases.Command{Verb: "assess", Typology: "T01", Code: "unclear", Text: "待查"}
		for _, task := range x.Tasks {
			if task.Done == nil {
				cmd = cases.Command{Verb: "finish_task", Target: task.ID, Text: "已核"}
			}
		}
	}
	switch {
	case cmd.Verb == "assign" && r.IntN(20) > 0:
		cmd.To = "li"
	case cmd.Verb == "declare" && r.IntN(50) > 0: // else everybody stands aside in the end
		cmd.Flag = false
	}
	return cmd
}

func (w *walk) stage() cases.State { return cases.RowOf(&w.doc).State }

func (w *walk) step() {
	who := pick(w.r, li, li, wang, zhao, qian, sun, cases.Actor{ID: "chen", Roles: []cases.Role{cases.LegalReviewer, cases.Supervisor}}, audit)
	w.now = w.now.Add(time.Duration(w.r.IntN(8)) * time.Hour)
	if w.r.IntN(25) == 0 {
		w.now = w.now.AddDate(0, 0, 10)
	}
	if w.r.IntN(10) == 0 {
		next, _, err := w.p.Tick(w.doc, w.now)
		if err != nil {
			w.t.Errorf("tick: %v", err)
		}
		w.doc = next
	}
	cmd := w.command()
	before := w.stage()
	if slices.Contains([]string{"assess", "finish_task", "add_evidence"}, cmd.Verb) && w.r.IntN(30) > 0 {
		who = li // one author, so that the others may approve
	}
	if cmd.Verb == "add_evidence" && before != cases.Investigating && w.r.IntN(8) > 0 {
		return // it voids what waits for approval
	}
	next, err := w.p.Apply(w.doc, cmd, who, w.now)
	if err != nil {
		if c := vw.CodeOf(err); c == vw.Internal || next.Case.Revision != w.doc.Case.Revision {
			w.t.Errorf("%s by %s at %s: %v", cmd.Verb, who.ID, before, err)
		}
		return
	}
	say := func(format string, args ...any) {
		w.t.Errorf("%s by %s at %s: %s", cmd.Verb, who.ID, before, fmt.Sprintf(format, args...))
	}
	old := w.doc
	w.doc = next
	x := &next.Work
	switch {
	case next.Case.Revision != old.Case.Revision+1 || x.Version != old.Work.Version+1:
		say("revision %d after %d", next.Case.Revision, old.Case.Revision)
	case len(next.Case.Timeline) <= len(old.Case.Timeline):
		say("it left no line")
	case who.ID == audit.ID:
		say("an auditor changed a case")
	}
	if after := w.stage(); after != before {
		listed := false
		for _, row := range cases.Table() {
			listed = listed || row.Machine == cases.CaseMachine && row.To == after && slices.Contains(row.From, before)
		}
		if !listed {
			say("came to %s", after)
		}
	}
	if before == cases.ClosedStage && (len(x.Notes) != len(old.Work.Notes) || len(x.Evidence) != len(old.Work.Evidence) || len(x.Assessments) != len(old.Work.Assessments)) {
		say("changed a closed case")
	}
	for i := range old.Work.Evidence { // nothing is ever destroyed
		if x.Evidence[i].Hash != old.Work.Evidence[i].Hash {
			say("evidence changed")
		}
	}
	if len(x.Notes) < len(old.Work.Notes) || len(x.Tasks) < len(old.Work.Tasks) || len(x.Links) < len(old.Work.Links) || len(x.Approvals) < len(old.Work.Approvals) {
		say("something was destroyed")
	}
	for i, a := range x.Approvals {
		if a.UsedAt == "" || i < len(old.Work.Approvals) && old.Work.Approvals[i].UsedAt != "" {
			continue
		}
		var roles []cases.Role
		people := []string{a.Proposer}
		for _, b := range a.By {
			roles = append(roles, b.Role)
			if slices.Contains(people, b.By) || slices.ContainsFunc(old.Work.Evidence, func(e cases.Evidence) bool { return e.By == b.By }) ||
				slices.ContainsFunc(old.Work.Assessments, func(s cases.Assessment) bool { return s.By == b.By }) {
				say("%s agreed to %s and may not", b.By, a.ID)
			}
			people = append(people, b.By)
		}
		slices.Sort(roles)
		needed := slices.Sorted(slices.Values(a.Roles))
		if !slices.Equal(roles, needed) || a.Void != "" {
			say("%s was used with %v, needs %v, %q", a.ID, roles, needed, a.Void)
		}
	}
	for _, m := range x.Measures {
		if w.p.Measures[m.Kind].Track != cases.RowOf(&next).Track {
			say("a measure of the other track: %s", m.Kind)
		}
	}
	for _, e := range x.Entries {
		if e.Until == "" || e.State == cases.EntryPublished && !slices.ContainsFunc(x.Approvals, func(a cases.Approval) bool { return a.Verb == "publish" && a.Target == e.ID && a.UsedAt != "" }) {
			say("entry %+v", e)
		}
	}
	for _, m := range x.Outbox[len(old.Work.Outbox):] {
		if w.ids[m.ID] || !strings.HasPrefix(m.ID, next.Case.CaseID+"/") {
			say("message %s", m.ID)
		}
		w.ids[m.ID] = true
	}
	if next.Case.Status == cases.Closed != (w.stage() == cases.ClosedStage) {
		say("status %s at %s", next.Case.Status, w.stage())
	}
	// What left the building is taken out, so that the walk stays quick.
	w.doc.Work.Outbox = nil
}
