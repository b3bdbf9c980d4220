package cases

import (
	"slices"

	vw "voucherwatch"
)

// Action is what people do besides the transitions of the table: reads, mostly.
type Action string

// The actions. Reads of personal data are entered into the audit log before anything is shown.
const (
	ListCases    Action = "case.list"
	ViewCase     Action = "case.view"
	ViewEvidence Action = "evidence.view"
	RevealPerson Action = "person.reveal"
	ExportCases  Action = "case.export"
	ViewAudit    Action = "audit.view"
	ManageUsers  Action = "user.manage"
)

// permission is a row of the table role × action × stage; stages nil is all of them.
type permission struct {
	action Action
	roles  []Role
	stages []State
}

// Permissions is who may read and manage what. Transitions have their own column in Table.
func permissions() []permission {
	referred := []State{Executing, ClosedStage, Reopened}
	working := []State{Suspicion, Investigating, Suspended, InReviewStage, Returned, Reopened, Confirmed, PenaltyProposed, Notified, Approved, Executing}
	return []permission{
		{ListCases, []Role{Investigator, Supervisor, LegalReviewer, Auditor, Regulator}, nil},
		{ViewCase, []Role{Investigator, Supervisor, LegalReviewer, Auditor}, nil},
		{ViewCase, []Role{Regulator}, referred},
		{ViewEvidence, []Role{Investigator, Supervisor, LegalReviewer, Auditor}, nil},
		{ViewEvidence, []Role{Regulator}, referred},
		{RevealPerson, []Role{Investigator, Supervisor}, working},
		{ExportCases, []Role{Supervisor, Auditor}, nil},
		{ViewAudit, []Role{Auditor, Supervisor}, nil},
		{ManageUsers, []Role{Administrator}, nil},
	}
}

// Allowed tells whether an actor may do an action at a stage; stage is empty where there is no case. A regulator
// sees what was referred to an authority and nothing else: Office checks that too.
func Allowed(actor Actor, action Action, stage State) bool {
	return slices.ContainsFunc(permissions(), func(p permission) bool {
		return p.action == action && actor.any(p.roles) && (stage == "" || p.stages == nil || slices.Contains(p.stages, stage))
	})
}

// Purposes are why personal data may be shown in clear: a closed list (PIPL Art. 6, 28).
var Purposes = map[string]vw.Bilingual{
	"contact":  {Zh: "联系当事人", En: "contact the party"},
	"identify": {Zh: "核实身份", En: "verify an identity"},
	"evidence": {Zh: "固定证据", En: "secure evidence"},
	"referral": {Zh: "移送办理", En: "prepare a referral"},
	"appeal":   {Zh: "办理申诉", En: "handle an appeal"},
}
