package cases_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	vw "voucherwatch"
	"voucherwatch/cases"
	"voucherwatch/cases/vault"
)

// port keeps what it is sent, and may refuse.
type port struct {
	mu   sync.Mutex
	got  []cases.Message
	fail error
	once bool // fail the next one only
}

func (p *port) Send(_ context.Context, m cases.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	fail := p.fail
	if p.once {
		p.fail, p.once = nil, false
	}
	if fail == nil {
		p.got = append(p.got, m)
	}
	return fail
}

func (p *port) ids() (out []string) {
	for _, m := range p.got {
		out = append(out, m.ID)
	}
	return out
}

func anOffice(t testing.TB, store cases.Archive, ports map[string]cases.Port) (*cases.Office, *time.Time) {
	t.Helper()
	blobs, err := vault.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := monday
	o, err := cases.NewOffice(cases.OfficeOptions{Archive: store, Procedure: procedure(t), Blobs: blobs, Ports: ports, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	c := freshCase(1000_00).Case
	if err := store.Put(t.Context(), cases.Write{Docket: "d", Findings: []vw.Finding{{FindingID: "f1", Typology: "T01", Subject: vw.Subject{Kind: "pair", ID: "m1", With: "token-of-a-person"},
		Revision: 1, Score: 900, PolicyVersion: "p@1", BaselineVersion: "b@1"}}, Case: &c}); err != nil {
		t.Fatal(err)
	}
	return o, &now
}

func entered(t testing.TB, store cases.Archive) (out []cases.Line) {
	t.Helper()
	texts, err := store.Lines(t.Context(), 1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, damage := cases.Verify(texts, "", ""); len(damage) > 0 {
		t.Errorf("the log is damaged: %v", damage)
	}
	for _, text := range texts {
		l, err := cases.ReadLine(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

func TestWhatMustLeaveWaitsInTheCaseUntilItHasLeft(t *testing.T) {
	store, stop, notify := cases.NewMemory(), &port{fail: &vw.Error{Code: vw.Unavailable, Err: errors.New("down")}}, &port{}
	o, _ := anOffice(t, store, map[string]cases.Port{cases.StopMessage: stop, cases.NotifyMessage: notify})
	d, err := o.Do(t.Context(), "case-1", cases.Command{Verb: "stop", Reason: "监控显示连续空刷，先行停用"}, li)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Work.Outbox) != 1 || d.Work.Outbox[0].Kind != cases.StopMessage || d.Work.Outbox[0].Attempts != 1 || len(notify.got) != 1 {
		t.Fatalf("outbox %+v, %d notified", d.Work.Outbox, len(notify.got))
	}
	if lines := entered(t, store); len(lines) != 1 || lines[0].Action != "stop.stop" || lines[0].Actor != "li" || lines[0].ID == "" {
		t.Errorf("log %+v", lines)
	}
	stop.fail = nil
	if d, err = o.Deliver(t.Context(), "case-1"); err != nil || len(d.Work.Outbox) != 0 || d.Work.Sent != 3 || len(stop.got) != 1 {
		t.Errorf("outbox %+v, sent %d, %v", d.Work.Outbox, d.Work.Sent, err)
	}
	if _, err := o.Deliver(t.Context(), "case-1"); err != nil || len(stop.got) != 1 || len(notify.got) != 1 {
		t.Errorf("a second round sent again: %v %v", stop.ids(), notify.ids())
	}
	stop.fail = &vw.Error{Code: vw.Invalid, Err: errors.New("never")}
	if d, err = o.Do(t.Context(), "case-1", cases.Command{Verb: "lift_stop", Target: "case-1/s-1", Reason: "误会"}, li); err != nil || !d.Work.Outbox[0].Failed {
		t.Errorf("what will never be taken is not marked: %+v %v", d.Work.Outbox, err)
	}
}

func TestMessagesOfAKindLeaveInTheirOrder(t *testing.T) {
	store, stop := cases.NewMemory(), &port{fail: &vw.Error{Code: vw.Unavailable, Err: errors.New("down")}}
	o, _ := anOffice(t, store, map[string]cases.Port{cases.StopMessage: stop})
	for _, cmd := range []cases.Command{{Verb: "stop", Reason: "监控显示连续空刷，先行停用"}, {Verb: "lift_stop", Target: "case-1/s-1", Reason: "误会"}} {
		if _, err := o.Do(t.Context(), "case-1", cmd, li); err != nil {
			t.Fatal(err)
		}
	}
	stop.once = true // the stop fails once more, and the release would not
	for range 2 {
		if _, err := o.Deliver(t.Context(), "case-1"); err != nil {
			t.Fatal(err)
		}
	}
	if len(stop.got) != 2 || !strings.Contains(string(stop.got[0].Body), `"action":"stop"`) {
		t.Errorf("left in the order %v", stop.ids())
	}
}

// dying is an archive whose n-th write never returns: as if the program had died there.
type dying struct {
	cases.Archive
	left int
}

var errDead = errors.New("dead")

func (d *dying) PutDocument(ctx context.Context, doc *cases.Document) error {
	if d.left--; d.left < 0 {
		return errDead
	}
	return d.Archive.PutDocument(ctx, doc)
}

func (d *dying) Append(ctx context.Context, e ...cases.Entered) (cases.Line, error) {
	if d.left--; d.left < 0 {
		return cases.Line{}, errDead
	}
	return d.Archive.Append(ctx, e...)
}

// TestADeathBetweenAnyTwoWritesLosesNoMessage: the transition is written with its messages or not at all, and whoever comes next sends
// them; a receiver may see one twice, under the same id.
func TestADeathBetweenAnyTwoWritesLosesNoMessage(t *testing.T) {
	for writes := range 5 {
		store, stop := cases.NewMemory(), &port{}
		ports := map[string]cases.Port{cases.StopMessage: stop, cases.NotifyMessage: &port{}}
		o, _ := anOffice(t, store, ports)
		mortal := *o
		mortal.Archive = &dying{store, writes}
		_, err := mortal.Do(t.Context(), "case-1", cases.Command{Verb: "stop", Reason: "监控显示连续空刷，先行停用"}, li)
		if _, err := o.Round(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		d, err2 := store.Document(t.Context(), "case-1")
		if err2 != nil {
			t.Fatal(err2)
		}
		wanted := 0
		if len(d.Work.Stops) > 0 {
			wanted = 1
		}
		ids := slices.Compact(slices.Sorted(slices.Values(stop.ids())))
		lines := map[string]bool{}
		for _, l := range entered(t, store) {
			lines[l.ID] = true
		}
		if len(ids) != wanted || len(lines) != wanted || d.Work.Pending() != 0 || err == nil && wanted == 0 {
			t.Errorf("death after %d writes: %d stops, messages %v, %d entered, %d pending, %v", writes, wanted, ids, len(lines), d.Work.Pending(), err)
		}
	}
}

func TestPersonalDataIsShownForAPurposeWithinAQuotaAndEntered(t *testing.T) {
	store := cases.NewMemory()
	o, now := anOffice(t, store, nil)
	for _, cmd := range []cases.Command{{Verb: "declare"}, {Verb: "take"}} {
		if _, err := o.Do(t.Context(), "case-1", cmd, li); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(reason string, code vw.Code, err error) {
		t.Helper()
		r, _ := errors.AsType[*cases.Refusal](err)
		if r == nil || r.Reason != reason || vw.CodeOf(err) != code {
			t.Errorf("%v, want %s", err, reason)
		}
	}
	_, err := o.Reveal(t.Context(), "case-1", "token-of-a-person", "curiosity", li)
	refused("purpose", vw.Invalid, err)
	_, err = o.Reveal(t.Context(), "case-1", "token-of-a-person", "contact", audit)
	refused("wrong_role", vw.Forbidden, err)
	_, err = o.Reveal(t.Context(), "case-1", "token-of-a-person", "contact", wang)
	refused("assigned", vw.Forbidden, err)
	_, err = o.Reveal(t.Context(), "case-1", "another-person", "contact", li)
	refused("not_in_case", vw.Forbidden, err)
	for i := range 19 {
		if seconds, err := o.Reveal(t.Context(), "case-1", "token-of-a-person", "contact", li); err != nil || seconds != 60 {
			t.Fatalf("reveal %d: %d, %v", i, seconds, err)
		}
	}
	_, err = o.Reveal(t.Context(), "case-1", "token-of-a-person", "contact", li)
	refused("quota", vw.Forbidden, err)
	*now = now.AddDate(0, 0, 1)
	if _, err := o.Reveal(t.Context(), "case-1", "token-of-a-person", "contact", li); err != nil {
		t.Errorf("the next day: %v", err)
	}
	shown, tried := 0, 0
	for _, l := range entered(t, store) {
		text, _ := l.Text()
		if strings.Contains(text, "token-of") {
			t.Errorf("the log holds the token: %s", text)
		}
		if l.Action == "person.reveal" && l.Result == "" && l.Purpose == "contact" {
			shown++
		} else if l.Action == "person.reveal" {
			tried++
		}
	}
	if shown != 21 || tried != 3 { // 19, one of a stranger, one the next day; three refusals
		t.Errorf("%d reveals and %d refusals are entered", shown, tried)
	}
	if _, err := o.View(t.Context(), "case-1", cases.Actor{ID: "reg", Roles: []cases.Role{cases.Regulator}}); vw.CodeOf(err) != vw.Forbidden {
		t.Errorf("a regulator sees what was not referred: %v", err)
	}
	if _, err := o.View(t.Context(), "case-1", root); vw.CodeOf(err) != vw.Forbidden {
		t.Errorf("an administrator sees cases: %v", err)
	}
}

func TestEvidenceIsFrozenAndCheckedWhenRead(t *testing.T) {
	store := cases.NewMemory()
	o, _ := anOffice(t, store, nil)
	event := jsontext.Value(`{"type":"redemption","id":"r1"}`)
	d, err := o.Freeze(t.Context(), "case-1", []jsontext.Value{event}, li)
	if err != nil {
		t.Fatal(err)
	}
	e := d.Work.Evidence[0]
	if e.PolicyVersion != "p@1" || e.BaselineVersion != "b@1" || len(e.Findings) != 1 || e.Hash.SM3 == "" {
		t.Errorf("%+v", e)
	}
	_, b, err := o.Evidence(t.Context(), "case-1", "ev-1", sun)
	if err != nil {
		t.Fatal(err)
	}
	var f cases.Frozen
	if err := json.Unmarshal(b, &f); err != nil || string(f.Events[0]) != string(event) || f.Findings[0].Score != 900 {
		t.Errorf("%s, %v", b, err)
	}
	_, err = o.Attach(t.Context(), "case-1", "录像", "video/mp4", make([]byte, 21<<20), li)
	if vw.CodeOf(err) != vw.Invalid {
		t.Errorf("21 MB: %v", err)
	}
	if _, err = o.Attach(t.Context(), "case-1", "小票", "image/png", []byte("png"), li); err != nil {
		t.Fatal(err)
	}
	last := entered(t, store)
	if l := last[1]; l.Action != "evidence.view" || l.Ref != "ev-1" || l.Actor != "sun" {
		t.Errorf("custody: %+v", l)
	}
}

func TestFindingsBecomeAlertsThatNobodyLoses(t *testing.T) {
	store := cases.NewMemory()
	o, now := anOffice(t, store, nil)
	finding := func(id string, revision int, subsidy vw.Fen) vw.Finding {
		return vw.Finding{FindingID: id, Typology: "T04", Subject: vw.Subject{Kind: "merchant", ID: "m2"}, MerchantIDs: []string{"m2"}, Score: 400, Severity: "low",
			SubsidyFen: subsidy, Revision: revision, DetectedAt: "2022-09-26T09:00:00+08:00", Reasons: []vw.Reason{{Code: "cashout.gap"}, {Code: "cashout.gap"}}}
	}
	raise := func(f vw.Finding, changed ...vw.Case) cases.Alert {
		t.Helper()
		for range 2 { // the second time changes nothing
			if err := cases.RaiseAll(t.Context(), store, "g", []vw.Finding{f}, changed); err != nil {
				t.Fatal(err)
			}
		}
		got, err := store.Alerts(t.Context(), f.FindingID)
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		return got[0]
	}
	if a := raise(finding("a", 1, 100)); a.State != cases.AlertNew || a.Revision != 1 || len(a.Rules) != 1 {
		t.Errorf("%+v", a)
	}
	do := func(code vw.Code, cmd cases.Command, who cases.Actor) {
		t.Helper()
		if _, err := o.Alert(t.Context(), "a", cmd, who); vw.CodeOf(err) != code {
			t.Errorf("%s: %v, want %q", cmd.Verb, err, code)
		}
	}
	do(vw.Forbidden, cases.Command{Verb: "ack"}, audit)
	do(vw.Invalid, cases.Command{Verb: "dismiss", Code: "boring"}, li)
	do("", cases.Command{Verb: "dismiss", Code: "verified_normal", Text: "家庭聚餐"}, li)
	do(vw.Conflict, cases.Command{Verb: "ack"}, li)
	if a := raise(finding("a", 2, 150)); a.State != cases.AlertDismissed {
		t.Errorf("it came back although it is hardly graver: %+v", a)
	}
	if a := raise(finding("a", 3, 200)); a.State != cases.AlertNew {
		t.Errorf("it has doubled and did not come back: %+v", a)
	}
	do(vw.Invalid, cases.Command{Verb: "snooze", Text: "2023-09-26"}, li)
	do("", cases.Command{Verb: "snooze", Text: "2022-10-01", Code: "x3"}, li)
	do(vw.Forbidden, cases.Command{Verb: "wake"}, li)
	if a := raise(finding("a", 4, 599)); a.State != cases.AlertSnoozed {
		t.Errorf("woken early: %+v", a)
	}
	if a := raise(finding("a", 5, 600)); a.State != cases.AlertNew {
		t.Errorf("three times as much and still asleep: %+v", a)
	}
	c := vw.Case{CaseID: "case-9", Status: cases.Open, FindingIDs: []string{"a"}}
	if a := raise(finding("b", 1, 1), c); a.State != cases.AlertNew {
		t.Errorf("%+v", a)
	}
	got, err := store.Alerts(t.Context(), "a")
	if err != nil || got[0].State != cases.AlertAttached || got[0].CaseID != "case-9" {
		t.Errorf("the weaker alert was not attached: %+v %v", got, err)
	}
	do(vw.Conflict, cases.Command{Verb: "snooze", Text: "2022-10-01"}, li) // attached by now
	if _, err := o.Alert(t.Context(), "b", cases.Command{Verb: "snooze", Text: "2022-10-01"}, li); err != nil {
		t.Fatal(err)
	}
	for days, want := range []cases.State{4: cases.AlertSnoozed, 5: cases.AlertNew} {
		if want == "" {
			continue
		}
		*now = monday.AddDate(0, 0, days)
		if _, err := o.Round(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		if got, err := store.Alerts(t.Context(), "b"); err != nil || got[0].State != want {
			t.Errorf("after %d days: %+v %v", days, got, err)
		}
	}
	if n := len(entered(t, store)); n != 5 { // the refused ones too
		t.Errorf("%d lines entered", n)
	}
}

func TestPrecisionCountsWhatPeopleDecided(t *testing.T) {
	one := func(outcome, result string, dataError bool) cases.Judged {
		d := freshCase(1)
		d.Work.Stage, d.Work.Outcome, d.Work.DataError = cases.ClosedStage, outcome, dataError
		d.Work.Assessments = []cases.Assessment{{Typology: "T01", Result: result}}
		return cases.Judged{Document: d, Findings: []vw.Finding{{Reasons: []vw.Reason{{Typology: "T01", Code: "split.session", Weight: 2}, {Typology: "T01", Code: "split.mild", Weight: -1}}}}}
	}
	open := one("", "proven", false)
	open.Document.Work.Stage = cases.InReviewStage
	typologies, rules := cases.Precision([]cases.Judged{one("confirmed", "proven", false), one("confirmed", "proven", false), one("confirmed", "not_proven", false),
		one("refuted", "not_proven", false), one("refuted", "not_proven", true), one("inconclusive", "unclear", false), open})
	var text strings.Builder
	if err := cases.WritePrecision(&text, typologies, rules); err != nil || !strings.Contains(text.String(), "0.50 (0.15–0.85)") {
		t.Errorf("%v\n%s", err, text.String())
	}
	if len(typologies) != 1 || len(rules) != 1 || rules[0].Name != "split.session" {
		t.Fatalf("%+v %+v", typologies, rules)
	}
	r := typologies[0]
	if r.Confirmed != 2 || r.Refuted != 2 || r.DataError != 1 || r.Undecided != 1 || r.Precision != 0.5 || r.Lowest < 0.14 || r.Lowest > 0.16 || r.Highest < 0.84 || r.Highest > 0.86 {
		t.Errorf("%+v", r) // Wilson of 2 of 4: 0.150 to 0.850
	}
}

func TestAComplaintOpensACaseThatTheDeskGoesOnWith(t *testing.T) {
	store := cases.NewMemory()
	o, now := anOffice(t, store, nil)
	m9 := vw.Subject{Kind: "merchant", ID: "m9"}
	if _, err := o.Open(t.Context(), "g", m9, []string{"T21"}, " ", li); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("without a source: %v", err)
	}
	if _, err := o.Open(t.Context(), "g", m9, []string{"T21"}, "12315 第 88 号", audit); vw.CodeOf(err) != vw.Forbidden {
		t.Errorf("by an auditor: %v", err)
	}
	d, err := o.Open(t.Context(), "g", m9, []string{"T21"}, "12315 第 88 号", li)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Open(t.Context(), "g", m9, []string{"T21"}, "12315 第 89 号", li); vw.CodeOf(err) != vw.Conflict || !strings.Contains(err.Error(), d.Case.CaseID) {
		t.Errorf("a second one: %v", err)
	}
	desk, err := cases.NewDesk(cases.Options{Store: store, Campaign: "g", OpenAt: 600})
	if err != nil {
		t.Fatal(err)
	}
	f := vw.Finding{FindingID: "f9", Typology: "T01", Subject: m9, MerchantIDs: []string{"m9"}, LastAt: now.Format(time.RFC3339), Score: 700, Severity: "high", Revision: 1}
	changed, err := desk.Apply(t.Context(), []vw.Finding{f}, now.Format(time.RFC3339))
	if err != nil || len(changed) != 1 || changed[0].CaseID != d.Case.CaseID {
		t.Fatalf("%+v, %v", changed, err)
	}
	for _, cmd := range []cases.Command{{Verb: "declare"}, {Verb: "take"}, {Verb: "assess", Typology: "T21", Code: "unclear", Text: "待查"}, {Verb: "assess", Typology: "T01", Code: "unclear", Text: "待查"}} {
		if d, err = o.Do(t.Context(), d.Case.CaseID, cmd, li); err != nil {
			t.Errorf("%s %s: %v", cmd.Verb, cmd.Typology, err)
		}
	}
	if d.Work.Source == "" || len(d.Case.FindingIDs) != 1 {
		t.Errorf("%+v", d)
	}
}

func TestAPersonAttachesAnAlertToACaseAndTheDeskKeepsIt(t *testing.T) {
	store := cases.NewMemory()
	o, now := anOffice(t, store, nil)
	weak := vw.Finding{FindingID: "weak", Typology: "P01", Subject: vw.Subject{Kind: "customer", ID: "u1"}, LastAt: now.Format(time.RFC3339), Score: 300, Severity: "low", SubsidyFen: 700, RedemptionIDs: []string{"r1"}, Revision: 1}
	desk, err := cases.NewDesk(cases.Options{Store: store, Campaign: "g", OpenAt: 600})
	if err != nil {
		t.Fatal(err)
	}
	feed := func(fs ...vw.Finding) []vw.Case {
		changed, err := desk.Apply(t.Context(), fs, now.Format(time.RFC3339))
		if err == nil {
			err = cases.RaiseAll(t.Context(), store, "g", fs, changed)
		}
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	strong := vw.Finding{FindingID: "strong", Typology: "T04", Subject: vw.Subject{Kind: "merchant", ID: "m5"}, MerchantIDs: []string{"m5"}, LastAt: now.Format(time.RFC3339), Score: 900, Severity: "high", SubsidyFen: 100, RedemptionIDs: []string{"r2"}, Revision: 1}
	id := feed(strong)[0].CaseID
	feed(weak)
	for range 2 { // the second time is a conflict of the alert, and changes nothing
		_, _ = o.Alert(t.Context(), "weak", cases.Command{Verb: "attach", To: id}, li)
	}
	strong.Revision, strong.Score = 2, 950
	feed(strong)
	c, err := store.Case(t.Context(), id)
	if err != nil || !slices.Equal(c.FindingIDs, []string{"strong", "weak"}) || c.SubsidyFen != 800 || !slices.Equal(c.Typologies, []string{"P01", "T04"}) {
		t.Errorf("%+v, %v", c, err)
	}
	got, err := store.Alerts(t.Context(), "weak")
	if err != nil || got[0].State != cases.AlertAttached || got[0].CaseID != id {
		t.Errorf("%+v, %v", got, err)
	}
}
