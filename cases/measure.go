package cases

import (
	"slices"
	"time"

	vw "voucherwatch"
)

// ActivityExclusion is the office's own list (活动资格取消). It is no statutory list and is never called
// 失信: a county's plan cannot make one (国办发〔2020〕49号).
const ActivityExclusion = "activity_exclusion"

// MeasureDraft is a measure as it is proposed.
type MeasureDraft struct {
	Kind      string `json:"kind"` // of procedure.yaml
	Article   string `json:"article"`
	AmountFen vw.Fen `json:"amount_fen,omitempty"`
	Until     string `json:"until,omitempty"` // a day, 2023-09-30; required for a list
}

// Measure is a measure of a case (处置).
type Measure struct {
	ID           string `json:"id"`
	MeasureDraft `json:",inline"`
	State        State  `json:"state"`
	EntryID      string `json:"entry_id,omitempty"` // the list entry that it makes
	OrderedAt    string `json:"ordered_at,omitempty"`
	Receipt      string `json:"receipt,omitempty"`
	Why          string `json:"why,omitempty"` // of a failure, revocation or expiry
}

// Entry is an entry of a list (名单). It always has an end.
type Entry struct {
	ID          string     `json:"id"`
	List        string     `json:"list"`
	Subject     vw.Subject `json:"subject"`
	State       State      `json:"state"`
	Article     string     `json:"article"`
	DecidedAt   string     `json:"decided_at,omitempty"`
	PublishedAt string     `json:"published_at,omitempty"`
	Until       string     `json:"until"`
	Gates       Gates      `json:"gates"`
	Objected    bool       `json:"objected,omitempty"` // 异议中, shown wherever the entry is
}

// Gates are the preconditions of an entry that only a person can vouch for. Notice, reply, legal review
// and two persons are checked from the case itself.
type Gates struct {
	USCC       string `json:"uscc,omitempty"`       // the entity, resolved
	Instrument string `json:"instrument,omitempty"` // number of the effective legal instrument
	Authority  string `json:"authority,omitempty"`  // who made it
	DecidedAt  string `json:"decided_at,omitempty"` // its date
	ServedAt   string `json:"served_at,omitempty"`  // day it was served
	Hearing    string `json:"hearing,omitempty"`    // done, or not_applicable
	Litigation string `json:"litigation,omitempty"` // none, or the state of 复议/诉讼
	Consent    string `json:"consent,omitempty"`    // document of the upper level's consent
	Minimised  bool   `json:"minimised,omitempty"`  // no personal information beyond need
}

// Stop is the emergency stop of the case's merchant: one person, 24 hours unless confirmed by another.
type Stop struct {
	ID        string     `json:"id"`
	Merchant  string     `json:"merchant"`
	Made      Signature  `json:"made"`
	Reason    string     `json:"reason"`
	ExpiresAt string     `json:"expires_at"`
	Confirmed *Signature `json:"confirmed,omitempty"`
	Ended     string     `json:"ended,omitempty"` // expired, lifted, refuted, closed …
	EndedAt   string     `json:"ended_at,omitempty"`
}

// InForce tells whether the stop holds at a moment, whether or not anybody has noticed its end yet.
func (s *Stop) InForce(now time.Time) bool {
	return s.Ended == "" && (s.Confirmed != nil || now.Before(moment(s.ExpiresAt)))
}

func measureRows() []Transition {
	s := func(states ...State) []State { return states }
	g := func(guards ...Guard) []Guard { return guards }
	return []Transition{
		{MeasureMachine, "in_force", "生效", "in force", s(MeasureOrdered), MeasureInForce, []Role{Investigator, Supervisor, System}, "", g(withReason), nil, nil, (*move).receipt},
		{MeasureMachine, "hand_over", "移交（回执）", "hand over with receipt", s(MeasureOrdered), MeasureHanded, staff, "", g(withReason), []string{"police_decide", "police_transfer"}, nil, (*move).receipt},
		{MeasureMachine, "fail", "未能执行", "fail", s(MeasureOrdered, MeasureInForce), MeasureFailed, staff, "", g(longReason), nil, nil, (*move).why},
		{MeasureMachine, "complete", "执行完毕", "complete", s(MeasureInForce), MeasureCompleted, staff, "", g(withReason), nil, nil, (*move).receipt},
		{MeasureMachine, "revoke", "撤销处置", "revoke", s(MeasureApproved, MeasureOrdered, MeasureInForce), MeasureRevoked, lawyersAndStaff, "revoke_measure", g(longReason), nil, []string{"revoke_notice"}, (*move).revoke},
		{MeasureMachine, "expire", "到期", "expire", s(MeasureInForce), MeasureExpired, machine, "", nil, nil, nil, (*move).revoke},

		{EntryMachine, "file_gates", "登记列入条件", "file the preconditions", s(EntryProposed), "", lawyersAndStaff, "", nil, nil, nil, (*move).fileGates},
		{EntryMachine, "publish", "公布名单", "publish", s(EntryApproved), EntryPublished, lawyersAndStaff, "publish", g(entryStands), nil, nil, (*move).publish},
		{EntryMachine, "revoke_entry", "撤销名单", "revoke an entry", s(EntryApproved, EntryPublished), EntryRevoked, lawyersAndStaff, "revoke_entry", g(longReason), nil, []string{"revoke_notice"}, (*move).unlist},
		{EntryMachine, "expire_entry", "名单到期", "expire an entry", s(EntryPublished), EntryExpired, machine, "", nil, nil, nil, (*move).unlist},

		{StopMachine, "stop", "紧急停用", "stop a merchant", nil, "", staff, "", g(longReason), nil, nil, (*move).stop},
		{StopMachine, "confirm_stop", "确认停用", "confirm a stop", nil, "", heads, "", g(withReason), nil, nil, (*move).confirmStop},
		{StopMachine, "lift_stop", "解除停用", "lift a stop", nil, "", staff, "", g(withReason), nil, nil, (*move).liftStop},
	}
}

var (
	measuresNamed = Guard{"measures", func(m *move) error {
		if len(m.cmd.Measures) == 0 || len(m.cmd.Measures) > 20 {
			return refuse(vw.Invalid, "measures", "请从处置目录选择 1 至 20 项", "choose 1 to 20 measures of the catalogue")
		}
		for _, d := range m.cmd.Measures {
			kind, ok := m.p.Measures[d.Kind]
			until, err := time.ParseInLocation(time.DateOnly, d.Until, Zone)
			switch {
			case !ok:
				return refuse(vw.Invalid, "measures", "处置目录没有 %s", "the catalogue has no %s", d.Kind)
			case kind.Track != m.doc.Work.track():
				return refuse(vw.Conflict, "wrong_track", "“%s”属于%s轨，由 %s 决定", "%s is of track %s and is decided by %s", kind.Zh, string(kind.Track), kind.Authority)
			case d.Article == "":
				return refuse(vw.Invalid, "article", "请注明依据条款", "name the article that authorises it")
			case kind.Money && d.AmountFen <= 0:
				return refuse(vw.Invalid, "amount", "请注明金额", "name the amount")
			case kind.List != "" && (err != nil || !until.After(m.now)):
				return refuse(vw.Invalid, "until", "名单须有截止日期", "an entry must have an end that is still to come")
			case d.Until != "" && err != nil:
				return refuse(vw.Invalid, "until", "日期应如 2023-09-30", "a day is written 2023-09-30")
			}
		}
		return nil
	}}
	// gates holds what the law wants before an adverse listing (regulation.md §2.1).
	gates = Guard{"gates", func(m *move) error {
		for i := range m.doc.Work.Entries {
			e := &m.doc.Work.Entries[i]
			if e.State != EntryProposed {
				continue
			}
			missing := func(ok bool, zh, en string) error {
				if ok {
					return nil
				}
				return refuse(vw.Conflict, "gates", "%s 列入条件不足："+zh, "%s: "+en, e.ID)
			}
			x, statutory := e.Gates, e.List != ActivityExclusion
			for _, err := range []error{
				missing(x.USCC != "", "未核准主体代码", "the entity's code is missing"),
				missing(x.Minimised, "未确认个人信息最小化", "personal information is not minimised"),
				missing(!statutory || x.Instrument != "" && x.Authority != "" && x.DecidedAt != "" && x.ServedAt != "", "缺生效法律文书（文号、机关、日期、送达）", "the effective legal instrument is missing"),
				missing(!statutory || x.Hearing == "done" || x.Hearing == "not_applicable", "听证情况未记录", "the hearing is not recorded"),
				missing(!statutory || x.Litigation != "", "复议诉讼状态未记录", "reconsideration and litigation are not recorded"),
				missing(!statutory || x.Consent != "" || m.consent(e) == "", "缺上级机关同意", "the upper level's consent is missing"),
			} {
				if err != nil {
					return err
				}
			}
		}
		return nil
	}}
	entryStands = Guard{"entry", func(m *move) error {
		e := find(m.doc.Work.Entries, m.cmd.Target, func(e *Entry) string { return e.ID })
		if end, err := time.ParseInLocation(time.DateOnly, e.Until, Zone); err != nil || !end.After(m.now) {
			return refuse(vw.Conflict, "until", "名单已过截止日期", "the entry's end has passed")
		}
		return nil
	}}
	measuresDone = Guard{"measures", func(m *move) error {
		for _, x := range m.doc.Work.Measures {
			done := slices.Contains([]State{MeasureCompleted, MeasureRevoked, MeasureExpired, MeasureFailed, MeasureHanded}, x.State) ||
				x.State == MeasureInForce && x.Until != ""
			if !done && m.doc.Work.stage() == Executing {
				return refuse(vw.Conflict, "measures", "处置 %s 尚未办结（%s）", "measure %s is not done (%s)", x.ID, string(x.State))
			}
		}
		return nil
	}}
)

func (m *move) consent(e *Entry) string {
	for _, x := range m.doc.Work.Measures {
		if x.EntryID == e.ID {
			return m.p.Measures[x.Kind].Consent
		}
	}
	return ""
}

func (m *move) proposeMeasures() error {
	w := &m.doc.Work
	for _, d := range m.cmd.Measures {
		x := Measure{ID: "m-" + itoa(len(w.Measures)+1), MeasureDraft: d, State: DraftMeasure}
		if list := m.p.Measures[d.Kind].List; list != "" {
			e := Entry{ID: m.doc.Case.CaseID + "/e-" + itoa(len(w.Entries)+1), List: list, Subject: m.doc.Case.Subject, State: EntryProposed, Article: d.Article, Until: d.Until}
			w.Entries = append(w.Entries, e)
			x.EntryID = e.ID
		}
		w.Measures = append(w.Measures, x)
	}
	return nil
}

func (m *move) fileGates() error {
	if m.cmd.Gates == nil {
		return refuse(vw.Invalid, "gates", "请填写列入条件", "give the preconditions")
	}
	e := find(m.doc.Work.Entries, m.cmd.Target, func(e *Entry) string { return e.ID })
	e.Gates, m.ref = *m.cmd.Gates, e.ID
	return nil
}

func (m *move) decide() error {
	w := &m.doc.Work
	for i := range w.Measures {
		if w.Measures[i].State == DraftMeasure {
			w.Measures[i].State = MeasureApproved
		}
	}
	for i := range w.Entries {
		if w.Entries[i].State == EntryProposed {
			w.Entries[i].State, w.Entries[i].DecidedAt = EntryApproved, stamp(m.now)
		}
	}
	return nil
}

func (m *move) execute() error {
	w := &m.doc.Work
	for i := range w.Measures {
		x := &w.Measures[i]
		if x.State != MeasureApproved {
			continue
		}
		x.State, x.OrderedAt = MeasureOrdered, stamp(m.now)
		if err := m.post(MeasureMessage, []string{m.p.Measures[x.Kind].Authority}, m.about(x)); err != nil {
			return err
		}
		if x.Kind == "refer_police" {
			for _, name := range []string{"police_decide", "police_transfer"} {
				if l, ok := m.p.Limits[w.track()][name]; ok {
					w.Clocks = append(w.Clocks, m.p.Calendar.start(name, l, m.now))
				}
			}
		}
	}
	return nil
}

// about is what the receiver of a measure is told. Approvals go with it: nothing leaves without them.
func (m *move) about(x *Measure) map[string]any {
	var by []string
	for _, a := range m.doc.Work.Approvals {
		if a.UsedAt != "" {
			for _, g := range a.By {
				by = append(by, g.By)
			}
		}
	}
	slices.Sort(by)
	return map[string]any{"case_id": m.doc.Case.CaseID, "measure": x, "subject": m.doc.Case.Subject, "approved_by": slices.Compact(by)}
}

func (m *move) measure() *Measure {
	m.ref = m.cmd.Target
	return find(m.doc.Work.Measures, m.cmd.Target, func(x *Measure) string { return x.ID })
}

func (m *move) receipt() error {
	x := m.measure()
	if m.p.Measures[x.Kind].Receipt != (m.t.Verb == "hand_over") {
		return refuse(vw.Conflict, "receipt", "移送类凭回执移交，其他处置不适用", "only referrals are handed over, and they end with the receipt")
	}
	x.Receipt = m.cmd.Reason
	return nil
}

func (m *move) why() error { m.measure().Why = m.cmd.Reason; return nil }

func (m *move) revoke() error {
	x := m.measure()
	x.Why = m.cmd.Reason
	if err := m.post(MeasureMessage, []string{m.p.Measures[x.Kind].Authority}, map[string]any{"case_id": m.doc.Case.CaseID, "measure": x.ID, "kind": x.Kind, "ended": m.t.To}); err != nil {
		return err
	}
	return nil
}

func (m *move) publish() error {
	e := find(m.doc.Work.Entries, m.cmd.Target, func(e *Entry) string { return e.ID })
	e.PublishedAt, e.Objected, m.ref = stamp(m.now), m.doc.Work.Objected(), e.ID
	return m.post(ListMessage, []string{e.List}, map[string]any{"case_id": m.doc.Case.CaseID, "action": "publish", "entry": e})
}

func (m *move) unlist() error {
	e := find(m.doc.Work.Entries, m.cmd.Target, func(e *Entry) string { return e.ID })
	m.ref = e.ID
	return m.post(ListMessage, []string{e.List}, map[string]any{"case_id": m.doc.Case.CaseID, "action": m.t.To, "entry": e.ID, "list": e.List})
}

func (m *move) stop() error {
	s := m.doc.Case.Subject
	if s.Kind != "merchant" && s.Kind != "pair" {
		return refuse(vw.Invalid, "subject", "只能停用商户", "only a merchant can be stopped")
	}
	w := &m.doc.Work
	if slices.ContainsFunc(w.Stops, func(x Stop) bool { return x.InForce(m.now) }) {
		return refuse(vw.Conflict, "stopped", "已停用", "it is stopped already")
	}
	x := Stop{ID: m.doc.Case.CaseID + "/s-" + itoa(len(w.Stops)+1), Merchant: s.ID, Made: m.sign(), Reason: m.cmd.Reason,
		ExpiresAt: stamp(m.now.Add(time.Duration(m.p.StopHours) * time.Hour))}
	w.Stops = append(w.Stops, x)
	m.ref = x.ID
	if err := m.post(StopMessage, nil, map[string]any{"stop": x.ID, "merchant_id": x.Merchant, "case_id": m.doc.Case.CaseID, "action": "stop", "expires_at": x.ExpiresAt}); err != nil {
		return err
	}
	return m.post(NotifyMessage, []string{string(Supervisor)}, map[string]any{"case_id": m.doc.Case.CaseID, "stop": x.ID, "expires_at": x.ExpiresAt, "urgent": true})
}

func (m *move) aStop() (*Stop, error) {
	x := find(m.doc.Work.Stops, m.cmd.Target, func(x *Stop) string { return x.ID })
	switch {
	case x == nil:
		return nil, refuse(vw.NotFound, "no_target", "没有这一停用", "there is no such stop")
	case !x.InForce(m.now):
		return nil, refuse(vw.Conflict, "ended", "停用已结束", "the stop has ended")
	}
	m.ref = x.ID
	return x, nil
}

func (m *move) confirmStop() error {
	x, err := m.aStop()
	switch {
	case err != nil:
		return err
	case m.actor.is(x.Made.By):
		return refuse(vw.Forbidden, "self_approval", "不得确认本人下的停用", "nobody confirms their own stop")
	case x.Confirmed != nil:
		return refuse(vw.Conflict, "confirmed", "已确认", "it is confirmed already")
	}
	x.Confirmed = new(m.sign())
	return m.post(StopMessage, nil, map[string]any{"stop": x.ID, "merchant_id": x.Merchant, "case_id": m.doc.Case.CaseID, "action": "confirm"})
}

func (m *move) liftStop() error {
	x, err := m.aStop()
	if err != nil {
		return err
	}
	return m.lift("lifted", func(y *Stop) bool { return y.ID == x.ID })
}

// lift ends the stops that are chosen and not ended yet.
func (m *move) lift(why string, chosen func(*Stop) bool) error {
	w := &m.doc.Work
	for i := range w.Stops {
		x := &w.Stops[i]
		if x.Ended != "" || !chosen(x) {
			continue
		}
		x.Ended, x.EndedAt = why, stamp(m.now)
		if err := m.post(StopMessage, nil, map[string]any{"stop": x.ID, "merchant_id": x.Merchant, "case_id": m.doc.Case.CaseID, "action": "release", "why": why}); err != nil {
			return err
		}
	}
	return nil
}

// release ends whatever holds the party: stops, measures and entries, in the same write as the decision.
func (m *move) release(why string) error {
	w := &m.doc.Work
	for i := range w.Measures {
		x := &w.Measures[i]
		if slices.Contains([]State{DraftMeasure, MeasureApproved, MeasureOrdered, MeasureInForce}, x.State) {
			if err := m.post(MeasureMessage, []string{m.p.Measures[x.Kind].Authority}, map[string]any{"case_id": m.doc.Case.CaseID, "measure": x.ID, "kind": x.Kind, "ended": MeasureRevoked}); err != nil {
				return err
			}
			x.State, x.Why = MeasureRevoked, why
		}
	}
	for i := range w.Entries {
		e := &w.Entries[i]
		if slices.Contains([]State{EntryProposed, EntryApproved, EntryPublished}, e.State) {
			if e.State == EntryPublished {
				if err := m.post(ListMessage, []string{e.List}, map[string]any{"case_id": m.doc.Case.CaseID, "action": EntryRevoked, "entry": e.ID, "list": e.List}); err != nil {
					return err
				}
			}
			e.State = EntryRevoked
		}
	}
	return m.lift(why, func(*Stop) bool { return true })
}
