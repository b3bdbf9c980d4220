package cases

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	vw "voucherwatch"
)

// Command is what somebody asks for: a verb of the table, and what the verb needs. Fields that a verb
// does not name are left empty.
type Command struct {
	Verb string `json:"verb"`
	// Seen is the Work.Version that the person saw; 0 means whatever is current. Another one is vw.Conflict.
	Seen     int    `json:"seen,omitempty"`
	Target   string `json:"target,omitempty"` // id of an approval, measure, entry, appeal, repair, stop, task, note or reply
	Reason   string `json:"reason,omitempty"` // a sentence
	Code     string `json:"code,omitempty"`   // a word of a closed list: suspend reason, outcome, result, link kind
	Text     string `json:"text,omitempty"`
	To       string `json:"to,omitempty"`   // a person, or a case
	Hash     string `json:"hash,omitempty"` // SHA-256 of the papers that were seen, with approve
	Typology string `json:"typology,omitempty"`
	Flag     bool   `json:"flag,omitempty"` // conflict declared; task required; wrong data
	// Refs are evidence ids that a statement rests on.
	Refs     []string       `json:"refs,omitempty"`
	Mentions []string       `json:"mentions,omitempty"`
	Measures []MeasureDraft `json:"measures,omitempty"`
	Evidence *Evidence      `json:"evidence,omitempty"`
	Notice   *Notice        `json:"notice,omitempty"`
	Gates    *Gates         `json:"gates,omitempty"` // of a list entry, see Entry
	Check    *RepairCheck   `json:"check,omitempty"`
}

// The limits of what people write, in characters and in items.
const (
	maxText  = 10_000
	maxItems = 2_000
)

// check is vw.Invalid for what no case takes in: control characters, texts beyond the limits.
func (c *Command) check() error {
	for name, s := range map[string]string{"verb": c.Verb, "target": c.Target, "reason": c.Reason, "code": c.Code, "text": c.Text, "to": c.To,
		"hash": c.Hash, "typology": c.Typology} {
		if err := plainText(name, s); err != nil {
			return err
		}
	}
	for name, list := range map[string][]string{"refs": c.Refs, "mentions": c.Mentions} {
		if len(list) > 100 {
			return refuse(vw.Invalid, "too_many", name+" 超过 100 项", name+" has more than 100 items")
		}
		for _, s := range list {
			if err := plainText(name, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func plainText(name, s string) error {
	switch {
	case !utf8.ValidString(s):
		return refuse(vw.Invalid, "not_text", name+" 不是 UTF-8 文本", name+" is not UTF-8 text")
	case len(s) > 4*maxText || utf8.RuneCountInString(s) > maxText:
		return refuse(vw.Invalid, "too_long", name+" 超过 %d 字，请作为附件入卷", name+" has more than %d characters: attach it as a file", maxText)
	}
	if i := strings.IndexFunc(s, unprintable); i >= 0 {
		return refuse(vw.Invalid, "control_character", name+" 第 %d 字节处有控制字符", name+" has a control character at byte %d", i+1)
	}
	return nil
}

// unprintable: controls but for line ends and tabs, and the marks that turn the direction of a text round.
func unprintable(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// move is one command on its way.
type move struct {
	p        *Procedure
	doc      *Document
	cmd      *Command
	actor    Actor
	now      time.Time
	t        Transition
	target   func() any // what the transition of a smaller machine changes, for the approval's hash
	state    *State     // its state
	approved *Approval
	posted   int
	ref      string
	said     bool
}

// Apply is the one way a case changes. It returns the document after the command, one revision on, and leaves its
// argument alone; what must leave the building is in the outbox of the result, the transition on its time line.
// Where the table wants approval, the command becomes a proposal, and the approve that completes the
// quorum makes it happen.
//
// Errors wrap a *Refusal: vw.Conflict when the case is not where the command belongs, vw.Forbidden when this
// person may not, vw.Invalid when the command makes no sense, vw.NotFound for an unknown target.
func (p *Procedure) Apply(doc Document, cmd Command, actor Actor, now time.Time) (Document, error) {
	if err := cmd.check(); err != nil {
		return doc, err
	}
	if cmd.Seen != 0 && cmd.Seen != doc.Work.Version {
		last := vw.TimelineEntry{}
		if n := len(doc.Case.Timeline); n > 0 {
			last = doc.Case.Timeline[n-1]
		}
		return doc, refuse(vw.Conflict, "stale_revision", "案件已更新：%s 于 %s %s", "the case moved on: %s at %s: %s", last.Who, last.At, last.What)
	}
	next, err := doc.clone()
	if err != nil {
		return doc, err
	}
	m := &move{p: p, doc: &next, cmd: &cmd, actor: actor, now: now}
	switch cmd.Verb {
	case "approve":
		m.t = Transition{Machine: CaseMachine, Verb: "approve", Zh: "同意", En: "approve"}
		err = p.approve(m)
	case "reject":
		m.t = Transition{Machine: CaseMachine, Verb: "reject", Zh: "不同意", En: "reject"}
		if err = withReason.check(m); err == nil {
			err = p.reject(m)
		}
	default:
		if m, err = p.prepare(&next, &cmd, actor, now); err == nil {
			err = p.run(m)
		}
	}
	if err != nil {
		return doc, err
	}
	if err := m.audit(cmd.Verb); err != nil {
		return doc, err
	}
	next.Work.Version++
	return next, p.finish(&next, now)
}

// finish brings what follows from the work up to it.
func (p *Procedure) finish(doc *Document, now time.Time) error {
	doc.Case.Status = statusOf(doc.Work.stage())
	doc.Case.UpdatedAt = stamp(now)
	doc.Case.Revision++
	if len(doc.Work.Evidence) > maxItems || len(doc.Work.Notes) > maxItems || len(doc.Work.Tasks) > maxItems {
		return refuse(vw.Invalid, "too_many", "案卷条目超过 %d", "more than %d items of one kind in a case", maxItems)
	}
	return nil
}

// prepare finds the row and the target of a command.
func (p *Procedure) prepare(doc *Document, cmd *Command, actor Actor, now time.Time) (*move, error) {
	m := &move{p: p, doc: doc, cmd: cmd, actor: actor, now: now}
	for _, t := range rows(cmd.Verb) {
		if t.Machine == AlertMachine {
			continue
		}
		m.t = t
		return m, m.aim()
	}
	return m, refuse(vw.Invalid, "unknown_verb", "没有这一操作", "there is no such verb")
}

// aim finds the smaller thing that a transition is about.
func (m *move) aim() error {
	w, id := &m.doc.Work, m.cmd.Target
	missing := refuse(vw.NotFound, "no_target", "没有这一对象", "there is no such "+string(m.t.Machine))
	switch m.t.Machine {
	case MeasureMachine:
		x := find(w.Measures, id, func(x *Measure) string { return x.ID })
		if x == nil {
			return missing
		}
		m.state, m.target = &x.State, func() any { return *x }
	case EntryMachine:
		x := find(w.Entries, id, func(x *Entry) string { return x.ID })
		if x == nil {
			return missing
		}
		m.state, m.target = &x.State, func() any { return *x }
	case AppealMachine:
		if len(m.t.From) == 0 {
			return nil
		}
		x := find(w.Appeals, id, func(x *Appeal) string { return x.ID })
		if x == nil {
			return missing
		}
		m.state, m.target = &x.State, func() any { return *x }
	case RepairMachine:
		if len(m.t.From) == 0 {
			return nil
		}
		x := find(w.Repairs, id, func(x *Repair) string { return x.ID })
		if x == nil {
			return missing
		}
		m.state, m.target = &x.State, func() any { return *x }
	}
	return nil
}

// run takes a command through roles, stage, guards and approval, and lets it happen.
func (p *Procedure) run(m *move) error {
	w := &m.doc.Work
	if m.approved == nil && !m.actor.any(m.t.Roles) {
		return refuse(vw.Forbidden, "wrong_role", "您的角色不能“%s”", "your role cannot %s", both2(m.t))
	}
	at := w.stage()
	if m.state != nil {
		at = *m.state
	}
	switch {
	case len(m.t.From) > 0 && !slices.Contains(m.t.From, at):
		return refuse(vw.Conflict, "wrong_stage", "当前为 %s，不能“%s”", "it is %s: cannot %s", string(at), both2(m.t))
	case len(m.t.From) == 0 && (m.t.Machine == CaseMachine || m.t.Verb == "stop") && at == ClosedStage:
		return refuse(vw.Conflict, "closed", "已结案，不能再改动；确有新情况请申请重启", "a closed case is read only: ask to reopen it")
	}
	if err := m.unconflicted(); err != nil && m.cmd.Verb != "declare" && m.approved == nil {
		return err
	}
	for _, g := range m.t.Guards {
		if err := g.check(m); err != nil {
			return err
		}
	}
	if m.t.Approval != "" && m.approved == nil {
		action := m.action()
		return m.propose(action, p.quorum(action, m.money()))
	}
	if m.t.do != nil {
		if err := m.t.do(m); err != nil {
			return err
		}
	}
	if m.t.To != "" {
		if m.state != nil {
			*m.state = m.t.To
		} else {
			w.Stage = m.t.To
		}
	}
	for _, name := range m.t.Stops {
		if c := w.clock(name); c != nil {
			p.Calendar.resume(c, m.now)
			c.StoppedAt = stamp(m.now)
		}
	}
	for _, name := range m.t.Starts {
		if l, ok := p.Limits[w.track()][name]; ok && w.clock(name) == nil {
			w.Clocks = append(w.Clocks, p.Calendar.start(name, l, m.now))
		}
	}
	if !m.said {
		m.say(m.t.Verb, m.t.Zh+"%s", m.t.En+"%s", m.because())
	}
	return nil
}

func both2(t Transition) string { return t.Zh + " " + t.En }

// action is the quorum that the move asks for: graver measures ask for more.
func (m *move) action() string {
	if m.t.Approval == "decide" && slices.ContainsFunc(m.doc.Work.Measures, func(x Measure) bool { return m.p.Measures[x.Kind].Serious || x.EntryID != "" }) {
		return "decide_serious"
	}
	return m.t.Approval
}

// money is what an approval is about.
func (m *move) money() vw.Fen {
	money := m.doc.Case.SubsidyFen
	for _, x := range m.doc.Work.Measures {
		money = max(money, x.AmountFen)
	}
	return money
}

func (m *move) because() string {
	if s := strings.TrimSpace(m.cmd.Reason); s != "" {
		return "：" + s
	}
	return ""
}

// say puts a line on the time line. A move says one thing.
func (m *move) say(what, zh, en string, args ...any) {
	m.said = true
	text := vw.Bilingual{Zh: sprintf(zh, args), En: sprintf(en, args)}
	m.doc.Case.Timeline = append(m.doc.Case.Timeline, vw.TimelineEntry{At: stamp(m.now), Who: m.actor.ID, What: what, Text: text, Ref: m.ref})
}

// audit puts the line of the audit log into the outbox: who did what to which revision, with the digest
// of what was asked. The reason may hold what a person wrote of another: the digest stands for it.
func (m *move) audit(verb string) error {
	hash, err := digestOf(m.cmd)
	if err != nil {
		return err
	}
	return m.post(AuditMessage, nil, Entered{Actor: m.actor.ID, Action: m.t.Machine.action(verb), CaseID: m.doc.Case.CaseID,
		Ref: m.ref, Revision: m.doc.Case.Revision + 1, Hash: hash.SHA256})
}

func (m Machine) action(verb string) string { return string(m) + "." + verb }
