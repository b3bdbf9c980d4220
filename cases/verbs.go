package cases

import (
	"slices"
	"strings"

	vw "voucherwatch"
)

func (m *move) sign() Signature { return Signature{m.actor.ID, stamp(m.now)} }

func (m *move) take() error {
	w := &m.doc.Work
	if w.stage() == Reopened || len(w.Tasks) == 0 {
		for _, t := range m.p.tasks(m.doc.allegations()) {
			if find(w.Tasks, t.ID, func(t *Task) string { return t.ID }) == nil {
				w.Tasks = append(w.Tasks, t)
			}
		}
	}
	if m.doc.Case.Assignee == "" {
		m.doc.Case.Assignee = m.actor.ID
	}
	if m.doc.Case.Assignee != m.actor.ID && !m.actor.has(Supervisor) {
		return refuse(vw.Forbidden, "assigned", "本案已指派给 %s", "the case is assigned to %s", m.doc.Case.Assignee)
	}
	w.Track, w.Outcome = w.track(), ""
	return nil
}

func (m *move) assign() error {
	if m.cmd.To == "" {
		return refuse(vw.Invalid, "to", "请指明承办人", "name who is to work on it")
	}
	from := m.doc.Case.Assignee
	m.doc.Case.Assignee = m.cmd.To
	m.say("assigned", "由 %s 转交 %s：%s", "from %s to %s: %s", from, m.cmd.To, m.cmd.Reason)
	return m.post(NotifyMessage, []string{m.cmd.To}, map[string]any{"case_id": m.doc.Case.CaseID, "assigned": m.cmd.To})
}

func (m *move) suspend() error {
	for i := range m.doc.Work.Clocks {
		m.p.Calendar.pause(&m.doc.Work.Clocks[i], m.cmd.Code, m.actor.ID, m.now)
	}
	m.say("suspend", "中止（%s）：%s", "suspended (%s): %s", m.p.Suspend[m.cmd.Code], m.cmd.Reason)
	return nil
}

func (m *move) resume() error {
	for i := range m.doc.Work.Clocks {
		m.p.Calendar.resume(&m.doc.Work.Clocks[i], m.now)
	}
	return nil
}

func (m *move) submit() error {
	m.doc.Work.Outcome = m.cmd.Code
	return m.post(NotifyMessage, []string{string(Supervisor)}, map[string]any{"case_id": m.doc.Case.CaseID, "stage": InReviewStage})
}

func (m *move) sendBack() error {
	w := &m.doc.Work
	w.Tasks = append(w.Tasks, Task{ID: "returned-" + itoa(len(w.Tasks)+1), Text: vw.Bilingual{Zh: m.cmd.Reason, En: m.cmd.Reason}, Required: true, For: m.doc.Case.Assignee})
	return m.post(NotifyMessage, []string{m.doc.Case.Assignee}, map[string]any{"case_id": m.doc.Case.CaseID, "stage": Returned})
}

// refute ends a case without fault: what was frozen is released in the same write, and the rules are told.
func (m *move) refute() error {
	m.doc.Work.Outcome, m.doc.Work.DataError = "refuted", m.cmd.Flag
	if err := m.release("refuted"); err != nil {
		return err
	}
	verdict := "benign"
	if m.cmd.Flag {
		verdict = "data_error"
	}
	return m.verdict(verdict)
}

func (m *move) inconclude() error {
	m.doc.Work.Outcome = "inconclusive"
	return m.release("inconclusive")
}

func (m *move) confirm() error {
	m.doc.Work.Outcome = "confirmed"
	return m.verdict("confirmed")
}

// verdict posts the event that the stream takes in: only of a merchant, which is the event's key.
func (m *move) verdict(verdict string) error {
	s := m.doc.Case.Subject
	if s.Kind != "merchant" && s.Kind != "pair" {
		return nil
	}
	return m.post(VerdictMessage, nil, VerdictEvent{Type: "verdict", ID: m.doc.Case.CaseID + "/" + itoa(m.doc.Case.Revision+1), At: stamp(m.now),
		MerchantID: s.ID, CaseID: m.doc.Case.CaseID, Verdict: verdict, Reason: m.cmd.Reason})
}

func (m *move) close() error {
	if m.doc.Work.stage() == Confirmed && !slices.Contains([]string{"rectify", "no_penalty"}, m.cmd.Code) {
		return refuse(vw.Invalid, "outcome", "属实案件直接结案须注明责令整改或不予处罚", "a confirmed case closes directly only with rectify or no_penalty")
	}
	w := &m.doc.Work
	for i := range w.Clocks {
		if c := &w.Clocks[i]; c.StoppedAt == "" && !strings.HasPrefix(c.Name, "appeal") {
			c.StoppedAt = stamp(m.now)
		}
	}
	for i := range w.Approvals {
		if a := &w.Approvals[i]; a.Open() {
			a.Void, a.VoidBy = "closed", new(m.sign())
		}
	}
	m.say(WasClosed, "结案：%s", "closed: %s", m.cmd.Reason)
	return m.lift("closed", func(*Stop) bool { return true })
}

func (m *move) reopen() error {
	m.doc.Case.Assignee = ""
	m.say(WasReopened, "重启：%s", "reopened: %s", m.cmd.Reason)
	return nil
}

func (m *move) declare() error {
	if m.cmd.Flag && strings.TrimSpace(m.cmd.Text) == "" {
		return refuse(vw.Invalid, "text", "请说明利害关系", "say what the interest is")
	}
	m.doc.Work.Declared = append(m.doc.Work.Declared, Declared{m.sign(), m.cmd.Flag, m.cmd.Text})
	if m.cmd.Flag {
		m.say("declare", "申报利害关系，回避", "declared an interest and stands aside")
		return m.post(NotifyMessage, []string{string(Supervisor)}, map[string]any{"case_id": m.doc.Case.CaseID, "conflict": m.actor.ID})
	}
	m.say("declare", "申报无利害关系", "declared no interest")
	return nil
}

func (m *move) note() error {
	w := &m.doc.Work
	n := Note{ID: "n-" + itoa(len(w.Notes)+1), By: m.actor.ID, Versions: []Text{{stamp(m.now), m.cmd.Text}}, Mentions: m.cmd.Mentions}
	w.Notes = append(w.Notes, n)
	m.ref = n.ID
	if len(n.Mentions) == 0 {
		return nil
	}
	return m.post(NotifyMessage, n.Mentions, map[string]any{"case_id": m.doc.Case.CaseID, "note": n.ID, "by": m.actor.ID})
}

func (m *move) editNote() error {
	n := find(m.doc.Work.Notes, m.cmd.Target, func(n *Note) string { return n.ID })
	switch {
	case n == nil:
		return refuse(vw.NotFound, "no_target", "没有这条备注", "there is no such note")
	case n.By != m.actor.ID:
		return refuse(vw.Forbidden, "not_yours", "不得修改他人备注", "nobody edits another's note")
	}
	n.Versions = append(n.Versions, Text{stamp(m.now), m.cmd.Text})
	m.ref = n.ID
	return nil
}

func (m *move) addTask() error {
	w := &m.doc.Work
	t := Task{ID: "task-" + itoa(len(w.Tasks)+1), Text: vw.Bilingual{Zh: m.cmd.Text, En: m.cmd.Text}, Required: m.cmd.Flag, For: m.cmd.To}
	w.Tasks = append(w.Tasks, t)
	m.ref = t.ID
	return nil
}

func (m *move) finishTask() error {
	t := find(m.doc.Work.Tasks, m.cmd.Target, func(t *Task) string { return t.ID })
	switch {
	case t == nil:
		return refuse(vw.NotFound, "no_target", "没有这项任务", "there is no such task")
	case t.Done != nil:
		return refuse(vw.Conflict, "done", "该任务已由 %s 完成", "%s did it already", t.Done.By)
	}
	t.Done, t.Result, m.ref = new(m.sign()), m.cmd.Text, t.ID
	return nil
}

func (m *move) assess() error {
	w := &m.doc.Work
	if !slices.Contains([]string{"proven", "not_proven", "unclear"}, m.cmd.Code) {
		return refuse(vw.Invalid, "result", "认定须为属实、不属实或不清", "the result is proven, not_proven or unclear")
	}
	if !slices.Contains(m.doc.allegations(), m.cmd.Typology) {
		return refuse(vw.Invalid, "typology", "本案没有 %s", "the case has no %s", m.cmd.Typology)
	}
	for _, id := range m.cmd.Refs {
		if find(w.Evidence, id, func(e *Evidence) string { return e.ID }) == nil {
			return refuse(vw.NotFound, "no_target", "没有证据 %s", "there is no evidence %s", id)
		}
	}
	if m.cmd.Code == "proven" && len(m.cmd.Refs) == 0 {
		return refuse(vw.Invalid, "evidence", "认定属实须引用证据", "proven needs evidence")
	}
	a := Assessment{m.sign(), m.cmd.Typology, m.cmd.Code, m.cmd.Text, m.cmd.Refs}
	w.Assessments = append(slices.DeleteFunc(w.Assessments, func(x Assessment) bool { return x.Typology == a.Typology && x.By == a.By }), a)
	m.ref = m.cmd.Typology
	m.say("assess", "认定 %s：%s", "assessed %s: %s", a.Typology, a.Result)
	return nil
}

func (m *move) technicalReview() error {
	m.doc.Work.Technical = append(m.doc.Work.Technical, m.sign())
	return nil
}

func (m *move) link() error {
	kinds := []string{"duplicate_of", "related"}
	if !slices.Contains(kinds, m.cmd.Code) || m.cmd.To == "" || m.cmd.To == m.doc.Case.CaseID {
		return refuse(vw.Invalid, "link", "请指明另一案件与关联类型", "name another case, and duplicate_of or related")
	}
	w := &m.doc.Work
	for _, l := range w.Links {
		if l.To == m.cmd.To && l.Kind == m.cmd.Code && l.Undone == nil {
			return refuse(vw.Conflict, "linked", "已关联", "it is linked already")
		}
	}
	w.Links = append(w.Links, Link{To: m.cmd.To, Kind: m.cmd.Code, Reason: m.cmd.Reason, Made: m.sign()})
	m.ref = m.cmd.To
	return nil
}

func (m *move) unlink() error {
	w := &m.doc.Work
	for i := range w.Links {
		if l := &w.Links[i]; l.To == m.cmd.To && l.Kind == m.cmd.Code && l.Undone == nil && !strings.HasPrefix(l.Kind, "track_") {
			l.Undone, m.ref = new(m.sign()), l.To
			return nil
		}
	}
	return refuse(vw.NotFound, "no_target", "没有这一关联", "there is no such link")
}

func (m *move) contacted() error { m.doc.Work.Contacted = true; return nil }

func (m *move) tell() error {
	m.doc.Work.Contacted = false
	return m.post(PartyMessage, []string{m.doc.Case.Subject.ID}, map[string]any{"case_id": m.doc.Case.CaseID, "outcome": m.doc.Work.Outcome, "text": m.cmd.Text})
}

func (m *move) notify() error {
	n := *m.cmd.Notice
	n.Replies, n.Waived = nil, nil
	m.doc.Work.Notice, m.doc.Work.Contacted = &n, true
	m.ref = n.Number
	return m.post(PartyMessage, []string{m.doc.Case.Subject.ID}, map[string]any{"case_id": m.doc.Case.CaseID, "notice": n.Number, "hash": n.Hash})
}

func (m *move) reply() error {
	n := m.doc.Work.Notice
	n.Replies = append(n.Replies, Reply{ID: "reply-" + itoa(len(n.Replies)+1), At: stamp(m.now), Text: m.cmd.Reason})
	m.ref = n.Replies[len(n.Replies)-1].ID
	return nil
}

func (m *move) answer() error {
	r := find(m.doc.Work.Notice.Replies, m.cmd.Target, func(r *Reply) string { return r.ID })
	if r == nil {
		return refuse(vw.NotFound, "no_target", "没有这条陈述申辩", "there is no such reply")
	}
	r.Answer, r.By, m.ref = m.cmd.Reason, new(m.sign()), r.ID
	return nil
}

func (m *move) waive() error { m.doc.Work.Notice.Waived = new(m.sign()); return nil }
