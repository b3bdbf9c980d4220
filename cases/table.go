package cases

import (
	"slices"
)

// State is a stage of a case, or a state of an alert, measure, entry, appeal or repair.
type State string

// The stages of a case. Labels may be changed by the console; these may not.
const (
	Suspicion       State = "suspicion"        // 待核查
	Investigating   State = "investigating"    // 调查中
	Suspended       State = "suspended"        // 中止
	InReviewStage   State = "review"           // 待审核
	Returned        State = "returned"         // 退回
	Refuted         State = "refuted"          // 误报/排除
	Inconclusive    State = "inconclusive"     // 证据不足
	Confirmed       State = "confirmed"        // 属实
	PenaltyProposed State = "penalty_proposed" // 拟处置
	Notified        State = "notified"         // 告知
	Approved        State = "approved"         // 已批准
	Executing       State = "executing"        // 执行中
	ClosedStage     State = "closed"           // 结案
	Reopened        State = "reopened"         // 重启
)

// The states of the smaller machines.
const (
	AlertNew       State = "new"
	AlertAcked     State = "acked"
	AlertSnoozed   State = "snoozed"
	AlertDismissed State = "dismissed"
	AlertAttached  State = "attached"

	DraftMeasure     State = "draft"
	MeasureApproved  State = "approved"
	MeasureOrdered   State = "ordered"
	MeasureInForce   State = "in_force"
	MeasureCompleted State = "completed"
	MeasureRevoked   State = "revoked"
	MeasureExpired   State = "expired"
	MeasureFailed    State = "failed"
	MeasureHanded    State = "handed_over" // to another authority, with its receipt

	EntryProposed  State = "proposed"
	EntryApproved  State = "approved"
	EntryPublished State = "published"
	EntryRepaired  State = "repaired"
	EntryExpired   State = "expired"
	EntryRevoked   State = "revoked"

	AppealReceived  State = "received"
	AppealAccepted  State = "accepted"
	AppealReviewing State = "reviewing"
	AppealUpheld    State = "upheld"
	AppealPartly    State = "partly"
	AppealRejected  State = "rejected"
	AppealNotified  State = "notified"

	RepairApplied  State = "applied"
	RepairChecked  State = "checked"
	RepairApproved State = "approved"
	RepairRemoved  State = "removed"
	RepairNotified State = "notified"
)

// Machine is which of the small state machines a transition belongs to.
type Machine string

// The machines. Stops are the emergency stops of a merchant.
const (
	AlertMachine   Machine = "alert"
	CaseMachine    Machine = "case"
	MeasureMachine Machine = "measure"
	EntryMachine   Machine = "entry"
	AppealMachine  Machine = "appeal"
	RepairMachine  Machine = "repair"
	StopMachine    Machine = "stop"
)

// Transition is a row of the table: who may do what, from where to where, under which conditions, and
// what that does to the clocks. Every change of a case goes through one.
type Transition struct {
	Machine Machine
	Verb    string
	Zh, En  string
	From    []State // empty: from any stage but closed
	To      State   // empty: stays
	Roles   []Role
	// Approval names the quorum of procedure.yaml that must agree before it happens; empty: none.
	Approval string
	Guards   []Guard
	Stops    []string // clocks that end
	Starts   []string // clocks that begin
	do       func(*move) error
}

// Guard is a condition that the server checks, whatever a screen showed.
type Guard struct {
	Name  string // the reason of its refusal
	check func(*move) error
}

var (
	staff    = []Role{Investigator, Supervisor}
	deciders = []Role{Investigator, Supervisor, LegalReviewer}
	heads    = []Role{Supervisor}
	lawyers  = []Role{Supervisor, LegalReviewer}
	machine  = []Role{System}
)

// Table is every transition there is. docs/cases.md is printed from it.
func Table() []Transition {
	s := func(states ...State) []State { return states }
	clocks := func(names ...string) []string { return names }
	g := func(guards ...Guard) []Guard { return guards }
	return slices.Concat([]Transition{
		{CaseMachine, "take", "认领", "take on", s(Suspicion, Reopened), Investigating, staff, "", g(declared, statutory), clocks("triage"), clocks("investigation", "decision"), (*move).take},
		{CaseMachine, "assign", "指派", "assign", s(Suspicion, Investigating, Suspended, Returned, Reopened), "", heads, "", g(withReason), nil, nil, (*move).assign},
		{CaseMachine, "suspend", "中止", "suspend", s(Investigating), Suspended, staff, "suspend", g(assigned, suspendReason), nil, nil, (*move).suspend},
		{CaseMachine, "resume", "恢复", "resume", s(Suspended), Investigating, staff, "", g(withReason), nil, nil, (*move).resume},
		{CaseMachine, "submit", "提交审核", "submit for review", s(Investigating), InReviewStage, []Role{Investigator, Supervisor}, "", g(assigned, tasksDone, evidenceEnough, assessed, outcomeNamed), clocks("investigation"), clocks("review"), (*move).submit},
		{CaseMachine, "return", "退回", "return", s(InReviewStage), Returned, lawyers, "", g(notAuthor, longReason), clocks("review"), nil, (*move).sendBack},
		{CaseMachine, "rework", "补充调查", "work on again", s(Returned), Investigating, staff, "", g(assigned), nil, clocks("investigation"), nil},
		{CaseMachine, "refute", "排除", "refute", s(InReviewStage), Refuted, deciders, "refute", g(longReason), clocks("review"), nil, (*move).refute},
		{CaseMachine, "inconclude", "证据不足", "find inconclusive", s(InReviewStage), Inconclusive, deciders, "inconclusive", g(longReason), clocks("review"), nil, (*move).inconclude},
		{CaseMachine, "confirm", "认定属实", "confirm", s(InReviewStage), Confirmed, deciders, "confirm", g(technicallyReviewed, longReason), clocks("review"), nil, (*move).confirm},
		{CaseMachine, "propose_measures", "拟处置", "propose measures", s(Confirmed), PenaltyProposed, staff, "", g(measuresNamed), nil, nil, (*move).proposeMeasures},
		{CaseMachine, "notify", "告知", "notify", s(PenaltyProposed), Notified, staff, "notify", g(noticeServed), nil, clocks("reply"), (*move).notify},
		{CaseMachine, "reply", "记录陈述申辩", "record a reply", s(Notified), "", staff, "", g(withReason), nil, nil, (*move).reply},
		{CaseMachine, "answer", "答复", "answer a reply", s(Notified), "", staff, "", g(withReason), nil, nil, (*move).answer},
		{CaseMachine, "waive", "当事人放弃陈述申辩", "record a waiver", s(Notified), "", staff, "", g(withReason), nil, nil, (*move).waive},
		{CaseMachine, "decide", "批准处置", "decide", s(Notified), Approved, lawyers, "decide", g(heard, gates), clocks("reply", "decision"), clocks("serve"), (*move).decide},
		{CaseMachine, "execute", "执行", "execute", s(Approved), Executing, staff, "", nil, clocks("serve"), nil, (*move).execute},
		{CaseMachine, "close", "结案", "close", s(Refuted, Inconclusive, Confirmed, Executing), ClosedStage, heads, "", g(withReason, measuresDone, told), nil, nil, (*move).close},
		{CaseMachine, "reopen", "重启", "reopen", s(ClosedStage), Reopened, staff, "reopen", g(newFact), nil, clocks("triage"), (*move).reopen},

		{CaseMachine, "declare", "利益冲突申报", "answer the conflict-of-interest question", nil, "", deciders, "", nil, nil, nil, (*move).declare},
		{CaseMachine, "note", "备注", "note", nil, "", deciders, "", g(withText), nil, nil, (*move).note},
		{CaseMachine, "edit_note", "修改备注", "edit a note", nil, "", deciders, "", g(withText), nil, nil, (*move).editNote},
		{CaseMachine, "add_task", "增加任务", "add a task", s(Suspicion, Investigating, Suspended, InReviewStage, Returned, Reopened), "", lawyersAndStaff, "", g(withText), nil, nil, (*move).addTask},
		{CaseMachine, "finish_task", "完成任务", "finish a task", s(Investigating, Returned), "", staff, "", g(withText), nil, nil, (*move).finishTask},
		{CaseMachine, "assess", "认定", "assess an allegation", s(Investigating), "", []Role{Investigator, Supervisor}, "", g(assigned, withText), nil, nil, (*move).assess},
		{CaseMachine, "add_evidence", "入卷证据", "add evidence", s(Suspicion, Investigating, Suspended, InReviewStage, Returned, Confirmed, Notified, Executing, Reopened), "", staff, "", g(evidenceFit), nil, nil, (*move).addEvidence},
		{CaseMachine, "technical_review", "技术审核", "technical review", s(InReviewStage), "", lawyersAndStaff, "", g(notAuthor, withText), nil, nil, (*move).technicalReview},
		{CaseMachine, "link", "关联", "link", nil, "", staff, "", g(withReason), nil, nil, (*move).link},
		{CaseMachine, "unlink", "取消关联", "unlink", nil, "", staff, "", g(withReason), nil, nil, (*move).unlink},
		{CaseMachine, "contacted", "已接触当事人", "record a contact with the party", nil, "", staff, "", g(withText), nil, nil, (*move).contacted},
		{CaseMachine, "told", "已告知当事人结果", "tell the party the end", s(Refuted, Inconclusive, Confirmed, Executing), "", staff, "", g(withText), nil, nil, (*move).tell},
	}, measureRows(), appealRows(), alertRows())
}

var lawyersAndStaff = []Role{Investigator, Supervisor, LegalReviewer}

// rows finds the transitions of a verb; several machines may share one.
func rows(verb string) (out []Transition) {
	for _, t := range Table() {
		if t.Verb == verb {
			out = append(out, t)
		}
	}
	return out
}

// statusOf is what the rest of the product knows of a stage.
func statusOf(s State) string {
	switch s {
	case Suspicion, Investigating, Suspended, Returned, Reopened:
		return Open
	case ClosedStage:
		return Closed
	}
	return InReview
}
