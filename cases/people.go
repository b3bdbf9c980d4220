package cases

import (
	"fmt"
	"slices"

	vw "voucherwatch"
)

// Role is what a person may do. System is the program itself: it never approves and never decides.
type Role string

const (
	Investigator  Role = "investigator"   // 调查员
	Supervisor    Role = "supervisor"     // 负责人
	LegalReviewer Role = "legal_reviewer" // 法制审核
	Auditor       Role = "auditor"        // 审计: reads everything masked, and the audit log
	Regulator     Role = "regulator"      // 监管: reads what was referred
	Administrator Role = "administrator"  // 系统管理: accounts, and no case
	System        Role = "system"
)

// Roles are those that people have.
var Roles = []Role{Investigator, Supervisor, LegalReviewer, Auditor, Regulator, Administrator}

// approvers are the roles that can stand in a quorum.
var approvers = []Role{Supervisor, LegalReviewer, Administrator}

// Actor is who acts. The ids are of people, never of those they look at.
type Actor struct {
	ID    string
	Roles []Role
	// StandsFor are the people whose deputy the actor is at the moment: who deputises for somebody may
	// not approve what that somebody wrote.
	StandsFor []string
	// Interests are merchants that the actor owns, works for or is related to.
	Interests []string
}

// TheSystem is the program as an actor.
var TheSystem = Actor{ID: "system", Roles: []Role{System}}

func (a *Actor) has(r Role) bool { return slices.Contains(a.Roles, r) }

func (a *Actor) any(rs []Role) bool { return slices.ContainsFunc(rs, a.has) }

// is tells whether the actor is that person or deputises for her.
func (a *Actor) is(id string) bool { return a.ID == id || slices.Contains(a.StandsFor, id) }

// Refusal is why something may not be done: a word for programs and a sentence for people.
type Refusal struct {
	Reason string // self_approval, stale_payload, wrong_stage, …: see docs/cases.md
	Text   vw.Bilingual
}

func (r *Refusal) Error() string { return r.Reason + ": " + r.Text.En + " " + r.Text.Zh }

// refuse makes the error of a refusal. Wrong stages and stale papers are vw.Conflict (409), wrong people
// vw.Forbidden (403), wrong input vw.Invalid (400).
func refuse(code vw.Code, reason, zh, en string, args ...any) error {
	if len(args) > 0 {
		zh, en = fmt.Sprintf(zh, args...), fmt.Sprintf(en, args...)
	}
	return &vw.Error{Op: "cases.Apply", Code: code, Err: &Refusal{reason, vw.Bilingual{Zh: zh, En: en}}}
}
