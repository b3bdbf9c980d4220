package cases

import (
	"slices"
	"time"
)

// Tick does what time alone brings about: warnings at 50, 80 and 100 % of a clock, the end of stops that
// nobody confirmed, of measures and entries whose day has come, and of approvals. Changed is false, and the document the same, when
// there is nothing to do. It may run as often as one likes.
func (p *Procedure) Tick(doc Document, now time.Time) (next Document, changed bool, err error) {
	if next, err = doc.clone(); err != nil {
		return doc, false, err
	}
	m := &move{p: p, doc: &next, cmd: &Command{Verb: "tick"}, actor: TheSystem, now: now, t: Transition{Machine: CaseMachine, Verb: "tick"}}
	w := &next.Work
	done := func(what, ref, zh, en string, args ...any) {
		changed, m.ref = true, ref
		m.say(what, zh, en, args...)
	}
	if p.triage(&next) {
		changed = true
	}
	for i := range w.Clocks {
		c := &w.Clocks[i]
		if !c.Running() {
			continue
		}
		used := p.Calendar.Used(c, now)
		step := 0
		for _, at := range warnings {
			if used >= at {
				step = at
			}
		}
		if step <= c.Warned {
			continue
		}
		c.Warned = step
		done("clock", c.Name, "期限 %s 已用 %d%%，至 %s", "clock %s: %d%% used, due %s", c.Name, step, c.DueAt)
		to := []string{next.Case.Assignee}
		if step == 100 || next.Case.Assignee == "" {
			to = []string{next.Case.Assignee, string(Supervisor)}
		}
		to = slices.DeleteFunc(to, func(s string) bool { return s == "" })
		if err := m.post(NotifyMessage, to, map[string]any{"case_id": next.Case.CaseID, "clock": c.Name, "used": step, "due_at": c.DueAt, "breach": step == 100}); err != nil {
			return doc, false, err
		}
	}
	for i := range w.Stops {
		x := &w.Stops[i]
		if x.Ended == "" && !x.InForce(now) {
			done("stop_expired", x.ID, "停用逾时未确认，自动解除", "the stop was not confirmed in time and has ended")
			if err := m.lift("expired", func(y *Stop) bool { return y == x }); err != nil {
				return doc, false, err
			}
		}
	}
	over := func(day string) bool {
		end, err := time.ParseInLocation(time.DateOnly, day, Zone)
		return err == nil && !now.Before(end.AddDate(0, 0, 1))
	}
	for i := range w.Measures {
		if x := &w.Measures[i]; x.State == MeasureInForce && over(x.Until) {
			x.State = MeasureExpired
			done("expire", x.ID, "处置 %s 到期", "measure %s has expired", x.ID)
			if err := m.post(MeasureMessage, []string{p.Measures[x.Kind].Authority}, map[string]any{"case_id": next.Case.CaseID, "measure": x.ID, "kind": x.Kind, "ended": MeasureExpired}); err != nil {
				return doc, false, err
			}
		}
	}
	for i := range w.Entries {
		if e := &w.Entries[i]; e.State == EntryPublished && over(e.Until) {
			e.State = EntryExpired
			done("expire_entry", e.ID, "名单 %s 到期", "entry %s has expired", e.ID)
			if err := m.post(ListMessage, []string{e.List}, map[string]any{"case_id": next.Case.CaseID, "action": EntryExpired, "entry": e.ID, "list": e.List}); err != nil {
				return doc, false, err
			}
		}
	}
	for i := range w.Approvals {
		if a := &w.Approvals[i]; a.Open() && !now.Before(moment(a.ExpiresAt)) {
			a.Void, a.VoidBy = "expired", &Signature{m.actor.ID, stamp(now)}
			done("approval_expired", a.ID, "审批 %s 过期", "approval %s has expired", a.ID)
			if err := m.post(NotifyMessage, []string{a.Proposer}, map[string]any{"case_id": next.Case.CaseID, "approval": a.ID, "void": "expired"}); err != nil {
				return doc, false, err
			}
		}
	}
	if !changed {
		return doc, false, nil
	}
	if err := m.audit("tick"); err != nil {
		return doc, false, err
	}
	return next, true, p.finish(&next, now)
}

// triage gives a case that the Desk opened and nobody has taken the clock of its severity, which the Desk keeps as DueAt, so
// that its warnings and its breach are told like any other's. It tells whether the clock changed.
func (p *Procedure) triage(d *Document) bool {
	opened, due := moment(d.Case.OpenedAt), moment(d.Case.DueAt)
	if d.Work.stage() != Suspicion || due.IsZero() || !due.After(opened) {
		return false
	}
	c := d.Work.clock("triage")
	switch {
	case c == nil:
		d.Work.Clocks = append(d.Work.Clocks, Clock{Name: "triage", Limit: Limit{Unit: Hours, Basis: "案件严重程度对应的处理时限"}, StartedAt: d.Case.OpenedAt})
		c = &d.Work.Clocks[len(d.Work.Clocks)-1]
	case c.Unit != Hours || c.DueAt == d.Case.DueAt:
		return false
	}
	c.N, c.DueAt = int(due.Sub(opened).Hours()), d.Case.DueAt
	return true
}
