package cases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	vw "voucherwatch"
)

// OfficeOptions are what an office works with.
type OfficeOptions struct {
	Archive   Archive
	Procedure *Procedure
	Blobs     Blobs
	Now       func() time.Time
	// Ports are where messages go, by kind; those of a kind without one wait. The audit log is no port.
	Ports map[string]Port
}

// Port takes messages out of the building. Send is called again after an error with a code of vw.Unavailable, and may be
// called again after a success that could not be noted: the receiver tells by the message's ID.
type Port interface {
	Send(ctx context.Context, m Message) error
}

// Office is where people work: it reads and writes the archive, shows personal data, and lets messages leave. It
// has no state. Safe for concurrent use.
type Office struct{ OfficeOptions }

// NewOffice checks the options.
func NewOffice(o OfficeOptions) (*Office, error) {
	var errs []error
	for field, missing := range map[string]bool{"archive": o.Archive == nil, "procedure": o.Procedure == nil, "blobs": o.Blobs == nil, "now": o.Now == nil} {
		if missing {
			errs = append(errs, fmt.Errorf("%s: is required", field))
		}
	}
	return &Office{o}, invalid("cases.NewOffice", errs)
}

// Do is a command of a person on a case: read, Apply, write, again should somebody have been in between. What it
// could not deliver at once waits in the outbox and is no error. A refusal is entered into the audit log.
func (o *Office) Do(ctx context.Context, id string, cmd Command, actor Actor) (Document, error) {
	for range attempts {
		d, err := o.Archive.Document(ctx, id)
		if err != nil {
			return d, err
		}
		next, err := o.Procedure.Apply(d, cmd, actor, o.Now())
		if err != nil {
			return d, errors.Join(err, o.refusedEntry(ctx, "case."+cmd.Verb, id, actor, err))
		}
		switch err := o.Archive.PutDocument(ctx, &next); {
		case vw.CodeOf(err) == vw.Conflict:
			continue
		case err != nil:
			return d, err
		}
		if sent, err := o.Deliver(ctx, id); err == nil {
			return sent, nil
		}
		return next, nil
	}
	return Document{}, &vw.Error{Op: "cases.Do", Code: vw.Unavailable, Hint: "too many writers on one case; try again", Err: errors.New("the case kept changing")}
}

// refusedEntry enters what somebody tried and may not. Faulty input is no attempt.
func (o *Office) refusedEntry(ctx context.Context, action, id string, actor Actor, err error) error {
	r, ok := errors.AsType[*Refusal](err)
	if !ok || vw.CodeOf(err) != vw.Forbidden {
		return nil
	}
	return o.enter(ctx, Entered{Actor: actor.ID, Action: action, CaseID: id, Result: r.Reason})
}

func (o *Office) enter(ctx context.Context, e Entered) error {
	e.At = stamp(o.Now())
	_, err := o.Archive.Append(ctx, e)
	return err
}

// Open opens a case of a subject from a written source: a complaint, an audit, a referral. While a case of the subject is open,
// that is vw.Conflict and names it: what is known goes there. The Desk files what it finds later into the case.
func (o *Office) Open(ctx context.Context, campaign string, s vw.Subject, typologies []string, source string, actor Actor) (Document, error) {
	for generation := 1; ; generation++ {
		id := CaseID(campaign, s, generation)
		c, err := o.Archive.Case(ctx, id)
		switch {
		case err == nil && c.Status != Closed:
			return Document{}, refuse(vw.Conflict, "already_open", "该对象已有在办案件 %s，请并入", "a case of this subject is open already: %s", id)
		case err == nil:
			continue
		case vw.CodeOf(err) != vw.NotFound:
			return Document{}, err
		}
		d, err := o.Procedure.Opened(id, campaign, s, typologies, source, actor, o.Now())
		if err != nil {
			return d, errors.Join(err, o.refusedEntry(ctx, "case.open", id, actor, err))
		}
		return o.create(ctx, d)
	}
}

// Statutory begins track B beside a case: see Procedure.Statutory.
func (o *Office) Statutory(ctx context.Context, id string, actor Actor) (Document, error) {
	a, err := o.Archive.Document(ctx, id)
	if err != nil {
		return a, err
	}
	b, err := o.Procedure.Statutory(a, actor, o.Now())
	if err != nil {
		return b, errors.Join(err, o.refusedEntry(ctx, "case.statutory", id, actor, err))
	}
	return o.create(ctx, b)
}

func (o *Office) create(ctx context.Context, d Document) (Document, error) {
	if err := o.Archive.PutDocument(ctx, &d); err != nil {
		return d, err
	}
	if sent, err := o.Deliver(ctx, d.Case.CaseID); err == nil {
		return sent, nil
	}
	return d, nil
}

// View is a case for somebody who may see it. The read is entered first: what cannot be entered is not shown.
func (o *Office) View(ctx context.Context, id string, actor Actor) (Document, error) {
	return o.show(ctx, ViewCase, id, "", "", actor)
}

func (o *Office) show(ctx context.Context, action Action, id, ref, purpose string, actor Actor) (Document, error) {
	d, err := o.Archive.Document(ctx, id)
	if err != nil {
		return Document{}, err
	}
	m := &move{doc: &d, actor: actor}
	err = m.unconflicted()
	stranger := actor.has(Regulator) && len(actor.Roles) == 1 &&
		!slices.ContainsFunc(d.Work.Measures, func(x Measure) bool { return x.State == MeasureHanded })
	if err == nil && (!Allowed(actor, action, d.Work.stage()) || stranger) {
		err = refuse(vw.Forbidden, "wrong_role", "您的角色不能查看", "your role cannot see this")
	}
	if err == nil && action == RevealPerson && actor.ID != d.Case.Assignee && !actor.has(Supervisor) {
		err = refuse(vw.Forbidden, "assigned", "仅承办人或负责人可以查看明文", "only the assignee or a supervisor may see it in clear")
	}
	if err != nil {
		return Document{}, errors.Join(err, o.refusedEntry(ctx, string(action), id, actor, err))
	}
	if err := o.enter(ctx, Entered{Actor: actor.ID, Action: string(action), CaseID: id, Ref: ref, Purpose: purpose, Revision: d.Case.Revision}); err != nil {
		return Document{}, err
	}
	return d, nil
}

// Attach files a file as evidence. The bytes are durable before the case speaks of them.
func (o *Office) Attach(ctx context.Context, id, title, media string, b []byte, actor Actor) (Document, error) {
	if int64(len(b)) > o.Procedure.Evidence.AttachmentBytes {
		return Document{}, refuse(vw.Invalid, "too_large", "附件 %d 字节，上限 %d", "the file has %d bytes, the limit is %d", len(b), o.Procedure.Evidence.AttachmentBytes)
	}
	hash, err := o.Blobs.Put(ctx, b)
	if err != nil {
		return Document{}, err
	}
	return o.Do(ctx, id, Command{Verb: "add_evidence", Evidence: &Evidence{Kind: Attachment, Title: title, Type: media, Bytes: int64(len(b)), Hash: hash}}, actor)
}

// Freeze files the case's findings, with the events they rest on, as they are now.
func (o *Office) Freeze(ctx context.Context, id string, events []jsontext.Value, actor Actor) (Document, error) {
	c, err := o.Archive.Case(ctx, id)
	if err != nil {
		return Document{}, err
	}
	findings, err := o.Archive.Findings(ctx, c.FindingIDs...)
	if err != nil {
		return Document{}, err
	}
	b, e, err := Freeze(&c, findings, events, stamp(o.Now()))
	if err != nil {
		return Document{}, err
	}
	if e.Hash, err = o.Blobs.Put(ctx, b); err != nil {
		return Document{}, err
	}
	return o.Do(ctx, id, Command{Verb: "add_evidence", Evidence: &e}, actor)
}

// Evidence is an item of evidence with its bytes, which are checked against both hashes; the look at it is entered into the audit
// log, which is the log of custody.
func (o *Office) Evidence(ctx context.Context, id, evidence string, actor Actor) (Evidence, []byte, error) {
	d, err := o.show(ctx, ViewEvidence, id, evidence, "", actor)
	if err != nil {
		return Evidence{}, nil, err
	}
	e := find(d.Work.Evidence, evidence, func(e *Evidence) string { return e.ID })
	if e == nil {
		return Evidence{}, nil, refuse(vw.NotFound, "no_target", "没有这件证据", "there is no such evidence")
	}
	b, err := o.Blobs.Get(ctx, e.Hash)
	if err != nil {
		return *e, nil, err
	}
	if err := e.Hash.Check(b); err != nil {
		return *e, nil, &vw.Error{Op: "cases.Evidence", Code: vw.Internal, Hint: "restore the file from a copy; nothing may rest on it until then", Err: err}
	}
	return *e, b, nil
}

// revealed counts what a person saw in clear on a day.
type revealed struct {
	Count int `json:"count"`
}

// Reveal shows a token of a person in clear, for a purpose, to who works on the case; it says for how many
// seconds. Each is counted against the person's day and entered, before it is shown.
func (o *Office) Reveal(ctx context.Context, id, token, purpose string, actor Actor) (seconds int, err error) {
	if _, ok := Purposes[purpose]; !ok {
		return 0, refuse(vw.Invalid, "purpose", "用途须在列", "the purpose is one of the list")
	}
	day := o.Now().In(Zone).Format(time.DateOnly)
	for range attempts {
		r, err := o.Archive.Record(ctx, "reveals", actor.ID+" "+day)
		var n revealed
		switch {
		case vw.CodeOf(err) == vw.NotFound:
			r = Record{Kind: "reveals", ID: actor.ID + " " + day}
		case err != nil:
			return 0, err
		default:
			if err := json.Unmarshal(r.Body, &n); err != nil {
				return 0, err
			}
		}
		if n.Count >= o.Procedure.Reveal.PerDay {
			err := refuse(vw.Forbidden, "quota", "今日查看明文已达 %d 次", "%d reveals today are the limit", n.Count)
			return 0, errors.Join(err, o.refusedEntry(ctx, string(RevealPerson), id, actor, err))
		}
		n.Count++
		r.Revision++
		if r.Body, err = json.Marshal(n); err != nil {
			return 0, err
		}
		switch err := o.Archive.PutRecord(ctx, r); {
		case vw.CodeOf(err) == vw.Conflict:
			continue
		case err != nil:
			return 0, err
		}
		d, err := o.show(ctx, RevealPerson, id, DigestOf([]byte(token)).SHA256[:16], purpose, actor)
		if err != nil {
			return 0, err
		}
		return o.Procedure.Reveal.Seconds, o.inCase(ctx, &d, token)
	}
	return 0, &vw.Error{Op: "cases.Reveal", Code: vw.Unavailable, Err: errors.New("the count kept changing")}
}

// inCase: a token that the case is not about is not shown by way of it.
func (o *Office) inCase(ctx context.Context, d *Document, token string) error {
	s := d.Case.Subject
	if token == s.ID || token == s.With {
		return nil
	}
	findings, err := o.Archive.Findings(ctx, d.Case.FindingIDs...)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(findings, func(f vw.Finding) bool { return token == f.Subject.ID || token == f.Subject.With }) {
		return nil
	}
	return refuse(vw.Forbidden, "not_in_case", "该对象与本案无关", "the case is not about this person")
}

// mostAttempts is how often a message is tried before a person must look.
const mostAttempts = 20

// Deliver lets the messages of a case leave, in order within a kind, and returns the case as it is then. Audit
// lines go first. What fails stays and is tried by the next call; after 20 attempts, or when the receiver says that it never
// will be accepted, it is marked as failed and stays for a person to see.
func (o *Office) Deliver(ctx context.Context, id string) (Document, error) {
	d, err := o.Archive.Document(ctx, id)
	if err != nil {
		return d, err
	}
	gone, failed := map[string]bool{}, map[string]error{}
	var entries []Entered
	for _, m := range d.Work.Outbox {
		if m.Kind != AuditMessage {
			continue
		}
		var e Entered
		if err := json.Unmarshal(m.Body, &e); err != nil {
			return d, &vw.Error{Op: "cases.Deliver", Code: vw.Internal, Err: err}
		}
		e.At, e.ID = m.At, m.ID
		entries = append(entries, e)
		gone[m.ID] = true
	}
	if len(entries) > 0 {
		if _, err := o.Archive.Append(ctx, entries...); err != nil {
			return d, err
		}
	}
	stuck := map[string]bool{}
	for _, m := range d.Work.Outbox {
		port := o.Ports[m.Kind]
		if port == nil || m.Failed || stuck[m.Kind] {
			continue
		}
		if err := port.Send(ctx, m); err != nil {
			failed[m.ID], stuck[m.Kind] = err, true
			continue
		}
		gone[m.ID] = true
	}
	if len(gone)+len(failed) == 0 {
		return d, nil
	}
	for range attempts {
		next, err := d.clone()
		if err != nil {
			return d, err
		}
		w := &next.Work
		before := len(w.Outbox)
		w.Outbox = slices.DeleteFunc(w.Outbox, func(m Message) bool { return gone[m.ID] })
		w.Sent += before - len(w.Outbox)
		for i := range w.Outbox {
			m := &w.Outbox[i]
			if err := failed[m.ID]; err != nil {
				m.Attempts++
				m.Error = string(cmp.Or(vw.CodeOf(err), vw.Internal))
				m.Failed = m.Attempts >= mostAttempts || vw.CodeOf(err) == vw.Invalid
			}
		}
		next.Case.Revision++
		err = o.Archive.PutDocument(ctx, &next)
		if vw.CodeOf(err) != vw.Conflict {
			return next, err
		}
		if d, err = o.Archive.Document(ctx, id); err != nil {
			return d, err
		}
	}
	return d, &vw.Error{Op: "cases.Deliver", Code: vw.Unavailable, Err: errors.New("the case kept changing")}
}

// Round is what runs every minute: it delivers what waits, wakes alerts whose day has come, and does what time brings about
// (Procedure.Tick) in the cases that are being worked on; in all of them when so asked, which should be every hour. It returns how
// many changed; one that fails does not stop the others.
func (o *Office) Round(ctx context.Context, all bool) (changed int, err error) {
	now := o.Now()
	working := Query{Kind: CaseRow, Sort: "at", Limit: 500, States: []State{Investigating, Suspended, InReviewStage, Returned, Confirmed, PenaltyProposed, Notified, Approved, Executing, Reopened}}
	if all {
		working.States = nil
	}
	var errs []error
	for _, part := range []struct {
		query Query
		do    func(id string) (bool, error)
	}{
		{Query{Kind: AlertRow, Sort: "due", Limit: 500, States: []State{AlertSnoozed}, DueBefore: stamp(now)}, func(id string) (bool, error) { return o.wake(ctx, id) }},
		{working, func(id string) (bool, error) { return o.tick(ctx, id) }},
		{Query{Kind: CaseRow, Pending: true, Sort: "at", Limit: 500}, func(id string) (bool, error) {
			_, err := o.Deliver(ctx, id)
			return err == nil, err
		}},
	} {
		for q := part.query; ; {
			page, err := o.Archive.Search(ctx, q)
			if err != nil {
				errs = append(errs, err)
				break
			}
			for _, r := range page.Rows {
				ok, err := part.do(r.ID)
				if ok {
					changed++
				}
				errs = append(errs, err)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
	}
	return changed, errors.Join(errs...)
}

func (o *Office) tick(ctx context.Context, id string) (bool, error) {
	d, err := o.Archive.Document(ctx, id)
	if err != nil {
		return false, err
	}
	next, ok, err := o.Procedure.Tick(d, o.Now())
	if err != nil || !ok {
		return false, err
	}
	err = o.Archive.PutDocument(ctx, &next)
	if vw.CodeOf(err) == vw.Conflict { // a person was faster: the next round
		return false, nil
	}
	return err == nil, err
}

func (o *Office) wake(ctx context.Context, id string) (bool, error) {
	found, err := o.Archive.Alerts(ctx, id)
	if err != nil || len(found) == 0 {
		return false, err
	}
	next, err := o.Procedure.ApplyAlert(found[0], Command{Verb: "wake"}, TheSystem, o.Now())
	if err != nil {
		return false, nil // a person was faster
	}
	late, err := o.Archive.PutAlerts(ctx, []Alert{next})
	return err == nil && len(late) == 0, err
}

// Judged are all decided cases with their findings, by id: what Precision counts and a reweighting learns from. Findings that have
// been pruned are left out.
func (o *Office) Judged(ctx context.Context) (out []Judged, err error) {
	q := Query{Kind: CaseRow, States: []State{Refuted, Inconclusive, Confirmed, PenaltyProposed, Notified, Approved, Executing, ClosedStage}, Sort: "at", Limit: 500}
	for {
		page, err := o.Archive.Search(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Rows {
			d, err := o.Archive.Document(ctx, r.ID)
			if err != nil {
				return nil, err
			}
			j := Judged{Document: d}
			for _, id := range d.Case.FindingIDs {
				fs, err := o.Archive.Findings(ctx, id)
				if vw.CodeOf(err) == vw.NotFound {
					continue
				}
				if err != nil {
					return nil, err
				}
				j.Findings = append(j.Findings, fs...)
			}
			out = append(out, j)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			slices.SortFunc(out, func(a, b Judged) int { return cmp.Compare(a.Document.Case.CaseID, b.Document.Case.CaseID) })
			return out, nil
		}
	}
}

// RaiseAll brings the alerts up to findings that the Desk took in; changed is what Desk.Apply returned. Repeating it changes
// nothing.
func RaiseAll(ctx context.Context, s AlertStore, campaign string, findings []vw.Finding, changed []vw.Case) error {
	in := map[string]string{}
	for i := range changed {
		if changed[i].Status != Closed {
			for _, id := range changed[i].FindingIDs {
				in[id] = changed[i].CaseID
			}
		}
	}
	latest := map[string]*vw.Finding{}
	var ids []string
	for i := range findings {
		f := &findings[i]
		if latest[f.FindingID] == nil {
			ids = append(ids, f.FindingID)
		}
		if latest[f.FindingID] == nil || f.Revision > latest[f.FindingID].Revision {
			latest[f.FindingID] = f
		}
	}
	for id := range in { // weaker findings of the docket that a new case took in
		if latest[id] == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for range attempts {
		known, err := s.Alerts(ctx, ids...)
		if err != nil {
			return err
		}
		old := map[string]Alert{}
		for _, a := range known {
			old[a.AlertID] = a
		}
		var out []Alert
		for _, id := range ids {
			a, f := old[id], latest[id]
			if f == nil {
				if a.Revision == 0 {
					continue // its finding is raised by whoever found it
				}
				f = &vw.Finding{FindingID: id}
			}
			if next, ok := Raise(a, campaign, f, in[id]); ok {
				out = append(out, next)
			}
		}
		late, err := s.PutAlerts(ctx, out)
		if err != nil || len(late) == 0 {
			return err
		}
	}
	return &vw.Error{Op: "cases.Raise", Code: vw.Unavailable, Err: errors.New("the alerts kept changing")}
}

// Alert is a command of a person on an alert.
func (o *Office) Alert(ctx context.Context, id string, cmd Command, actor Actor) (Alert, error) {
	for range attempts {
		found, err := o.Archive.Alerts(ctx, id)
		if err != nil {
			return Alert{}, err
		}
		if len(found) == 0 {
			return Alert{}, Unknown("cases.Alert", "alert")
		}
		next, err := o.Procedure.ApplyAlert(found[0], cmd, actor, o.Now())
		if err != nil {
			return found[0], errors.Join(err, o.refusedEntry(ctx, "alert."+cmd.Verb, "", actor, err))
		}
		if cmd.Verb == "attach" {
			if err := o.attach(ctx, id, cmd.To, actor); err != nil {
				return found[0], err
			}
		}
		// Entered first: an alert that is dismissed without a line in the log would be worse than a line too many.
		if err := o.enter(ctx, Entered{Actor: actor.ID, Action: "alert." + cmd.Verb, Ref: id, CaseID: next.CaseID, Revision: next.Revision}); err != nil {
			return found[0], err
		}
		late, err := o.Archive.PutAlerts(ctx, []Alert{next})
		if err != nil || len(late) == 0 {
			return next, err
		}
	}
	return Alert{}, &vw.Error{Op: "cases.Alert", Code: vw.Unavailable, Err: errors.New("the alert kept changing")}
}

// attach files the finding of an alert in an open case, and lists it there. Its figures join those of the case when the Desk next
// looks at it.
func (o *Office) attach(ctx context.Context, finding, id string, actor Actor) error {
	for range attempts {
		c, err := o.Archive.Case(ctx, id)
		if err != nil {
			return err
		}
		if c.Status == Closed {
			return refuse(vw.Conflict, "closed", "已结案，不能并入", "the case is closed and takes no more in")
		}
		if slices.Contains(c.FindingIDs, finding) {
			return nil
		}
		fs, err := o.Archive.Findings(ctx, finding)
		if err != nil {
			return err
		}
		c.FindingIDs = slices.Sorted(slices.Values(append(slices.Clone(c.FindingIDs), finding)))
		c.Timeline = slices.Clip(c.Timeline)
		attached(&c, stamp(o.Now()), &fs[0])
		c.Timeline[len(c.Timeline)-1].Who = actor.ID
		c.UpdatedAt, c.Revision = stamp(o.Now()), c.Revision+1
		err = o.Archive.Put(ctx, Write{Docket: CaseID(c.Campaign, c.Subject, 1), Findings: fs, Case: &c})
		if vw.CodeOf(err) != vw.Conflict {
			return err
		}
	}
	return &vw.Error{Op: "cases.Alert", Code: vw.Unavailable, Err: errors.New("the case kept changing")}
}
