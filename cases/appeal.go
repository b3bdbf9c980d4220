package cases

import (
	"slices"
	"time"

	vw "voucherwatch"
	"voucherwatch/internal/yamlfile"
)

// Appeal is an appeal against a decision (申诉) or an objection to a record (异议). The case and what it
// published show 异议中 from the moment it comes in.
type Appeal struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"` // appeal, objection
	State    State      `json:"state"`
	Text     string     `json:"text"`
	Filed    Signature  `json:"filed"`
	Reviewer string     `json:"reviewer,omitempty"` // somebody new to the case
	Result   State      `json:"result,omitempty"`   // upheld, partly, rejected
	Reason   string     `json:"reason,omitempty"`
	Told     *Signature `json:"told,omitempty"`
}

// Repair is an application for credit repair (信用修复) of a published entry.
type Repair struct {
	ID      string      `json:"id"`
	EntryID string      `json:"entry_id"`
	State   State       `json:"state"`
	Filed   Signature   `json:"filed"`
	Check   RepairCheck `json:"check"`
	Basis   string      `json:"basis,omitempty"` // of the shortest display time
}

// RepairCheck is what must hold before an entry is repaired.
type RepairCheck struct {
	Performed   bool `json:"performed"`    // duties performed
	HarmRemoved bool `json:"harm_removed"` // harm removed
	NoRepeat    bool `json:"no_repeat"`    // no repetition
	Serious     bool `json:"serious"`      // the longer display time applies
}

func appealRows() []Transition {
	s := func(states ...State) []State { return states }
	g := func(guards ...Guard) []Guard { return guards }
	clocks := func(names ...string) []string { return names }
	return []Transition{
		{AppealMachine, "appeal", "提出申诉/异议", "file an appeal or objection", nil, "", lawyersAndStaff, "", g(withText), nil, clocks("appeal_accept", "objection_mark"), (*move).appeal},
		{AppealMachine, "accept_appeal", "受理", "accept", s(AppealReceived), AppealAccepted, lawyersAndStaff, "", nil, clocks("appeal_accept", "objection_mark"), clocks("appeal_decide"), (*move).aimed},
		{AppealMachine, "review_appeal", "复核", "begin the review", s(AppealAccepted), AppealReviewing, lawyersAndStaff, "", g(newReviewer), nil, nil, (*move).reviewAppeal},
		{AppealMachine, "uphold", "申诉成立", "uphold", s(AppealReviewing), AppealUpheld, lawyersAndStaff, "decide_appeal", g(isReviewer, longReason), nil, nil, (*move).uphold},
		{AppealMachine, "uphold_partly", "部分成立", "uphold in part", s(AppealReviewing), AppealPartly, lawyersAndStaff, "decide_appeal", g(isReviewer, longReason), nil, nil, (*move).uphold},
		{AppealMachine, "dismiss_appeal", "申诉不成立", "reject the appeal", s(AppealReviewing), AppealRejected, lawyersAndStaff, "decide_appeal", g(isReviewer, longReason), nil, nil, (*move).uphold},
		{AppealMachine, "notify_appeal", "告知申诉结果", "tell the result", s(AppealUpheld, AppealPartly, AppealRejected), AppealNotified, lawyersAndStaff, "", g(withText), clocks("appeal_decide"), nil, (*move).tellAppeal},

		{RepairMachine, "apply_repair", "申请信用修复", "apply for repair", nil, "", lawyersAndStaff, "", g(withText), nil, nil, (*move).applyRepair},
		{RepairMachine, "check_repair", "核查修复条件", "check the conditions", s(RepairApplied), RepairChecked, staff, "", g(repairFit), nil, nil, (*move).checkRepair},
		{RepairMachine, "approve_repair", "同意修复", "approve the repair", s(RepairChecked), RepairApproved, lawyersAndStaff, "approve_repair", nil, nil, nil, (*move).aimed},
		{RepairMachine, "remove_entry", "移出名单", "remove the entry", s(RepairApproved), RepairRemoved, staff, "", nil, nil, clocks("revoke_notice"), (*move).removeEntry},
		{RepairMachine, "notify_repair", "通知下游", "tell downstream", s(RepairRemoved), RepairNotified, staff, "", g(withText), clocks("revoke_notice"), nil, (*move).aimed},
	}
}

var (
	newReviewer = Guard{"new_reviewer", func(m *move) error {
		w := &m.doc.Work
		involved := append(w.authors(), m.doc.Case.Assignee)
		for _, a := range w.Approvals {
			involved = append(involved, a.Proposer)
			for _, b := range a.By {
				involved = append(involved, b.By)
			}
		}
		if slices.ContainsFunc(involved, func(id string) bool { return id != "" && m.actor.is(id) }) {
			return refuse(vw.Forbidden, "new_reviewer", "复核须由未参与本案的人进行", "the reviewer must be new to the case")
		}
		return nil
	}}
	isReviewer = Guard{"reviewer", func(m *move) error {
		if a := find(m.doc.Work.Appeals, m.cmd.Target, func(a *Appeal) string { return a.ID }); a.Reviewer != m.actor.ID {
			return refuse(vw.Forbidden, "reviewer", "由复核人 %s 提出", "the reviewer %s proposes it", a.Reviewer)
		}
		return nil
	}}
	repairFit = Guard{"repair", func(m *move) error {
		c := m.cmd.Check
		if c == nil || !c.Performed || !c.HarmRemoved || !c.NoRepeat {
			return refuse(vw.Conflict, "repair", "须已履行义务、消除影响且未再犯", "duties performed, harm removed and no repetition are needed")
		}
		r := find(m.doc.Work.Repairs, m.cmd.Target, func(r *Repair) string { return r.ID })
		e := find(m.doc.Work.Entries, r.EntryID, func(e *Entry) string { return e.ID })
		_, until, err := m.p.display(e, c.Serious)
		if err != nil {
			return err
		}
		if m.now.Before(until) {
			return refuse(vw.Conflict, "display_time", "最短公示期至 %s", "the shortest display time lasts until %s", until.Format(time.DateOnly))
		}
		return nil
	}}
)

// display is the shortest display time of an entry, by the text in force on the day of the decision.
func (p *Procedure) display(e *Entry, serious bool) (RepairRule, time.Time, error) {
	decided := moment(e.DecidedAt)
	for _, r := range p.Repair {
		day := yamlfile.Day(dayOf(decided))
		if day < r.From || r.To != 0 && day > r.To {
			continue
		}
		months := r.Months
		if serious {
			months = r.SeriousMonths
		}
		return r, decided.AddDate(0, months, 0), nil
	}
	return RepairRule{}, decided, refuse(vw.Invalid, "repair", "没有适用的修复规定", "no repair rule covers the day of the decision")
}

// aimed only names what the transition was about.
func (m *move) aimed() error { m.ref = m.cmd.Target; return nil }

func (m *move) appeal() error {
	w := &m.doc.Work
	kind := m.cmd.Code
	if kind != "appeal" && kind != "objection" {
		return refuse(vw.Invalid, "kind", "请注明申诉或异议", "say appeal or objection")
	}
	a := Appeal{ID: "appeal-" + itoa(len(w.Appeals)+1), Kind: kind, State: AppealReceived, Text: m.cmd.Text, Filed: m.sign()}
	w.Appeals = append(w.Appeals, a)
	m.ref = a.ID
	return m.mark()
}

// mark shows on published entries whether the case is objected to.
func (m *move) mark() error {
	w := &m.doc.Work
	for i := range w.Entries {
		e := &w.Entries[i]
		if e.Objected == w.Objected() {
			continue
		}
		e.Objected = w.Objected()
		if e.State == EntryPublished {
			if err := m.post(ListMessage, []string{e.List}, map[string]any{"case_id": m.doc.Case.CaseID, "action": "objected", "entry": e.ID, "list": e.List, "objected": e.Objected}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *move) theAppeal() *Appeal {
	m.ref = m.cmd.Target
	return find(m.doc.Work.Appeals, m.cmd.Target, func(a *Appeal) string { return a.ID })
}

func (m *move) reviewAppeal() error { m.theAppeal().Reviewer = m.actor.ID; return nil }

// uphold decides an appeal: what it undoes is undone in the same write. In part, the measures in Refs.
func (m *move) uphold() error {
	a := m.theAppeal()
	a.Result, a.Reason = m.t.To, m.cmd.Reason
	switch m.t.To {
	case AppealUpheld:
		return m.release("appeal upheld")
	case AppealPartly:
		w := &m.doc.Work
		if len(m.cmd.Refs) == 0 {
			return refuse(vw.Invalid, "refs", "部分成立须指明撤销的处置", "name the measures that are revoked")
		}
		for _, id := range m.cmd.Refs {
			x := find(w.Measures, id, func(x *Measure) string { return x.ID })
			if x == nil {
				return refuse(vw.NotFound, "no_target", "没有处置 %s", "there is no measure %s", id)
			}
			x.State, x.Why = MeasureRevoked, "appeal upheld in part"
			if err := m.post(MeasureMessage, []string{m.p.Measures[x.Kind].Authority}, map[string]any{"case_id": m.doc.Case.CaseID, "measure": x.ID, "kind": x.Kind, "ended": MeasureRevoked}); err != nil {
				return err
			}
			if e := find(w.Entries, x.EntryID, func(e *Entry) string { return e.ID }); e != nil {
				e.State = EntryRevoked
				if err := m.post(ListMessage, []string{e.List}, map[string]any{"case_id": m.doc.Case.CaseID, "action": EntryRevoked, "entry": e.ID, "list": e.List}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (m *move) tellAppeal() error {
	a := m.theAppeal()
	a.Told, a.State = new(m.sign()), AppealNotified // before mark looks
	if err := m.mark(); err != nil {
		return err
	}
	return m.post(PartyMessage, []string{m.doc.Case.Subject.ID}, map[string]any{"case_id": m.doc.Case.CaseID, "appeal": a.ID, "result": a.Result, "text": m.cmd.Text})
}

func (m *move) applyRepair() error {
	w := &m.doc.Work
	e := find(w.Entries, m.cmd.Target, func(e *Entry) string { return e.ID })
	if e == nil || e.State != EntryPublished {
		return refuse(vw.Conflict, "entry", "只能修复已公布的名单条目", "only a published entry can be repaired")
	}
	r := Repair{ID: "repair-" + itoa(len(w.Repairs)+1), EntryID: e.ID, State: RepairApplied, Filed: m.sign()}
	w.Repairs = append(w.Repairs, r)
	m.ref = r.ID
	return nil
}

func (m *move) checkRepair() error {
	r := find(m.doc.Work.Repairs, m.cmd.Target, func(r *Repair) string { return r.ID })
	e := find(m.doc.Work.Entries, r.EntryID, func(e *Entry) string { return e.ID })
	rule, _, err := m.p.display(e, m.cmd.Check.Serious)
	r.Check, r.Basis, m.ref = *m.cmd.Check, rule.Basis, r.ID
	return err
}

func (m *move) removeEntry() error {
	r := find(m.doc.Work.Repairs, m.cmd.Target, func(r *Repair) string { return r.ID })
	e := find(m.doc.Work.Entries, r.EntryID, func(e *Entry) string { return e.ID })
	if e.State != EntryPublished {
		return refuse(vw.Conflict, "entry", "条目已不在名单上", "the entry is no longer on the list")
	}
	e.State, m.ref = EntryRepaired, r.ID
	return m.post(ListMessage, []string{e.List}, map[string]any{"case_id": m.doc.Case.CaseID, "action": EntryRepaired, "entry": e.ID, "list": e.List})
}
