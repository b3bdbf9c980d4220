package cases

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	vw "voucherwatch"
)

// Approval is a proposal and who agreed to it. It is for one exact command over one exact state of the
// papers: Hash covers both, and when either changes the approval is void. Used once, by the transition
// that it lets happen, in the same write.
type Approval struct {
	ID         string         `json:"id"`
	Action     string         `json:"action"` // of procedure.yaml: confirm, decide_serious, …
	Verb       string         `json:"verb"`
	Target     string         `json:"target,omitempty"`
	Command    jsontext.Value `json:"command"` // canonical
	Hash       Digest         `json:"hash"`
	Proposer   string         `json:"proposer"`
	Deputised  []string       `json:"deputised,omitempty"` // whom the proposer stood for
	ProposedAt string         `json:"proposed_at"`
	ExpiresAt  string         `json:"expires_at"`
	Roles      []Role         `json:"roles"` // one entry a person who must agree
	By         []Agreed       `json:"by,omitempty"`
	UsedAt     string         `json:"used_at,omitempty"`
	Void       string         `json:"void,omitempty"` // why it can no longer be used: rejected, expired, stale, withdrawn
	VoidBy     *Signature     `json:"void_by,omitempty"`
}

// Agreed is one person's approval in one role.
type Agreed struct {
	Signature `json:",inline"`
	Role      Role `json:"role"`
}

// Open: it can still be approved.
func (a *Approval) Open() bool { return a.UsedAt == "" && a.Void == "" }

// papers is what a decision rests on: whatever of it changes after the proposal voids the proposal.
func (m *move) papers(cmd *Command) (Digest, error) {
	w := &m.doc.Work
	type frozen struct {
		ID   string
		Hash Digest
	}
	var evidence []frozen
	for _, e := range w.Evidence {
		evidence = append(evidence, frozen{e.ID, e.Hash})
	}
	var target any
	if m.target != nil {
		target = m.target()
	}
	var notice any
	if w.Notice != nil {
		notice = *w.Notice
	}
	return digestOf(struct {
		Case        string
		Stage       State
		Outcome     string
		Assessments []Assessment
		Evidence    []frozen
		Measures    []Measure
		Entries     []Entry
		Notice      any
		Target      any
		Command     Command
	}{m.doc.Case.CaseID, w.stage(), w.Outcome, w.Assessments, evidence, w.Measures, w.Entries, notice, target, cmd.essence()})
}

// essence is a command without what does not belong to what is approved.
func (c *Command) essence() Command {
	out := *c
	out.Seen = 0
	return out
}

// propose writes the approval that a transition needs.
func (m *move) propose(action string, q Quorum) error {
	w := &m.doc.Work
	essence := m.cmd.essence()
	hash, err := m.papers(&essence)
	if err != nil {
		return err
	}
	for i := range w.Approvals {
		a := &w.Approvals[i]
		switch {
		case !a.Open() || a.Verb != m.cmd.Verb || a.Target != m.cmd.Target:
		case a.Hash == hash && m.now.Before(moment(a.ExpiresAt)):
			return refuse(vw.Conflict, "already_proposed", "已有待批的同一事项 %s", "the same is already proposed: %s", a.ID)
		default:
			a.Void, a.VoidBy = "superseded", &Signature{m.actor.ID, stamp(m.now)}
		}
	}
	command, err := Canonical(essence)
	if err != nil {
		return err
	}
	a := Approval{ID: "ap-" + itoa(len(w.Approvals)+1), Action: action, Verb: m.cmd.Verb, Target: m.cmd.Target, Command: command, Hash: hash,
		Proposer: m.actor.ID, Deputised: m.actor.StandsFor, ProposedAt: stamp(m.now), ExpiresAt: stamp(m.now.Add(time.Duration(q.Hours) * time.Hour)), Roles: q.Roles}
	w.Approvals = append(w.Approvals, a)
	m.ref = a.ID
	m.say("proposed", "提请审批：%s（%s）", "proposed for approval: %s (%s)", m.t.Zh, a.ID)
	var to []string
	for _, r := range q.Roles {
		to = append(to, string(r))
	}
	slices.Sort(to)
	return m.post(NotifyMessage, slices.Compact(to), map[string]any{"case_id": m.doc.Case.CaseID, "approval": a.ID, "action": action})
}

// approve adds a person's agreement; the last one needed lets the transition happen.
func (p *Procedure) approve(m *move) error {
	a, err := m.approval()
	if err != nil {
		return err
	}
	if err := m.mayApprove(a); err != nil {
		return err
	}
	var cmd Command
	if err := json.Unmarshal(a.Command, &cmd); err != nil {
		return err
	}
	next, err := p.prepare(m.doc, &cmd, m.actor, m.now)
	if err != nil {
		return err
	}
	next.posted = m.posted
	hash, err := next.papers(&cmd)
	if err != nil {
		return err
	}
	if hash != a.Hash || m.cmd.Hash != a.Hash.SHA256 {
		return refuse(vw.Conflict, "stale_payload", "案卷在提请后有变动，原审批作废，请重新提请", "the papers changed after the proposal: propose again")
	}
	role, ok := a.seat(m.actor, Role(m.cmd.Code))
	if !ok {
		return refuse(vw.Forbidden, "wrong_role", "本审批不需要您的角色", "this approval does not need your role")
	}
	a.By = append(a.By, Agreed{Signature{m.actor.ID, stamp(m.now)}, role})
	m.ref = a.ID
	m.say("approved", "同意 %s", "agreed to %s", a.ID)
	if len(a.By) < len(a.Roles) {
		return nil
	}
	a.UsedAt = stamp(m.now)
	next.actor = Actor{ID: a.Proposer, Roles: next.t.Roles}
	next.approved = a
	if err := p.run(next); err != nil {
		return err
	}
	m.posted = next.posted
	return nil
}

// approval is the one that a command names, if it can still be used.
func (m *move) approval() (*Approval, error) {
	a := find(m.doc.Work.Approvals, m.cmd.Target, func(a *Approval) string { return a.ID })
	switch {
	case a == nil:
		return nil, refuse(vw.NotFound, "no_approval", "没有这一审批", "there is no such approval")
	case a.UsedAt != "":
		return nil, refuse(vw.Conflict, "approval_used", "该审批已使用", "the approval has been used")
	case a.Void != "":
		return nil, refuse(vw.Conflict, "approval_void", "该审批已作废", "the approval is void")
	case !m.now.Before(moment(a.ExpiresAt)):
		return nil, refuse(vw.Conflict, "approval_expired", "该审批已过期", "the approval has expired")
	}
	return a, nil
}

// mayApprove is the rule of four eyes: who approves is neither the proposer nor an author of what is
// approved, nor the deputy of either, nor somebody whom either deputised for.
func (m *move) mayApprove(a *Approval) error {
	if m.actor.is(a.Proposer) || slices.ContainsFunc(a.Deputised, m.actor.is) {
		return refuse(vw.Forbidden, "self_approval", "不得审批本人或代理人提请的事项", "nobody approves what they, or their deputy, proposed")
	}
	if slices.ContainsFunc(m.doc.Work.authors(), m.actor.is) {
		return refuse(vw.Forbidden, "self_approval", "不得审批本人取证或认定的事项", "nobody approves their own findings or evidence")
	}
	if slices.ContainsFunc(a.By, func(b Agreed) bool { return m.actor.is(b.By) }) {
		return refuse(vw.Forbidden, "self_approval", "同一人只能同意一次", "one person agrees once")
	}
	return m.unconflicted()
}

// seat is the first role still to be filled that the actor has; who has several may say in which one (as).
func (a *Approval) seat(actor Actor, as Role) (Role, bool) {
	left := slices.Clone(a.Roles)
	for _, b := range a.By {
		if i := slices.Index(left, b.Role); i >= 0 {
			left = slices.Delete(left, i, i+1)
		}
	}
	for _, r := range left {
		if actor.has(r) && (as == "" || as == r) {
			return r, true
		}
	}
	return "", false
}

// reject ends a proposal.
func (p *Procedure) reject(m *move) error {
	a, err := m.approval()
	if err != nil {
		return err
	}
	own := m.actor.ID == a.Proposer
	if !own {
		if err := m.mayApprove(a); err != nil {
			return err
		}
		if _, ok := a.seat(m.actor, ""); !ok {
			return refuse(vw.Forbidden, "wrong_role", "本审批不需要您的角色", "this approval does not need your role")
		}
	}
	a.Void, a.VoidBy, m.ref = "rejected", &Signature{m.actor.ID, stamp(m.now)}, a.ID
	if own {
		a.Void = "withdrawn"
	}
	m.say("rejected", "不同意 %s：%s", "rejected %s: %s", a.ID, m.cmd.Reason)
	return m.post(NotifyMessage, []string{a.Proposer}, map[string]any{"case_id": m.doc.Case.CaseID, "approval": a.ID, "void": a.Void})
}
