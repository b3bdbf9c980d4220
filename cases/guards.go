package cases

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	vw "voucherwatch"
)

func sprintf(format string, args []any) string {
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(format, args...)
}

// The guards of the table.
var (
	declared = Guard{"declaration", func(m *move) error {
		if !slices.ContainsFunc(m.doc.Work.Declared, func(d Declared) bool { return d.By == m.actor.ID }) {
			return refuse(vw.Conflict, "declaration", "请先申报是否与当事人有利害关系", "answer the conflict-of-interest question first")
		}
		return nil
	}}
	statutory = Guard{"penalty_power", func(m *move) error {
		w := &m.doc.Work
		informed := slices.ContainsFunc(w.Links, func(l Link) bool { return l.Kind == "track_a" && l.Undone == nil })
		if w.track() == TrackB && !m.p.PenaltyPower && !informed {
			return refuse(vw.Conflict, "penalty_power", "本单位无处罚权，须凭主管机关回执办理", "this office has no penalty power: track B needs the authority's receipt")
		}
		return nil
	}}
	assigned = Guard{"assigned", func(m *move) error {
		switch {
		case m.doc.Case.Assignee == "":
			return refuse(vw.Conflict, "assigned", "尚未指派承办人", "nobody is assigned")
		case m.approved == nil && m.actor.ID != m.doc.Case.Assignee && !m.actor.has(Supervisor):
			return refuse(vw.Forbidden, "assigned", "仅承办人可以办理", "only the assignee may do this")
		}
		return nil
	}}
	notAuthor = Guard{"not_author", func(m *move) error {
		if slices.ContainsFunc(m.doc.Work.authors(), m.actor.is) {
			return refuse(vw.Forbidden, "not_author", "不得审核本人取证或认定的事项", "nobody reviews their own findings or evidence")
		}
		return nil
	}}
	withReason = Guard{"reason", func(m *move) error {
		if strings.TrimSpace(m.cmd.Reason) == "" {
			return refuse(vw.Invalid, "reason", "请填写理由", "give a reason")
		}
		return nil
	}}
	withText = Guard{"text", func(m *move) error {
		if strings.TrimSpace(m.cmd.Text) == "" {
			return refuse(vw.Invalid, "text", "请填写内容", "give a text")
		}
		return nil
	}}
	longReason = Guard{"reason", func(m *move) error {
		if utf8.RuneCountInString(strings.TrimSpace(m.cmd.Reason)) < 10 {
			return refuse(vw.Invalid, "reason", "理由不少于 10 字", "the reason needs at least 10 characters")
		}
		return nil
	}}
	suspendReason = Guard{"suspend_reason", func(m *move) error {
		if m.p.Suspend[m.cmd.Code] == "" {
			return refuse(vw.Invalid, "suspend_reason", "中止理由须在列", "the reason of a suspension is one of the list")
		}
		return withReason.check(m)
	}}
	tasksDone = Guard{"tasks", func(m *move) error {
		var left []string
		for _, t := range m.doc.Work.Tasks {
			if t.Required && t.Done == nil {
				left = append(left, t.ID)
			}
		}
		if len(left) > 0 {
			return refuse(vw.Conflict, "tasks", "必办任务未完成：%s", "required tasks are not done: %s", strings.Join(left, ", "))
		}
		return nil
	}}
	evidenceEnough = Guard{"evidence", func(m *move) error {
		if n := len(m.doc.Work.Evidence); n < m.p.Evidence.Least {
			return refuse(vw.Conflict, "evidence", "证据 %d 件，至少 %d 件", "%d items of evidence, at least %d are needed", n, m.p.Evidence.Least)
		}
		return nil
	}}
	assessed = Guard{"assessments", func(m *move) error {
		for _, t := range m.doc.allegations() {
			if !slices.ContainsFunc(m.doc.Work.Assessments, func(a Assessment) bool { return a.Typology == t }) {
				return refuse(vw.Conflict, "assessments", "%s 尚未认定", "%s has not been assessed", t)
			}
		}
		return nil
	}}
	outcomeNamed = Guard{"outcome", func(m *move) error {
		if !slices.Contains([]string{"confirmed", "refuted", "inconclusive"}, m.cmd.Code) {
			return refuse(vw.Invalid, "outcome", "请提出处理建议", "recommend an outcome: confirmed, refuted or inconclusive")
		}
		return nil
	}}
	// technicallyReviewed: records that a machine made need a legal and a technical review before they
	// are evidence (行政处罚法 Art. 41); the legal one is the reviewer's approval of confirm.
	technicallyReviewed = Guard{"technical_review", func(m *move) error {
		automated := slices.ContainsFunc(m.doc.Work.Evidence, func(e Evidence) bool { return e.Kind == FrozenEvidence })
		if automated && len(m.doc.Work.Technical) == 0 {
			return refuse(vw.Conflict, "technical_review", "系统生成的证据须经技术审核（行政处罚法第四十一条）", "evidence made by the system needs a technical review")
		}
		return nil
	}}
	newFact = Guard{"new_fact", func(m *move) error {
		upheld := slices.ContainsFunc(m.doc.Work.Appeals, func(a Appeal) bool { return a.Result == AppealUpheld || a.Result == AppealPartly })
		if !upheld && len(m.cmd.Refs) == 0 {
			return refuse(vw.Invalid, "new_fact", "重启须有新事实或申诉成立", "reopening needs a new fact (refs) or an appeal that was upheld")
		}
		return longReason.check(m)
	}}
	noticeServed = Guard{"notice", func(m *move) error {
		n := m.cmd.Notice
		if n == nil || n.Number == "" || n.ServedAt == "" || n.Hash.SHA256 == "" {
			return refuse(vw.Invalid, "notice", "请填写告知书文号、送达时间和文书", "give the number, the day of service and the hash of the notice")
		}
		if at := moment(n.ServedAt); at.IsZero() || at.After(m.now) {
			return refuse(vw.Invalid, "notice", "送达时间有误", "the day of service is wrong")
		}
		return nil
	}}
	// heard: the reply window is over or waived, and every point is answered.
	heard = Guard{"heard", func(m *move) error {
		n := m.doc.Work.Notice
		if n == nil {
			return refuse(vw.Conflict, "heard", "尚未告知", "there was no notice")
		}
		if c := m.doc.Work.clock("reply"); c != nil && n.Waived == nil && m.now.Before(moment(c.DueAt)) {
			return refuse(vw.Conflict, "heard", "陈述申辩期至 %s", "the party may reply until %s", c.DueAt)
		}
		for _, r := range n.Replies {
			if r.By == nil {
				return refuse(vw.Conflict, "heard", "陈述申辩 %s 尚未答复", "reply %s is not answered", r.ID)
			}
		}
		return nil
	}}
	told = Guard{"told", func(m *move) error {
		if m.doc.Work.Contacted {
			return refuse(vw.Conflict, "told", "曾接触当事人，须先告知结果", "the party was contacted and must be told the end first")
		}
		return nil
	}}
)

// unconflicted refuses who has an interest in the subject, or declared one.
func (m *move) unconflicted() error {
	s := m.doc.Case.Subject
	own := slices.ContainsFunc(m.actor.Interests, func(id string) bool { return id == s.ID || id == s.With })
	said := false
	for _, d := range m.doc.Work.Declared {
		if d.By == m.actor.ID {
			said = d.Conflict
		}
	}
	if own || said {
		return refuse(vw.Forbidden, "conflict_of_interest", "与当事人有利害关系，应当回避", "the actor has an interest in the subject and must stand aside")
	}
	return nil
}
